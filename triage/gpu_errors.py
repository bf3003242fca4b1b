"""What went wrong with GPUs: XID errors of the driver, and what keeps triton-gpu-agent from seeing. Pure; both trees read it."""

import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

from triage.chart_scale import clock
from triage.gpus import (
    PROBLEM,
    XID_COUNT,
    XID_LAST,
    XID_WATCHED,
    Device,
    Holder,
    Key,
    Told,
    device_key,
    holder_name,
    is_ours,
)
from triage.latency.facts import Ranges, Series

_CODE = re.compile(r"[0-9]{1,6}")
"""Anybody may write a label, and int() refuses thousands of digits."""


@dataclass(frozen=True, slots=True)
class XidSeen:
    device: Key
    code: int
    at: float | None
    """When it was first seen, within one step; None: before the first time that anything was measured."""
    evidence: str
    holder: Holder = ("", "")
    """Who held it alone then, where that is told."""

    def is_of(self, device: Device) -> bool:
        """What is told of a whole GPU is of each of its instances."""
        gpu, instance = self.device
        return gpu == device.gpu and instance in ("", device.instance)

    def says(self, meaning: str, own: Container[str], namespace: str) -> str:
        """Such as `XID 31 (GPU memory page fault) at 11:46:10 UTC, while data/job-7 held it`; `own`: the pods in question, in
        `namespace` where that is known."""
        when = (
            f"at {clock(self.at)} UTC"
            if self.at is not None
            else "before the first time that it was measured"
        )
        others = self.holder[1] and not is_ours(self.holder, own, namespace)
        other = f", while {holder_name(self.holder)} held it" if others else ""
        return f"{meaning} {when}{other}"


def xids_seen(told: Sequence[Told]) -> list[XidSeen]:
    """In their order; of the same code of a GPU, each time that it was seen anew. A counter that appears within the window began
    then where the GPU was watched before; a last code tells of a repetition nothing."""
    watched: dict[str, Series] = {
        series.labels.get("gpu", ""): series
        for _, ranges in told
        if ranges.measure == XID_WATCHED
        for series in ranges.series
    }
    found: list[XidSeen] = []
    for evidence, ranges in told:
        for series in ranges.series:
            times = [ranges.start + place * ranges.step for place in range(ranges.steps)]
            if ranges.measure == XID_COUNT:
                steps = _counted(series, watched.get(series.labels.get("gpu", "")))
            elif ranges.measure == XID_LAST:
                steps = _last_codes(series)
            else:
                continue
            found += (
                XidSeen(
                    device_key(series.labels),
                    code,
                    times[place] if place is not None else None,
                    evidence,
                    (series.labels.get("namespace", ""), series.labels.get("pod", "")),
                )
                for code, place in steps
            )
    told_once = dict.fromkeys(found)
    counted = {
        (one.device[0], one.code) for one in found if one.evidence.partition("/")[2].startswith(XID_COUNT)
    }
    kept = [
        one
        for one in told_once
        if one.evidence.partition("/")[2].startswith(XID_COUNT) or (one.device[0], one.code) not in counted
    ]
    return sorted(kept, key=lambda one: (one.at is not None, one.at or 0.0, one.device, one.code))


def _counted(series: Series, watched: Series | None) -> Iterator[tuple[int, int | None]]:
    """A counter that is not there although the GPU is watched, or that is less than it was, began anew with the agent: what it
    counts came since."""
    code = series.labels.get("xid", "")
    if not _CODE.fullmatch(code):
        return
    before: float | None = None
    for place, value in enumerate(series.values):
        if value is None:
            if before is not None and watched is not None and watched.values[place]:
                before = 0.0
            continue
        if before is None and value:
            seen = watched is not None and place > 0 and watched.values[place - 1] is not None
            yield int(code), place if seen else None
        elif before is not None and value and value != before:
            yield int(code), place
        before = value


def _last_codes(series: Series) -> Iterator[tuple[int, int | None]]:
    before: float | None = None
    for place, value in enumerate(series.values):
        if value is None:
            continue
        if value > 0 and value != before:
            yield int(value), place if before is not None else None
        before = value


_LATE_STEPS = 2
_OF_DRIVER = frozenset({"no_driver", "driver_mismatch", "gpu_lost", "gpu_needs_reset", "nvml_hangs"})
_HIDES_HOLDERS = frozenset(
    {"pod_resources_unreachable", "pod_resources_forbidden", "pod_resources_error", "unknown_device"}
)
"""By what they mean: `telemetry/gpu_agent/problems.py`."""


@dataclass(frozen=True, slots=True)
class AgentProblem:
    """What keeps triton-gpu-agent from seeing; `gpu` is an index, or nothing where it is about the whole node."""

    node: str
    problem: str
    gpu: str
    evidence: str
    ended: float | None = None
    """None: it lasts."""

    def is_of(self, device: Device) -> bool:
        """Of a whole node it is of each GPU there; so it is where a device's place is not known."""
        return device.node in ("", self.node) and (not self.gpu or device.index in ("", self.gpu))

    @property
    def of_driver(self) -> bool:
        """Whether a GPU or its driver does not work, and not only the agent's own sight."""
        return self.problem in _OF_DRIVER

    @property
    def hides_holders(self) -> bool:
        return self.problem in _HIDES_HOLDERS

    @property
    def says(self) -> str:
        which = f" (GPU {self.gpu})" if self.gpu else ""
        return f"node {self.node}: {self.told}{which}{self.until}"

    @property
    def told(self) -> str:
        return f"triton-gpu-agent {'reports' if self.ended is None else 'reported'} {self.problem}"

    @property
    def until(self) -> str:
        return f" until {clock(self.ended)} UTC" if self.ended is not None else ""


def problems_of(told: Iterable[Told]) -> list[AgentProblem]:
    """Those of any time of the window."""
    found = [
        AgentProblem(
            series.labels.get("node", ""),
            series.labels.get("problem", ""),
            series.labels.get("gpu_index", ""),
            evidence,
            _ended(ranges, series),
        )
        for evidence, ranges in told
        if ranges.measure == PROBLEM
        for series in ranges.series
        if any(series.values)
    ]
    return sorted(dict.fromkeys(found), key=lambda one: (one.node, one.problem, one.gpu))


def _ended(ranges: Ranges, series: Series) -> float | None:
    """The last time of a problem that the agent does not tell any more; its series is there while it lasts."""
    last = max(place for place, value in enumerate(series.values) if value)
    return ranges.start + last * ranges.step if last < ranges.steps - 1 - _LATE_STEPS else None


def device_notes(
    devices: Iterable[Device], told: Sequence[Told], say: Callable[[XidSeen], str]
) -> dict[Key, list[str]]:
    """What is wrong with a device, for the map: XID errors, which are of the whole GPU, and what the agent says of it."""
    found: dict[Key, list[str]] = {}
    for seen in xids_seen(told):
        notes = found.setdefault(seen.device, [])
        if (said := say(seen)) not in notes:
            notes.append(said)
    problems = problems_of(told)
    for device in devices:
        for one in problems:
            if one.gpu and device.node and device.index and one.is_of(device):
                found.setdefault(device.key, []).append(f"{one.told}{one.until}")
    return found
