"""One triage as a child process does it: what it is told on stdin, and the lines that it says on stdout. Plain values."""

from typing import Literal

import msgspec

from triage.report import Report

FIRST_LINE_SECONDS = 3.0
"""After so long a report is made of what has answered by then (DESIGN.md, Triage)."""


class PrometheusWords(msgspec.Struct, frozen=True, kw_only=True):
    """How Prometheus is asked; secrets are files."""

    url: str
    token_file: str = ""
    ca_file: str = ""
    headers: dict[str, str] = {}
    services: tuple[str, ...] = ()
    """What gateways call the workload, where that is not its name."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be looked at. Times are seconds since 1970."""

    tree: str
    namespace: str
    target: str
    """`deployment/NAME` and the like."""
    model: str = ""
    start: float
    end: float
    prometheus: PrometheusWords | None = None
    tritons: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    """Their pages, in the same order."""
    capture_seconds: float = 5.0
    kubeconfig: str = ""
    context: str = ""
    rules: str = ""
    """Folder of rules; empty: those that ship."""
    bundle: str = ""
    """File for all the evidence; empty: it is not kept."""


class ReadSource(msgspec.Struct, frozen=True, kw_only=True):
    """One source that was asked, for the audit record."""

    source: str
    query: str
    fetched_at: str
    sha256: str
    masked: int
    missing: str = ""
    """The reason where it told nothing."""
    probe: str


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the child's: how many sources have answered, a report on those that had, or the whole."""

    kind: Literal["progress", "preliminary", "report", "failed"]
    answered: int = 0
    report: Report | None = None
    read: tuple[ReadSource, ...] = ()
    kept: str = ""
    """The bundle's file, where it could be kept."""
    why: str = ""
    """Of a failure, or why no bundle was kept."""
