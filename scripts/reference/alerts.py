"""An alert's page: Meaning, Impact, Diagnosis, Mitigation, as prometheus-operator/runbooks has them, then the rule itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from scripts.reference.markdown import block, bullets, page
from telemetry.located_yaml import read_located

_Text = Annotated[str, Field(min_length=1)]
_COMMANDS = {
    "p99": "triton-triage p99 {target} -n NAMESPACE --prometheus http://PROMETHEUS:9090{model}",
    "load-failure": "triton-triage load-failure {target} -n NAMESPACE{model}",
}


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Look(_Row):
    """Where to look: a query for Prometheus or a command for a shell."""

    says: _Text
    query: str = ""
    command: str = ""

    @model_validator(mode="after")
    def _one_of_both(self) -> "Look":
        if bool(self.query) == bool(self.command):
            raise ValueError("give either a query or a command")
        return self


class Runbook(_Row):
    """What an alert's page says beyond its rule."""

    impact: _Text
    look: Annotated[tuple[Look, ...], Field(min_length=1)]
    do: Annotated[tuple[_Text, ...], Field(min_length=1)]
    quiet: _Text
    """When it is silent, and how it is made so."""


class Runbooks(RootModel[Mapping[str, Runbook]]):
    """By the alert's name."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An alerting rule as it stands in its file."""

    name: str
    file: str
    rule: Mapping[str, Any]

    @property
    def severity(self) -> str:
        return str(self.rule["labels"]["severity"])

    @property
    def summary(self) -> str:
        return str(self.rule["annotations"]["summary"])

    @property
    def description(self) -> str:
        return str(self.rule["annotations"]["description"])


def read_alerts(rules: Path) -> list[Alert]:
    """Of all files of `rules/prometheus`, in their order."""
    return [
        Alert(rule["alert"], f"rules/prometheus/{file.name}", rule)
        for file in sorted((rules / "prometheus").glob("*.yaml"))
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


def read_runbooks(rules: Path) -> Mapping[str, Runbook]:
    """Raises InvalidFileError with every mistake."""
    return read_located(Runbooks, rules / "runbooks.yaml").root


def alert_page(alert: Alert, runbook: Runbook) -> str:
    return page(
        alert.name,
        f"{alert.file} and rules/runbooks.yaml",
        ("Meaning", f"{alert.description}\n\nSeverity: {alert.severity}."),
        ("Impact", runbook.impact),
        ("Diagnosis", _triage(alert) + "".join(map(_look, runbook.look))),
        ("Mitigation", bullets(runbook.do)),
        ("When it is silent", runbook.quiet),
        ("The rule", _rule(alert)),
    )


def _triage(alert: Alert) -> str:
    """What the on-call service does by itself, for whom has only a terminal."""
    tree = alert.rule["labels"].get("triage")
    if tree is None:
        return ""
    by_model = "$labels.model" in alert.summary
    target = "pod/POD" if "$labels.pod" in alert.summary else "deploy/WORKLOAD"
    command = _COMMANDS[tree].format(target=target, model=" --model MODEL" if by_model else "")
    return f"Where the on-call service runs, its thread has this report. By hand:\n\n{block(command)}\n"


def _look(look: Look) -> str:
    text = block(look.query, "promql") if look.query else block(look.command)
    return f"{look.says}\n\n{text}\n"


def _rule(alert: Alert) -> str:
    waits = f", once it has held for {alert.rule['for']}" if "for" in alert.rule else ""
    set_in = (
        " Its thresholds are set in `rules/prometheus/objectives.yaml`."
        if "triton:" in alert.rule["expr"]
        else ""
    )
    return f"In `{alert.file}`{waits}.{set_in}\n\n{block(alert.rule['expr'], 'promql')}"
