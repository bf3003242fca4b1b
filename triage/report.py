"""The report as data: what the terminal, JSON and whatever comes later render.

Order, for a person woken at 3 a.m.: what to do, what it hits, why, what speaks against it, what could not be seen, the
mitigations, the timeline, the path through the tree, the evidence."""

from collections.abc import Mapping

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
