"""docs/reference has a page for every alert, verdict and signal, made from its row and from nothing else, and what a page says to
type exists."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

import triage.cli
from scripts.reference.alerts import read_runbooks
from scripts.render_docs import REFERENCE, RULES, rendered
from telemetry.located_yaml import InvalidFileError
from tests.alerts.rule_files import Rule, alerts, metric_names, rules
from tests.alerts.test_rules import RUNBOOKS
from tests.controlplane.build_tools import ensure_tools
from tests.prometheus.build_tools import PrometheusTools
from triage.tree import parse_tree

HEADINGS = {
    "alerts": ["Meaning", "Impact", "Diagnosis", "Mitigation", "When it is silent", "The rule"],
    "leaves": ["Meaning", "Evidence", "Mitigation", "Sources"],
    "signals": ["Meaning", "Evidence", "Idle and no data", "Use in an HPA", "Sources"],
}
LOOKS = [(name, look) for name, book in read_runbooks(RULES).items() for look in book.look]
QUERIES = [(name, look.query) for name, look in LOOKS if look.query]
COMMANDS = sorted(
    {part.strip() for _, look in LOOKS for part in re.split(r"[;|]", look.command) if part.strip()}
)
PAGES = {path.relative_to(REFERENCE).as_posix(): path.read_text() for path in sorted(REFERENCE.rglob("*.md"))}


def test_no_page_is_missing_and_none_is_stale() -> None:
    """`make docs` writes them anew."""
    assert {REFERENCE / name: text for name, text in PAGES.items()} == dict(rendered())


def test_every_row_has_its_page() -> None:
    trees = [parse_tree(file.read_text(), str(file)) for file in (RULES / "trees").glob("*.yaml")]
    assert len(trees) == 2
    expected = {f"alerts/{alert.name}.md" for alert in alerts()}
    expected |= {f"leaves/{leaf.id}.md" for tree in trees for leaf in tree.leaves}
    expected |= {f"signals/{file.stem}.md" for file in (RULES / "signals").glob("*.yaml")}
    assert set(PAGES) == expected | {"README.md"}
    assert all(f"]({name})" in PAGES["README.md"] for name in expected)


def test_there_is_no_runbook_without_an_alert() -> None:
    assert set(read_runbooks(RULES)) == {alert.name for alert in alerts()}


@pytest.mark.parametrize("name", [name for name in PAGES if "/" in name])
def test_pages_of_a_kind_have_the_same_headings(name: str) -> None:
    found = re.findall(r"(?m)^## (.*)$", PAGES[name])
    optional = {"Told apart from"}
    assert [heading for heading in found if heading not in optional] == HEADINGS[name.partition("/")[0]]


@pytest.mark.parametrize("alert", alerts(), ids=lambda rule: rule.name)
def test_the_page_that_an_alert_leads_to_begins_with_triage_where_it_has_a_tree(alert: Rule) -> None:
    page = PAGES[f"alerts/{alert.annotations['runbook_url'].removeprefix(RUNBOOKS)}.md"]
    diagnosis = page.partition("## Diagnosis")[2]
    commands = re.findall(r"(?m)^triton-triage (\S+) (.*)$", diagnosis.partition("## Mitigation")[0])
    assert [tree for tree, _ in commands] == ([alert.labels["triage"]] if "triage" in alert.labels else [])
    for tree, words in commands:
        known = {option for parameter in triage.cli.main.commands[tree].params for option in parameter.opts}
        assert {word for word in words.split() if word.startswith("-")} <= known


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_to_a_page(name: str) -> None:
    for link in re.findall(r"\]\(([\w./-]+)\)", PAGES[name]):
        assert ((REFERENCE / name).parent / link).is_file(), link


def test_every_query_is_one_that_prometheus_takes_over_metrics_that_rules_read(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    file = tmp_path / "queries.yaml"
    group = {
        "name": "all",
        "rules": [{"record": f"q:{n}", "expr": query} for n, (_, query) in enumerate(QUERIES)],
    }
    file.write_text(yaml.safe_dump({"groups": [group]}))
    told = subprocess.run(
        [prometheus_tools.promtool, "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
    known = {name for rule in rules() for name in rule.names()} | {"nv_inference_pending_request_count"}
    assert {name for _, query in QUERIES for name in metric_names(query)} <= known


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("kubectl")])
def test_every_kubectl_command_has_the_options_shown(line: str) -> None:
    words = line.partition(" -- ")[0].split()[1:]
    verb = next(word for word in words if re.fullmatch(r"(get|describe|logs|exec)", word))
    known = _kubectl_help(verb)
    for option in (word.partition("=")[0] for word in words if word.startswith("-")):
        assert re.search(rf"(?m)^\s*(?:-\w, )?{option}\b|^\s*{option},", known), f"{option} is none of {line}"


def test_a_runbook_that_says_nothing_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "runbooks.yaml").write_text("A:\n  impact: it hurts\n  look: [{says: here}]\n  do: []\n")
    with pytest.raises(InvalidFileError) as refused:
        read_runbooks(tmp_path)
    told = "\n".join(str(problem) for problem in refused.value.problems)
    assert "give either a query or a command" in told
    assert "runbooks.yaml:4" in told


@cache
def _kubectl_help(verb: str) -> str:
    run = [str(ensure_tools().kubectl)]
    return "".join(
        subprocess.run([*run, *words], capture_output=True, text=True, check=True).stdout
        for words in ([verb, "--help"], ["options"])
    )
