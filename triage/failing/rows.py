"""From what is known of each pod to the lines of the view: pods that fail alike are one line, and the worst comes first. Pure."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from triage.failing.findings import Finding, Findings
from triage.failing.triton_pod import TritonPod
from triage.failing.view import WORST_FIRST, Line, Pods, Serving
from triage.walk import BANDS

SETTLES_AFTER = timedelta(minutes=2)
"""What has not failed and is no older is shown last: as long as the service waits before it looks at a pod that stays unready."""
_TARGETS = {"deployment", "statefulset", "daemonset", "replicaset", "pod"}
"""Kinds that a report can be asked about; of others it is asked by the pod."""


@dataclass(frozen=True, slots=True)
class PodCase:
    pod: TritonPod
    findings: Findings | None = None
    """None: it was not looked at closely, or in time nothing came of it."""
    asked: frozenset[str] | None = None
    """Models that its Triton has ready, where that was all that was asked; None where nothing was told."""

    @property
    def ready_models(self) -> frozenset[str] | None:
        return self.findings.ready_models if self.findings is not None else self.asked


@dataclass(frozen=True, slots=True)
class _Key:
    namespace: str
    workload: str
    model: str
    version: str
    category: str


def lines_of(cases: Sequence[PodCase], now: datetime, flags: str = "") -> tuple[Line, ...]:
    """`now` is an aware time; `flags` are those of kubeconfig and context, for the commands."""
    by_workload: dict[tuple[str, str], list[PodCase]] = {}
    for case in cases:
        by_workload.setdefault((case.pod.namespace, case.pod.workload), []).append(case)
    lines = [
        _line(key, seen, alike, by_workload[key.namespace, key.workload], now, flags)
        for key, (seen, alike) in _by_key(by_workload).items()
    ]
    return tuple(sorted(lines, key=_worst_first))


def unlike(cases: Iterable[PodCase]) -> Mapping[tuple[str, str], int]:
    """By namespace and workload: pods that were not read, and stand like others that were read and fail differently."""
    counts: dict[tuple[str, str], int] = {}
    for group in _groups(cases):
        unread = sum(case.findings is None for case in group)
        if unread and len(_told(group)) > 1:
            where = group[0].pod.namespace, group[0].pod.workload
            counts[where] = counts.get(where, 0) + unread
    return counts


_Seen = list[tuple[PodCase, Finding]]


def _by_key(
    by_workload: Mapping[tuple[str, str], Sequence[PodCase]],
) -> dict[_Key, tuple[_Seen, list[PodCase]]]:
    """The pods of each line: those that were looked at, and those that are taken to be like them."""
    rows: dict[_Key, tuple[_Seen, list[PodCase]]] = {}
    for cases in by_workload.values():
        for group in _groups(cases):
            unread = [case for case in group if case.findings is None] if _agree(group) else []
            keys = set()
            for case in group:
                for finding in case.findings.of if case.findings else ():
                    key = _key(case, finding)
                    rows.setdefault(key, ([], []))[0].append((case, finding))
                    keys.add(key)
            for key in keys:
                rows[key][1].extend(unread)
    return rows


def _key(case: PodCase, finding: Finding) -> _Key:
    pod = case.pod
    return _Key(pod.namespace, pod.workload, finding.model, finding.version, finding.category)


def _groups(cases: Iterable[PodCase]) -> list[list[PodCase]]:
    """Troubled pods that stand alike; a pod in no trouble stands for itself."""
    groups: dict[tuple[str, ...], list[PodCase]] = {}
    for case in cases:
        pod = case.pod
        own = (pod.alike,) if pod.troubled else (pod.alike, pod.name)
        groups.setdefault((pod.namespace, pod.workload, *own), []).append(case)
    return list(groups.values())


def _agree(group: Sequence[PodCase]) -> bool:
    """Whether those that were read fail alike. Where none was, there is nothing to be like."""
    return len(_told(group)) == 1


def _told(group: Sequence[PodCase]) -> set[frozenset[_Key]]:
    return {frozenset(_key(case, f) for f in case.findings.of) for case in group if case.findings is not None}


def _line(
    key: _Key, seen: _Seen, alike: Sequence[PodCase], workload: Sequence[PodCase], now: datetime, flags: str
) -> Line:
    case, finding = min(seen, key=lambda one: (BANDS.index(one[1].confidence), one[0].pod.name))
    failing = [one.pod for one, _ in seen] + [one.pod for one in alike]
    since = min((pod.since for pod in failing if pod.since), default=None)
    serve, may_serve = _others(key.model, failing, workload)
    serving = _serving(key.model, seen, len(failing), serve + may_serve)
    if all(f.settles for _, f in seen) and (since is None or now - since < SETTLES_AFTER):
        serving = "other"
    return Line(
        serving=serving,
        namespace=key.namespace,
        workload=key.workload,
        model=key.model or None,
        version=key.version or None,
        category=key.category,
        title=finding.title,
        confidence=finding.confidence,
        since=since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if since else None,
        pods=Pods(
            failing=len(failing), of=len(workload), looked_at=len(seen), serve=serve, may_serve=may_serve
        ),
        action=" ".join(finding.action.split()),
        pod=case.pod.name,
        report=report_command(key.namespace, key.workload, case.pod.name, key.model, flags),
    )


def _others(model: str, failing: Sequence[TritonPod], workload: Sequence[PodCase]) -> tuple[int, int]:
    """Of the workload's other pods: those that serve the model, and those of which nobody could say whether they do."""
    names = {pod.name for pod in failing}
    ready = [case for case in workload if case.pod.ready and case.pod.name not in names]
    told = [case.ready_models for case in ready]
    serve = sum(models is not None and (model in models if model else True) for models in told)
    return serve, sum(models is None for models in told)


def _serving(model: str, seen: _Seen, failing: int, others: int) -> Serving:
    """A pod that is not ready gets no requests by a Service, whatever its Triton has loaded."""
    earlier = [
        case
        for case, finding in seen
        if case.pod.ready and (model in (case.ready_models or ()) or _may_have_earlier(case, finding))
    ]
    if len(earlier) == failing:
        return "earlier_version"
    return "some" if others or earlier else "nobody"


def _may_have_earlier(case: PodCase, finding: Finding) -> bool:
    """Its Triton could not be asked, and its log shows that an earlier version had loaded."""
    return finding.earlier and case.ready_models is None


def report_command(namespace: str, workload: str, pod: str, model: str, flags: str) -> str:
    kind, _, name = workload.partition("/")
    short = {"deployment": "deploy", "statefulset": "sts", "daemonset": "ds", "replicaset": "rs"}
    target = f"{short.get(kind, kind)}/{name}" if kind in _TARGETS else f"pod/{pod}"
    of_model = f" --model {shlex.quote(model)}" if model else ""
    return f"triton-triage load-failure{flags} -n {shlex.quote(namespace)} {shlex.quote(target)}{of_model}"


def _worst_first(line: Line) -> tuple[object, ...]:
    return (
        WORST_FIRST.index(line.serving),
        line.category in ("cannot_tell", "not_a_load_failure"),  # a named cause can be acted on
        -line.pods.failing,
        line.namespace,
        line.workload,
        line.model or "",
        line.version or "",
        line.category,
    )
