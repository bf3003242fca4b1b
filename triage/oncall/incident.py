"""An incident: what alerts say of one workload, what was found, and what was told of it. Plain values, which the record keeps as
they are; what changes one makes a new one."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from triage.report import Report

Began = Literal["alert", "unready_pods"]
State = Literal["open", "resolved", "closed"]
"""`resolved`: no alert of it fires any more. `closed`: whether the mitigation worked was looked at, and it can reopen no more."""
Work = Literal["waiting", "running", "done", "failed"]
"""How far the triage is. A start of the program lets what was running wait again."""

SEVERITIES = ("critical", "warning", "info")
"""As alert rules have them, the worst first; what is none of them counts as a warning."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of Alertmanager, as it was told last. Times are seconds since 1970."""

    fingerprint: str
    name: str
    severity: str = "warning"
    firing: bool = True
    starts_at: float
    ends_at: float | None = None
    summary: str = ""
    runbook_url: str = ""
    source_url: str = ""
    """Where Prometheus shows the rule's expression."""
    model: str = ""


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the thread as Slack has it."""

    digest: str
    """Of what was sent last."""
    ts: str = ""
    """Slack's name of the message; empty while it is not known whether a first sending arrived."""
    link: str = ""
    maybe_twice: bool = False
    """An earlier sending may have arrived, and nobody could look."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether what was done worked, by what was measured after the alerts had ended."""

    at: float
    worked: Literal["yes", "no", "unknown"]
    said: str


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Of the record, and the key in every message's metadata."""
    namespace: str
    workload: str
    """`deployment/NAME` and the like, or `pod/NAME` where nothing is known above the pod."""
    tree: str
    model: str = ""
    began: Began = "alert"
    state: State = "open"
    work: Work = "waiting"
    opened_at: float
    resolved_at: float | None = None
    unheard: bool = False
    """It is taken as ended since nothing was heard of its alerts for a day: whether they fire is not known."""
    reopened: int = 0
    """How often alerts came again within the hour after they had ended."""
    first_severity: str = "warning"
    """When it began: whom its first message calls."""
    alerts: tuple[Alert, ...] = ()
    truncated_alerts: int = 0
    """Alerts that Alertmanager left out of its notifications: nothing is known of them."""
    refused: str = ""
    """Why nothing was looked at: the target is gone, or its namespace is not allowed. Else empty."""
    progress: str = ""
    """While one looks, such as `5 sources answered`."""
    preliminary: bool = False
    """The report rests on what had answered by then; the whole one follows."""
    report: Report | None = None
    """Shortened to what a record can hold."""
    report_at: float | None = None
    failure: str = ""
    """Why there is no report, where the triage itself failed."""
    bundle: str = ""
    """File of all the evidence, in the service's folder of bundles."""
    outcome: Outcome | None = None
    same_as: str = ""
    """The incident that tells the cause which this one has, too."""
    also: tuple[str, ...] = ()
    """Incidents with the same cause, in `namespace/workload` words, where this one tells it."""
    channel: str = ""
    """Slack's id of the channel in which the thread is, once it has begun."""
    posted: Mapping[str, Posted] = {}
    """By the message's part: `root`, `details`, `resolved`, `outcome` and so on."""

    @property
    def key(self) -> tuple[str, str, str]:
        """At most one incident that is not closed has it."""
        return self.namespace, self.workload, self.tree

    @property
    def severity(self) -> str:
        """Of the worst alert that it had."""
        told = {self.first_severity, *(alert.severity for alert in self.alerts)}
        return next((severity for severity in SEVERITIES if severity in told), "warning")

    @property
    def has_escalated(self) -> bool:
        """Whether a worse alert joined than it began with."""
        return self.severity != self.first_severity
