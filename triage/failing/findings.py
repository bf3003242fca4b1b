"""What one pod's evidence says of each model that fails in it, by the same rules as its whole report. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from triage.build_report import cases_of, report_on
from triage.case import Case, ModelCase
from triage.evidence import RepositoryIndex, Snapshot
from triage.report import Report
from triage.rules import Rules
from triage.tree import Confidence
from triage.wording import MAX_NAME, short

MOST_MODELS = 50
"""Of one pod: a repository that cannot be read fails with all its models."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One model that fails in a pod, or, without a model, a pod that does not come up."""

    model: str
    version: str
    category: str
    title: str
    confidence: Confidence
    action: str
    settles: bool = False
    """No load has failed: it is under way, or nothing is known yet. A pod that has just begun is no failure."""
    earlier: bool = False
    """The log shows an earlier version loaded before this one failed."""


@dataclass(frozen=True, slots=True)
class Findings:
    of: tuple[Finding, ...]
    ready_models: frozenset[str] | None = None
    """Those of which the pod's Triton says that a version is ready; None where it could not be asked."""
    left_out: int = 0
    """Failing models beyond MOST_MODELS."""


def findings_of(snapshot: Snapshot, rules: Rules, *, ready: bool) -> Findings:
    """Of the snapshot of one pod. `ready` is Kubernetes' word: an unready pod without a failing model is a finding too."""
    cases = cases_of(snapshot, rules)
    ready_models = ready_by_index(snapshot)
    failing = list(dict.fromkeys(model.name for case in cases for model in case.failing))
    named = [name for name in failing if not snapshot.asked.model or name == snapshot.asked.model]
    found = [_of_model(cases, name, snapshot, rules) for name in named[:MOST_MODELS]]
    if not found and not ready and not snapshot.asked.model:
        found = [_of_pod(report_on(cases, snapshot, rules), rules, loading=_loading(cases))]
    return Findings(tuple(found), ready_models, max(0, len(named) - MOST_MODELS))


def ready_by_index(snapshot: Snapshot) -> frozenset[str] | None:
    told = [e.facts for e in snapshot.evidence if isinstance(e.facts, RepositoryIndex) and not e.facts.error]
    if not told:
        return None
    return frozenset(row.name for index in told for row in index.rows if row.state == "READY")


def failed_by_index(index: RepositoryIndex) -> bool:
    """Whether it is worth to read the log of a pod that is well otherwise."""
    return bool(index.error) or any(
        row.state == "UNAVAILABLE" and row.reason not in ("", "unloaded") for row in index.rows
    )


def _of_model(cases: Sequence[Case], name: str, snapshot: Snapshot, rules: Rules) -> Finding:
    asked = msgspec.structs.replace(snapshot.asked, model=name)
    report = report_on(cases, msgspec.structs.replace(snapshot, asked=asked), rules)
    verdict = report.verdict
    model = next(_models(cases, name), None)
    return Finding(
        model=short(name, MAX_NAME),
        version=short(verdict.version or "", MAX_NAME),
        category=verdict.category,
        title=_title(report, rules),
        confidence=verdict.confidence,
        action=verdict.action,
        earlier=model is not None and model.loaded_before,
    )


def _of_pod(report: Report, rules: Rules, *, loading: str) -> Finding:
    """`loading` is a model whose load has begun and not ended: where nothing says why, that is all that is known."""
    verdict = report.verdict
    unnamed = verdict.category == "cannot_tell"
    return Finding(
        model=short(verdict.model or (loading if unnamed else ""), MAX_NAME),
        version=short(verdict.version or "", MAX_NAME),
        category=verdict.category,
        title="still loading" if loading and unnamed else _title(report, rules),
        confidence=verdict.confidence,
        action=verdict.action,
        settles=unnamed,
    )


def _loading(cases: Sequence[Case]) -> str:
    """The first model that is still loading, where none has failed."""
    return next((m.name for case in cases for m in case.models.values() if m.loading), "")


def _models(cases: Sequence[Case], name: str) -> Iterator[ModelCase]:
    return (case.models[name] for case in cases if name in case.models)


def _title(report: Report, rules: Rules) -> str:
    leaf = next(leaf for leaf in rules.tree.leaves if leaf.id == report.verdict.leaf)
    return leaf.title
