"""Evidence and rules of a few words each, so that a test shows its whole input: a log is its lines, an index its rows."""

from collections.abc import Sequence

from telemetry.rules_dir import rules_dir
from triage.build_report import build_report
from triage.evidence import (
    Asked,
    ContainerView,
    EventView,
    Evidence,
    Facts,
    IndexRow,
    LogExcerpt,
    LogLine,
    Missing,
    PodEvents,
    PodList,
    PodView,
    RepositoryIndex,
    Snapshot,
)
from triage.report import Report
from triage.rules import Rules, rules_from_texts

SIGNATURES = r"""
area: a few words
signatures:
  - {id: memory, role: cause, category: gpu_memory, origin: triton, pattern: device memory ran out,
     says: The GPU is full., fix: "Free memory for {model}.", cites: [a], matches: [device memory ran out]}
  - {id: layout, role: cause, category: repository_layout, origin: triton, pattern: "no version of '(?P<model>[^']+)'",
     says: It has no version., fix: "Run `ls {model}`.", cites: [a], matches: ["no version of 'm'"]}
  - {id: child, role: general, category: dependency_model, origin: triton,
     pattern: "'(?P<model>[^']+)' needs '(?P<child>[^']+)'",
     says: A model that it needs is not there., fix: "Load {child} first.", cites: [a], matches: ["'m' needs 'n'"]}
  - {id: raised, role: general, category: model_code, origin: python, pattern: "Exception: (?P<what>.*)",
     says: Its Python raised., fix: "Mend: {what}.", cites: [a], matches: ["Exception: x"]}
  - {id: unreadable, role: hint, category: file_permissions, origin: triton, pattern: may be unreadable,
     says: A file may be unreadable., fix: Look at its mode., cites: [a], matches: [may be unreadable]}
  - {id: port, role: cause, category: not_a_load_failure, origin: triton, pattern: port in use,
     says: Another process has the port., cites: [a], matches: [port in use]}
  - {id: killed, role: cause, category: host_resources, origin: kubernetes, pattern: "terminated: OOMKilled",
     says: The kernel killed it., fix: Raise the limit., cites: [a], matches: ["terminated: OOMKilled"]}
  - {id: quiet, role: noise, origin: triton, pattern: harmless, says: Nothing., cites: [a], matches: [harmless]}
"""

TREE = (rules_dir() / "trees" / "load-failure.yaml").read_text(encoding="utf-8")
RULES = rules_from_texts(TREE, {"few.yaml": SIGNATURES}, "few")
"""The shipped tree, with signatures that no shipped row can change."""


def own(message: str, level: str = "E") -> str:
    """Triton's own line."""
    return f"{level}0728 12:00:00.000000 1 model_lifecycle.cc:654] {message}"


def loaded(model: str) -> str:
    return own(f"successfully loaded '{model}'", "I")


def loading(model: str) -> str:
    return own(f"loading: {model}:1", "I")


def failed(model: str, reason: str = "Internal: x") -> str:
    return own(f"failed to load '{model}' version 1: {reason}")


SERVING = own("Started HTTPService at 0.0.0.0:8000", "I")
GAVE_UP = "error: creating server: Internal - failed to load all models"


def evidence(
    id: str, probe: str, facts: Facts | None, missing: Missing | None = None, pod: str = ""
) -> Evidence:
    return Evidence(
        id=id,
        probe=probe,
        source=id,
        query=id,
        command=f"ask {id}",
        fetched_at="2026-07-28T12:00:00Z",
        subject=pod,
        facts=facts,
        missing=missing,
    )


def log(*lines: str, probe: str = "log", pod: str = "", cut: bool = False) -> Evidence:
    kept = tuple(LogLine(number, line) for number, line in enumerate(lines, 1))
    facts = LogExcerpt(kept, len(kept), sum(map(len, lines)), 0, cut)
    return evidence(f"{probe}:{pod}" if pod else probe, probe, facts, pod=pod)


def previous_log(*lines: str, pod: str = "") -> Evidence:
    return log(*lines, probe="previous_log", pod=pod)


def index(*rows: IndexRow) -> Evidence:
    return evidence("index", "index", RepositoryIndex(rows))


def ready(model: str) -> IndexRow:
    return IndexRow(model, "1", "READY")


def unavailable(model: str, reason: str) -> IndexRow:
    return IndexRow(model, "1", "UNAVAILABLE", reason)


def pod(name: str = "web-1", *containers: ContainerView, is_ready: bool = False) -> Evidence:
    facts = PodView("prod", name, "Running", is_ready, owner="deployment/web", containers=containers)
    return evidence(f"pod:{name}", "pod", facts, pod=name)


def container(state: str = "running", **more: object) -> ContainerView:
    values = {
        "name": "triton",
        "image": "t",
        "init": False,
        "ready": False,
        "restarts": 0,
        "state": state,
        **more,
    }
    return ContainerView(**values)  # type: ignore[arg-type]


def events(name: str, *messages: str) -> Evidence:
    told = tuple(EventView("2026-07-28T12:00:00Z", "Unhealthy", message) for message in messages)
    return evidence(f"events:{name}", "events", PodEvents(told), pod=name)


def pods(*names: str, unready: tuple[str, ...] = ()) -> Evidence:
    return evidence("pods", "pod", PodList(names, unready, names))


def gone(probe: str, reason: str = "forbidden", pod: str = "") -> Evidence:
    missing = Missing(reason, "no right", "get the right")  # type: ignore[arg-type]
    return evidence(f"{probe}:{pod}" if pod else probe, probe, None, missing, pod)


def snapshot(found: Sequence[Evidence], model: str = "") -> Snapshot:
    return Snapshot(
        asked=Asked(tree="load-failure", model=model),
        collected_at="2026-07-28T12:00:05Z",
        took_seconds=0.5,
        evidence=tuple(found),
    )


def report(*found: Evidence, model: str = "", rules: Rules = RULES) -> Report:
    return build_report(snapshot(found, model), rules)


def verdict(*found: Evidence, model: str = "") -> tuple[str, str, str | None]:
    """Category, confidence and the model that it speaks of."""
    told = report(*found, model=model).verdict
    return told.category, told.confidence, told.model
