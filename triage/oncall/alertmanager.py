"""Alertmanager's webhook, version 4, as plain values. What a label or an annotation says is anybody's text: it is cut, made
printable and redacted here, and names that are none are told. Pure.

Fields: prometheus/alertmanager notify/webhook `Message` and template `Data`."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import msgspec

from triage.oncall.incident import SEVERITIES, Alert, Began
from triage.wording import short

_MOST_TEXT = 300
_MOST_READ = 2000
"""Of one text."""
_MOST_NAME = 253
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_WORKLOADS = {"deployment": "deployment", "statefulset": "statefulset", "daemonset": "daemonset"}
_FINGERPRINT = re.compile(r"[0-9a-f]{1,16}")
"""As prometheus/common model `Fingerprint` prints it: a hash, which must not be taken for a secret."""
_KIND = re.compile(r"[A-Za-z]{1,63}")

Seal = Callable[[str], str]
"""Makes a text printable and takes its secrets out: `triage.seal.Seal.value`."""

TREE_LABEL = "triage"
"""The label that makes an alert ours; its value is the tree."""


class NotificationError(ValueError):
    """A body that is no notification of version 4; the message says what is wrong with it."""


class _Alert(msgspec.Struct, rename="camel"):
    status: str
    labels: dict[str, str]
    starts_at: datetime
    annotations: dict[str, str] = {}
    ends_at: datetime | None = None
    generator_url: str = msgspec.field(name="generatorURL", default="")
    fingerprint: str = ""


class _Message(msgspec.Struct, rename="camel"):
    version: str
    group_key: str
    alerts: list[_Alert]
    truncated_alerts: int = 0


_DECODER = msgspec.json.Decoder(_Message)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One alert and what its labels ask for."""

    alert: Alert
    tree: str
    """Empty: the alert is not for us."""
    namespace: str
    workload: str
    """`deployment/NAME` and the like, `pod/NAME`, or empty where the labels name none."""
    problem: str = ""
    """Why nothing can be looked at, in words."""
    began: Began = "alert"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    truncated_alerts: int
    told: tuple[Told, ...]


def parse_notification(body: bytes, seal: Seal) -> Notification:
    """`seal` takes the secrets out of what will be stored and told. Raises NotificationError."""
    try:
        message = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        said = str(error) if isinstance(error, msgspec.DecodeError) else type(error).__name__
        raise NotificationError(f"no webhook of Alertmanager: {short(said, 200)}") from None
    if message.version != "4":
        raise NotificationError(
            f"version {short(message.version, 20)!r} of the webhook is not known, 4 is: Alertmanager 0.16 and later send it"
        )
    return Notification(
        truncated_alerts=max(0, message.truncated_alerts),
        told=tuple(_told(each, seal) for each in message.alerts),
    )


def _told(given: _Alert, seal: Seal) -> Told:
    labels = given.labels
    tree = labels.get(TREE_LABEL, "")
    namespace, workload, problem = _target(labels, seal)
    severity = labels.get("severity", "").lower()
    alert = Alert(
        fingerprint=_fingerprint(given, seal),
        name=_text(labels.get("alertname", ""), seal) or "an alert without a name",
        severity={"page": "critical", "ticket": "warning"}.get(severity, severity)
        if severity in (*SEVERITIES, "page", "ticket")
        else "warning",
        firing=given.status != "resolved",
        starts_at=_seconds(given.starts_at),
        ends_at=_seconds(given.ends_at) if given.status == "resolved" and given.ends_at else None,
        summary=_text(given.annotations.get("summary", "") or given.annotations.get("description", ""), seal),
        runbook_url=_text(given.annotations.get("runbook_url", ""), seal),
        source_url=_text(given.generator_url, seal),
        model=short(_text(labels.get("model", ""), seal), _MOST_NAME),
    )
    return Told(alert=alert, tree=_text(tree, seal), namespace=namespace, workload=workload, problem=problem)


def _fingerprint(given: _Alert, seal: Seal) -> str:
    """What tells this alert from others; of one that brings none a hash of its labels, from which no secret can be guessed."""
    if _FINGERPRINT.fullmatch(given.fingerprint):
        return given.fingerprint
    told = given.fingerprint or "\n".join(f"{name}={value}" for name, value in sorted(given.labels.items()))
    return hashlib.sha256(seal(told).encode()).hexdigest()[:16]


def _target(labels: Mapping[str, str], seal: Seal) -> tuple[str, str, str]:
    """Namespace, workload and what is wrong with them."""
    namespace = labels.get("namespace", "")
    if not _NAMESPACE.fullmatch(namespace) or seal(namespace) != namespace:
        return "", "", f"its label namespace={_quoted(namespace, seal)} names no namespace"
    kind, name = _named(labels)
    if name and (not _OBJECT.fullmatch(name) or seal(name) != name):
        return namespace, "", f"its label {kind}={_quoted(name, seal)} is no name of an object"
    return namespace, f"{kind}/{name}" if name else "", ""


def _named(labels: Mapping[str, str]) -> tuple[str, str]:
    """Kind and name of the first label that names something with pods."""
    if name := labels.get("workload", ""):
        kind = labels.get("workload_kind", "") or labels.get("workload_type", "") or "Deployment"
        return (kind.lower() if _KIND.fullmatch(kind) else "deployment"), name
    for label, kind in _WORKLOADS.items():
        if name := labels.get(label, ""):
            return kind, name
    return "pod", labels.get("pod", "")


def _quoted(text: str, seal: Seal) -> str:
    return f'"{short(_text(text, seal), 80)}"'


def _text(text: str, seal: Seal) -> str:
    """Sealed before it is cut, and of a huge one whole words: half a secret looks like none."""
    begins = text if len(text) <= _MOST_READ else text[:_MOST_READ].rpartition(" ")[0]
    sealed = seal(begins)
    line = " ".join(sealed.split())
    return short(line if line == sealed else seal(line), _MOST_TEXT)  # lines that are joined may say one


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
