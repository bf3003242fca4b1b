"""What docs/operations.md says to type is what the real programs take, and docs/security.md tells every right that is given."""

import re
import subprocess
from functools import cache
from itertools import takewhile

import pytest
import yaml
from pydantic import BaseModel

from tests.controlplane.build_tools import ensure_tools
from tests.deploy.build_tools import ensure_helm
from tests.deploy.helm import CHART, CHECKOUT, Helm
from tests.e2e.daemon import shipped_rights
from triage.oncall.config import (
    OncallConfig,
    PlainSection,
    PrometheusSection,
    RecordSection,
    SlackSection,
    TlsSection,
    TritonsSection,
    WebhookSection,
)
from triage.oncall.rights import rights

OPERATIONS = (CHECKOUT / "docs" / "operations.md").read_text()
SECURITY = (CHECKOUT / "docs" / "security.md").read_text()
AUTOSCALERS_SECURITY, TRIAGES_SECURITY = SECURITY.split("\n## triton-triage\n")
README = (CHECKOUT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?m)^((?:kubectl|helm) .*?)(?:\s+#.*)?$", OPERATIONS + README)))
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
CHART_KEYS = sorted(
    key
    for key in set(re.findall(r"`((?:[a-zA-Z]+\.)+[a-zA-Z]+)(?:=\w+)?`", OPERATIONS + SECURITY))
    if key.partition(".")[0] in VALUES
)
DEEP = {"rollout": 2, "create": 3}
"""Commands that have commands of their own: how many words name one."""


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_the_options_shown(line: str) -> None:
    program, *words = line.partition(" | ")[0].split()
    verbs = list(takewhile(lambda word: re.fullmatch(r"[a-z]+", word), words))
    known = _help(program, *verbs[: DEEP.get(verbs[0], 1)])
    for option in (word.partition("=")[0] for word in words if word.startswith("-")):
        assert re.search(rf"(?m)^\s*(?:-\w, )?{option}\b|^\s*{option},", known), f"{option} is none of {line}"


@pytest.mark.parametrize("line", [line for line in COMMANDS if "--set" in line])
def test_every_value_set_is_one_that_the_chart_takes(helm: Helm, line: str) -> None:
    sets = re.findall(r"--set (\S+)", line)
    told = helm.run("template", "docs", CHART, *(part for each in sets for part in ("--set", each)))
    assert told.code == 0, told.error


@pytest.mark.parametrize("path", sorted(set(re.findall(r"-f ([\w./-]+)", OPERATIONS))))
def test_every_file_applied_exists(path: str) -> None:
    assert (CHECKOUT / path).is_file()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([\w./-]+)\)", OPERATIONS + SECURITY))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (CHECKOUT / "docs" / link).exists()


@pytest.mark.parametrize("key", CHART_KEYS)
def test_every_chart_value_named_exists(key: str) -> None:
    found = VALUES
    for part in key.split("."):
        assert part in found, f"{key}: no {part} in values.yaml"
        found = found[part]


def test_security_tells_every_right() -> None:
    rows = re.findall(r"(?m)^\| (.*?`(?:get|list|update)`.*?) \|", AUTOSCALERS_SECURITY)
    told = " ".join(rows)
    for role in shipped_rights():
        for rule in role.get("rules", []):
            for resource in rule["resources"]:
                assert (resource in told) or ("APIService" in told and resource == "apiservices"), resource
            for verb in rule["verbs"]:
                assert f"`{verb}`" in told, verb


def test_security_tells_the_rights_of_triage_and_no_other() -> None:
    rows = re.findall(r"(?m)^\| ((?:`[a-z]+`(?:, )?)+) ([a-z/, ]+) \|", TRIAGES_SECURITY)
    told = {
        (verb, resource)
        for verbs, resources in rows
        for verb in re.findall(r"[a-z]+", verbs)
        for resource in resources.split(", ")
    }
    assert told == {(right.verb, right.resource) for right in rights(["any"], "any")}


def test_operations_tells_every_key_of_triages_configuration() -> None:
    rows = re.findall(r"(?m)^\| (?:`(\w+)`)? ?\| ((?:`\w+`(?:, )?)+) \|", OPERATIONS)
    told = {(section, key) for section, keys in rows for key in re.findall(r"\w+", keys)}
    sections: dict[str, type[BaseModel]] = {
        "tritons": TritonsSection,
        "webhook": WebhookSection,
        "prometheus": PrometheusSection,
        "record": RecordSection,
        "slack": SlackSection,
        "plain": PlainSection,
    }
    keys = {(name, key) for name, section in sections.items() for key in section.model_fields}
    keys |= {("webhook", key) for key in TlsSection.model_fields}
    keys |= {("", key) for key in OncallConfig.model_fields if key not in sections}
    assert told == keys


@cache
def _help(program: str, *verbs: str) -> str:
    binary = ensure_helm() if program == "helm" else ensure_tools().kubectl
    told = subprocess.run([binary, *verbs, "--help"], capture_output=True, text=True, check=True).stdout
    if program == "kubectl":
        told += subprocess.run([binary, "options"], capture_output=True, text=True, check=True).stdout
    return told
