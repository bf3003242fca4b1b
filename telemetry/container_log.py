"""A container's log in bounded memory: its beginning, where causes stand, and its end, where it stopped.

Lines are asked for with the times at which the container runtime took them. No two lines share one, so a head and a tail that
overlap are recognized; the times are taken off again, unless they are wanted: they are UTC, whatever zone the process writes in."""

import codecs
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import object_path

_BAD_REQUEST = 400
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ")


class LogOutcome(StrEnum):
    READ = "read"
    """Also a pod that is not scheduled: the API server gives it an empty log."""
    NOT_STARTED = "not started"  # the container has never run
    NO_PREVIOUS = "no previous"  # it has not been restarted, or its node has forgotten the run before
    GONE = "gone"  # it ran, and its node no longer has the log


class ContainerLog(msgspec.Struct, frozen=True):
    outcome: LogOutcome
    head: str = ""
    """From the beginning; the whole log when `tail` is empty and `gap` is False."""
    tail: str = ""
    """The last lines where the head was cut, up to the end; without those that the head has."""
    gap: bool = False
    """Lines between head and tail may be missing."""
    begins_at: datetime | None = None
    """When the first line was written. Much later than the container's start: the node has rotated the beginning away."""
    ends_at: datetime | None = None
    """When the last line was written; None where the end was not read."""
    words: str = ""
    """The kubelet's own, when the outcome is not `read`."""


async def read_log(
    api: KubernetesApi,
    namespace: str,
    pod: str,
    container: str,
    *,
    previous: bool = False,
    since: datetime | None = None,
    times: bool = False,
    limit_bytes: int = 256 * 1024,
    tail_lines: int = 200,
) -> ContainerLog:
    """The first `limit_bytes` of the log and, if that cut it, its last `tail_lines`, as far as they fit in as much again.

    previous: of the run before the last restart. since: only lines of that time, to the second, and later ones. times: leave before
    each line when the runtime took it. Those count towards the limit, some 31 bytes a line. Raises `KubernetesError`, with status
    400 for a container that the pod does not have."""
    path = object_path(namespace, "v1", "pods", pod, "log")
    query = {"container": container, "timestamps": "true", "limitBytes": str(limit_bytes)}
    query |= {"previous": "true"} if previous else {}
    query |= {"sinceTime": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")} if since else {}
    try:
        head = await api.get(path, query)
        cut = len(head) >= limit_bytes
        tail = await _read_tail(api, path, query, limit_bytes, tail_lines) if cut else b""
    except KubernetesError as error:
        if error.status != _BAD_REQUEST or (outcome := _refusal(error.detail)) is None:
            raise
        return ContainerLog(outcome, words=error.detail)
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(head, final=not cut)
    if not _STAMP.match(text) and (outcome := _refusal(text)) is not None:
        # Since 1.32 kubelets have said 200 before they look for the file.
        return ContainerLog(outcome, words=text.strip())
    return _joined(text, tail.decode("utf-8", "replace"), times=times)


async def _read_tail(
    api: KubernetesApi, path: str, query: Mapping[str, str], limit_bytes: int, lines: int
) -> bytes:
    """The limit cuts at the end, which is what the tail is for: where lines are long, fewer of them."""
    while True:
        tail = await api.get(path, {**query, "tailLines": str(lines)})
        if len(tail) < limit_bytes or lines <= 1:
            return tail
        lines = max(1, min(lines - 1, tail.count(b"\n") // 2))


_NAMED = r'container "[^"]*" in pod "[^"]*"'
_REFUSALS = tuple(
    (re.compile(pattern), outcome)
    for pattern, outcome in (
        (f"previous terminated {_NAMED} not found", LogOutcome.NO_PREVIOUS),
        (f"{_NAMED} is waiting to start", LogOutcome.NOT_STARTED),
        (f"{_NAMED} is not available", LogOutcome.NOT_STARTED),
        (f"{_NAMED} is terminated", LogOutcome.GONE),
        (r'pod "[^"]*" cannot be found - no logs available', LogOutcome.GONE),
        ("unable to retrieve container logs for ", LogOutcome.GONE),
        ('failed to (try resolving symlinks in path|open log file) "', LogOutcome.GONE),
    )
)
"""The kubelet's refusals in kubernetes 1.36: pkg/kubelet/kubelet_pods.go `validateContainerLogStatus` and
`GetKubeletContainerLogs`, kuberuntime/kuberuntime_container.go `GetContainerLogs`, cri-client/pkg/logs/logs.go `ReadLogs`."""


def _refusal(words: str) -> LogOutcome | None:
    return next((outcome for pattern, outcome in _REFUSALS if pattern.match(words)), None)


def _joined(head: str, tail: str, *, times: bool) -> ContainerLog:
    begins_at = _time(head)
    write = "\n".join if times else _plain
    if not tail:
        return ContainerLog(
            LogOutcome.READ, write(head.split("\n")), begins_at=begins_at, ends_at=_last_time(head)
        )
    ends_at = _last_time(tail)
    head_lines, tail_lines = head.split("\n"), tail.split("\n")
    if not _STAMP.match(head_lines[-1]):
        head_lines[-1] = ""  # cut inside its time
    last = len(head_lines) - 1
    for index, line in enumerate(head_lines):
        # Only the tail's first line, or one that is cut, is looked at closely: to compare what follows each line takes seconds.
        may_be = index == last or line == tail_lines[0]
        if may_be and _STAMP.match(line) and _continues(head_lines[index:], tail_lines):
            whole = write(head_lines[:index] + tail_lines)
            return ContainerLog(LogOutcome.READ, whole, begins_at=begins_at, ends_at=ends_at)
    return ContainerLog(LogOutcome.READ, write(head_lines), write(tail_lines), True, begins_at, ends_at)


def _continues(rest: list[str], tail: list[str]) -> bool:
    """Whether the head's `rest`, whose last line is cut anywhere, is how `tail` begins."""
    *whole, cut = rest
    return len(tail) > len(whole) and tail[: len(whole)] == whole and tail[len(whole)].startswith(cut)


def _plain(lines: list[str]) -> str:
    return "\n".join(_STAMP.sub("", line, count=1) if _STAMP.match(line) else line for line in lines)


def _last_time(text: str) -> datetime | None:
    """Of the last line that has one: the rest of it may be a line's continuation."""
    for line in reversed(text.rsplit("\n", 50)[-50:]):
        if (at := _time(line)) is not None:
            return at
    return None


def _time(head: str) -> datetime | None:
    stamp = _STAMP.match(head)
    try:
        return datetime.fromisoformat(stamp[1]) if stamp else None
    except ValueError:
        return None
