"""What a GPU of the pod showed when a load began in which its memory ran out, and before the server began. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from triage.case import Case
from triage.case_gpus import is_own
from triage.claims import LogReading
from triage.evidence import LogExcerpt, PodView
from triage.gpus import Device, Holder, gib, holder_name
from triage.log_time import seconds_of, time_of
from triage.pod_roles import triton_containers

_BEFORE_SECONDS = 300.0
SCRAPE_SECONDS = 60.0
"""So old may a sample be at its step."""
_CLOCKS_APART = 5.0
"""Seconds by which two clocks of a cluster may differ."""
_OLDEST_STEPS = 3
"""A sample that is older does not tell of now."""


@dataclass(frozen=True, slots=True)
class Load:
    """When it was. Seconds since 1970; None: not known."""

    server_began: float | None
    earlier_ended: float | None
    """The server's life before that; at the latest."""
    began: float | None
    pod_began: float | None

    @property
    def no_earlier_life(self) -> float:
        """From when on a sample shows nothing of the server's life before."""
        return float("-inf") if self.earlier_ended is None else self.earlier_ended + SCRAPE_SECONDS

    @classmethod
    def of(cls, case: Case, model: str) -> "Load":
        reading = next((r for r in case.logs if failed_in(r, model)), None)
        began = _begin_of(reading, model) if reading else None
        server, earlier = _life(
            case, previous=reading is not None and reading.evidence.probe == "previous_log"
        )
        if began is not None and server is not None and began < server - _CLOCKS_APART:
            began = None  # the container's clock or zone is another
        return cls(server, earlier, began, seconds_of(case.pod.started_at) if case.pod else None)


@dataclass(frozen=True, slots=True)
class Then:
    """What one device showed before the server began and when the load did."""

    device: Device
    total: float
    before_server: float | None
    """Bytes in use before the server began, so of others; the least of five minutes."""
    at_load: float | None
    measured_at: float = 0.0
    """When that was."""

    @classmethod
    def of(cls, case: Case, device: Device, load: Load) -> "Then":
        memory = device.memory
        before = at_load = None
        measured_at = 0.0
        nothing_earlier = max(load.no_earlier_life, _no_earlier_pod(case, device, load.pod_began))
        if load.server_began is not None:
            low = max(load.server_began - _BEFORE_SECONDS, nothing_earlier)
            seen = [value for at, value in _samples(device) if low <= at <= load.server_began]
            before = min(seen, default=None)
        if load.began is not None:
            oldest = max(load.began - _OLDEST_STEPS * device.step, nothing_earlier)
            known = [(at, value) for at, value in _samples(device) if oldest <= at <= load.began]
            measured_at, at_load = known[-1] if known else (0.0, None)
        return cls(device, memory[1] if memory else 0.0, before, at_load, measured_at)

    def others(self, case: Case, load: Load) -> list[str]:
        """Pods that held it beside the one in question when the load began or later, as `namespace/pod`."""
        return _pods(self._others(case, load.began))

    def _others(self, case: Case, began: float | None) -> list[Holder]:
        left = {holder for holder, at in self.device.left.items() if began is not None and at < began}
        return [holder for holder in self.device.held if holder not in left and not is_own(case, holder)]

    def others_before(self, case: Case, load: Load) -> list[str]:
        """Those of them that may have held it before the server began."""
        if load.server_began is None:
            return []
        latest = load.server_began + SCRAPE_SECONDS
        known = self.device.since
        there = [holder for holder in self._others(case, load.began) if known.get(holder, latest) <= latest]
        return _pods(there)

    def gone(self, case: Case, load: Load) -> list[str]:
        """Those of them that gave it up between the time of `before_server` and the load: what they had is in that figure, and was
        not in use any more."""
        if load.server_began is None or load.began is None:
            return []
        low, high = load.server_began - _BEFORE_SECONDS, load.began
        left = self.device.left.items()
        return _pods(holder for holder, at in left if low <= at < high and not is_own(case, holder))

    @property
    def evidence(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.device.evidence))

    def amount(self, used: float) -> str:
        return f"{gib(used)} of {gib(self.total)} GiB of {self.device.name}"


def _no_earlier_pod(case: Case, device: Device, pod_began: float | None) -> float:
    """From when on a sample shows nothing of a pod of the same name, such as a StatefulSet's, that was there before."""
    held_earlier = pod_began is not None and any(
        at < pod_began - _CLOCKS_APART for holder, at in device.since.items() if is_own(case, holder)
    )
    return pod_began + SCRAPE_SECONDS if pod_began is not None and held_earlier else float("-inf")


def _pods(holders: Iterable[Holder]) -> list[str]:
    return sorted(map(holder_name, holders))


def _samples(device: Device) -> list[tuple[float, float]]:
    return [
        (device.start + n * device.step, value) for n, value in enumerate(device.used) if value is not None
    ]


def failed_in(reading: LogReading, model: str) -> bool:
    """Whether this log says that the model's load failed."""
    attempt = reading.log.attempts.get(model)
    return attempt is not None and attempt.outcome == "failed"


def _begin_of(reading: LogReading, model: str) -> float | None:
    attempt = reading.log.attempts.get(model)
    return time_of_line(reading, attempt.began) if attempt else None


def time_of_line(reading: LogReading, number: int | None) -> float | None:
    """Of a log's line by its number, in seconds since 1970."""
    excerpt = reading.evidence.facts
    if number is None or not isinstance(excerpt, LogExcerpt):
        return None
    text = next((line.text for line in excerpt.lines if line.number == number), "")
    return time_of(text, seconds_of(reading.evidence.fetched_at))


def _life(case: Case, *, previous: bool) -> tuple[float | None, float | None]:
    """When the server's life began in which the load failed, and when the one before it ended."""
    pod: PodView | None = case.pod
    for container in triton_containers(pod) if pod else ():
        present, last, ended = (
            seconds_of(text)
            for text in (container.began_at, container.last_began_at, container.last_ended_at)
        )
        began = last if previous or present is None else present
        if began == present:
            return began, ended if ended is not None or not container.restarts else began
        return began, began if container.restarts > 1 else None  # the lives before that are not told of
    return None, None
