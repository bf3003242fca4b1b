"""The report as data: what the terminal, JSON and whatever comes later render.

Order, for a person woken at 3 a.m.: what to do, what it hits, why, what speaks against it, what could not be seen, the
mitigations, the timeline, the path through the tree, the evidence."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from triage.tree import Confidence

SCHEMA = "triton-ops/triage-report/v1"


class VerdictView(msgspec.Struct, frozen=True, kw_only=True):
    category: str
    confidence: Confidence
    leaf: str
    model: str | None = None
    version: str | None = None
    root_line: str | None = None
    action: str = ""
    signature: str | None = None
    title: str = ""
    also: tuple[str, ...] = ()
    """Categories that fit as well as this one."""


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    evidence: tuple[str, ...] = ()
    quote: str | None = None


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    what: str
    reason: str
    detail: str
    remedy: str


class Mitigation(msgspec.Struct, frozen=True, kw_only=True):
    do: str
    command: str | None
    undo: str
    blast_radius: str
    verify: str
    not_if: str


class ModelLine(msgspec.Struct, frozen=True, kw_only=True):
    model: str
    version: str
    state: str
    category: str | None
    line: str | None
    blames: str | None = None
    fix: str | None = None
    subject: str = ""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    at: str
    what: str
    evidence: str


class PathStep(msgspec.Struct, frozen=True, kw_only=True):
    node: str
    ask: str
    answer: str
    because: str
    evidence: tuple[str, ...]


class EvidenceLine(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    source: str
    query: str
    command: str
    fetched_at: str
    got: str
    masked: int
    sha256: str


class Alternative(msgspec.Struct, frozen=True, kw_only=True):
    category: str
    confidence: Confidence
    leaf: str
    title: str = ""
    separate: str | None = None
    """What would tell it from the verdict."""


class Onset(msgspec.Struct, frozen=True, kw_only=True):
    """When it began, in seconds since 1970, and between which times that surely lies."""

    at: float
    earliest: float
    latest: float
    of: str
    """What was seen to move, such as `99th percentile of the time in Triton`."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    label: str
    values: tuple[float | None, ...]
    """None where nothing was measured: a gap, not a zero."""


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    kind: Literal["onset", "change"]
    what: str


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Curves over one even grid of times, `start` in seconds since 1970."""

    title: str
    unit: str
    start: float
    step: float
    curves: tuple[Curve, ...]
    usual: tuple[float, float] | None = None
    """The range of the first curve before the onset, median and 99th percentile."""
    onset: Onset | None = None
    marks: tuple[Mark, ...] = ()
    evidence: tuple[str, ...] = ()


class GpuRow(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU or a MIG instance that pods in question hold. Empty: not told."""

    node: str
    gpu: str
    """Its index on the node."""
    uuid: str
    """Of the whole GPU."""
    instance: str = ""
    profile: str = ""
    pods: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    """Who else holds it, `namespace/pod`; not all of them may be told."""
    used_bytes: float | None = None
    total_bytes: float | None = None
    """As they were known last; None: nobody tells."""
    notes: tuple[str, ...] = ()
    """What is wrong with it."""
    evidence: tuple[str, ...] = ()


class GpuMap(msgspec.Struct, frozen=True, kw_only=True):
    rows: tuple[GpuRow, ...]
    more: int = 0
    """Devices that are not among the rows."""
    pods: int = 0
    """That hold all of them."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    schema: str
    tree: str
    tree_sha256: str
    signatures_sha256: str
    asked: Mapping[str, str]
    collected_at: str
    took_seconds: float
    headline: str
    verdict: VerdictView
    impact: tuple[str, ...]
    why: tuple[Fact, ...]
    against: tuple[Fact, ...]
    alternatives: tuple[Alternative, ...]
    unseen: tuple[Unseen, ...]
    actions: tuple[Mitigation, ...]
    models: tuple[ModelLine, ...]
    timeline: tuple[Moment, ...]
    path: tuple[PathStep, ...]
    evidence: tuple[EvidenceLine, ...]
    masked: int
    freeze: str | None = None
    """The command that keeps more pods from being changed while one looks, in the words of the workload's owner."""
    onset: Onset | None = None
    charts: tuple[Chart, ...] = ()
    """What moved, the most telling first."""
    gpus: GpuMap | None = None
    """None: no source tells which pod holds which GPU, or there is none."""


CALM = ("not_a_load_failure", "recovered", "usual_for_this_hour", "bad_alert_rule", "load_test")


def is_calm(report: Report) -> bool:
    """Whether the verdict is that nothing has to be done."""
    return report.verdict.category in CALM


def passes(report: Report) -> bool:
    """Whether nothing was found by a look that can find: at a server, or at a whole repository, though that shows no load."""
    return is_calm(report) or report.verdict.leaf == "repository-in-order"


def tone_of(report: Report) -> Literal["cause", "calm", "unknown"]:
    """How the headline is shown."""
    if report.verdict.category == "cannot_tell":
        return "unknown"
    return "calm" if is_calm(report) else "cause"
