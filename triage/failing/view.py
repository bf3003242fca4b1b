"""The view as data: what the terminal and JSON render. Lines are in the order in which they matter."""

from typing import Literal

import msgspec

from triage.tree import Confidence

SCHEMA = "triton-ops/failing-models/v1"

Serving = Literal["nobody", "some", "earlier_version", "other"]
"""How bad it is, the worst first. nobody: no pod of the workload serves the model. some: at least one does, or may.
earlier_version: every pod that fails with it serves another version of it. other: what is no failed load, or has not lasted."""
WORST_FIRST: tuple[Serving, ...] = ("nobody", "some", "earlier_version", "other")


class Pods(msgspec.Struct, frozen=True, kw_only=True):
    """Of the workload, by what was seen or, for pods that stand like one that was looked at, is taken to be the same."""

    failing: int
    of: int
    looked_at: int
    """Of the failing ones."""
    serve: int
    """Ready, and their Triton says that it has the model ready."""
    may_serve: int
    """Ready, and nobody could be asked whether they have the model."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One failing model of one workload; without a model, pods that do not come up and name none."""

    serving: Serving
    namespace: str
    workload: str
    model: str | None
    version: str | None
    category: str
    title: str
    """The category in words, or what is known where it is `cannot_tell`."""
    confidence: Confidence
    since: str | None
    """UTC, RFC 3339: since when the first of these pods is not ready, or is as it is."""
    pods: Pods
    action: str
    """What to do first."""
    pod: str
    """The one that the verdict is of."""
    report: str
    """The command that prints the whole report."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What could not be seen for one reason, and where."""

    what: str
    reason: str
    namespaces: tuple[str, ...]
    workload: str | None = None
    """Where it is about one alone."""
    pods: int
    """Of which it could not be seen; 0 where it is not known how many there are."""
    detail: str
    """What happened, in the words of the first refusal."""
    remedy: str


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of pods."""

    listed: int
    """Of all kinds."""
    triton: int
    troubled: int
    """Not ready, or restarted lately."""
    read: int
    """Whose state, events and logs were read."""
    alike: int
    """Troubled, and taken to be like one that was read."""
    asked: int
    """Whose Triton answered which models it has."""
    not_asked: int
    """Ready, and their Triton could not be asked: failing models of theirs could not be seen."""


class FailingModels(msgspec.Struct, frozen=True, kw_only=True):
    schema: str
    tree: str
    tree_sha256: str
    signatures_sha256: str
    namespaces: tuple[str, ...]
    """Those that were asked for; empty: all."""
    model: str
    """Only lines of this one; empty: of all."""
    collected_at: str
    took_seconds: float
    budget_seconds: float
    requests: int
    """Sent to the API server."""
    unlisted: tuple[str, ...]
    """Namespaces whose pods may not be listed, or could not be."""
    looked: Looked
    lines: tuple[Line, ...]
    unseen: tuple[Gap, ...]

    @property
    def could_look(self) -> bool:
        """Whether it says something that no line is there: Tritons were found, each in trouble was looked at, and each other was
        asked for its models, since one that fails need not make its pod unready."""
        looked = self.looked
        whole = looked.troubled == looked.read + looked.alike and not looked.not_asked
        return looked.triton > 0 and whole and not self.unlisted
