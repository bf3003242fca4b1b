"""The alert rules that ship, and their promtool tests, as plain values."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from telemetry.rules_dir import rules_dir

FOLDER = rules_dir() / "prometheus"
FILES = sorted(FOLDER.glob("*.yaml"))
TESTS = sorted((FOLDER / "tests").glob("*.yaml"))

_KEYWORDS = {
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
}


@dataclass(frozen=True)
class Rule:
    file: Path
    name: str
    expr: str
    alert: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    interval: str

    def names(self) -> set[str]:
        """The metrics that it reads."""
        return metric_names(self.expr)


def metric_names(expr: str) -> set[str]:
    """What is left of an expression without strings, label lists, numbers, words and functions."""
    text = re.sub(r'"[^"]*"', "", expr)
    text = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
    text = re.sub(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", text)
    found = re.findall(r"[a-zA-Z_:][\w:]*(?!\w)(?!\s*\()", text)
    called = set(re.findall(r"([a-zA-Z_]\w*)\s*\(", text))
    return {name for name in found if name not in _KEYWORDS | called and not re.fullmatch(r"e\d+", name)}


@dataclass(frozen=True)
class Case:
    """One test of promtool's with what it expects of one alert."""

    name: str
    alert: str
    fires: bool


def rules() -> list[Rule]:
    return [rule for file in FILES for rule in _rules_of(file)]


def alerts() -> list[Rule]:
    return [rule for rule in rules() if rule.alert]


def cases() -> list[Case]:
    return [
        Case(test["name"], asked["alertname"], bool(asked["exp_alerts"]))
        for file in TESTS
        for test in yaml.safe_load(file.read_text())["tests"]
        for asked in test["alert_rule_test"]
    ]


def _rules_of(file: Path) -> Iterator[Rule]:
    told: Mapping[str, Any] = yaml.safe_load(file.read_text())
    for group in told["groups"]:
        for rule in group["rules"]:
            yield Rule(
                file,
                rule.get("alert") or rule["record"],
                rule["expr"],
                "alert" in rule,
                rule.get("labels", {}),
                rule.get("annotations", {}),
                group.get("interval", ""),
            )
