"""The GPUs of the pods in question, out of measures over time: which device, on which node, held by whom, how full, which errors.

A device is a whole GPU or a MIG instance, and is told by its UUID and the instance's id. What is told of a whole GPU alone (clock,
throttling, XID errors) is of each of its instances. Pure; both trees read it."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from triage.latency.facts import Ranges, Series

MEMORY_USED, MEMORY_FREE, HOLDERS = "gpu_device_memory_used", "gpu_device_memory_free", "gpu_holders"
PAGE_USED, PAGE_TOTAL = "gpu_memory_used", "gpu_memory_total"
"""By a Triton's own page: less is known of the device, and the pod that sees it holds it."""
XID_COUNT, XID_LAST, XID_WATCHED = "gpu_xid_count", "gpu_xid", "gpu_xid_watched"
PROBLEM = "gpu_agent_problem"
_STEPS_APART = 2
"""By so much two who hold a GPU together may be last seen apart."""
_LATE_STEPS = 3
"""What is told no later than so many steps before the end is told to the end."""
Key = tuple[str, str]
"""UUID of the whole GPU, and the id of the MIG instance or nothing."""
Holder = tuple[str, str]
"""Namespace and pod; a namespace may not be known."""


def is_ours(holder: Holder, own: Container[str], namespace: str) -> bool:
    """Whether it is one of the pods `own`, in `namespace` where that is known: another may have a pod of that name."""
    space, pod = holder
    return pod in own and (not namespace or space in ("", namespace))


def holder_name(holder: Holder) -> str:
    """`namespace/pod`, or the pod where no source tells the namespace."""
    space, pod = holder
    return f"{space}/{pod}" if space else pod


@dataclass(slots=True)
class Device:
    gpu: str
    instance: str = ""
    index: str = ""
    profile: str = ""
    node: str = ""
    held: dict[Holder, float] = field(default_factory=dict)
    """Who held it at any time of the window, and when that was last seen."""
    since: dict[Holder, float] = field(default_factory=dict)
    """And when that was first seen; who is not here held it all along."""
    smear: float = 0.0
    """Seconds for which a holder is still told of who has left."""
    grain: float = 0.0
    """Seconds by which these times may be wrong."""
    used: Sequence[float | None] = ()
    """Bytes, at `start` and each `step` seconds after it."""
    free: Sequence[float | None] = ()
    start: float = 0.0
    step: float = 1.0
    page_used: Sequence[float | None] = ()
    page_total: Sequence[float | None] = ()
    """The same by the page of a Triton, which has no more than a whole GPU's."""
    watched: bool = False
    """triton-gpu-agent sees it, and so all who hold it, and its XID errors from then on."""
    evidence: list[str] = field(default_factory=list)

    @property
    def key(self) -> Key:
        return self.gpu, self.instance

    @property
    def name(self) -> str:
        """Such as `GPU 3 of node n1 (GPU-5f.., MIG 1g.10gb 7)`."""
        which = f"GPU {self.index}" if self.index else self.gpu or "the GPU"
        where = f" of node {self.node}" if self.node else ""
        more = [short_uuid(self.gpu)] if self.index and self.gpu else []
        more += [f"MIG {self.profile or 'instance'} {self.instance}"] if self.instance else []
        return f"{which}{where} ({', '.join(more)})" if more else f"{which}{where}"

    @property
    def holders(self) -> set[Holder]:
        """At any time of the window."""
        return set(self.held)

    @property
    def seen_until(self) -> float:
        """When it was last told of it: of who holds it, or how full it is."""
        full = [self.start + n * self.step for n, value in enumerate(self.used) if value is not None]
        return max([*self.held.values(), *full[-1:]], default=0.0)

    @property
    def left(self) -> dict[Holder, float]:
        """Those of them who gave it up while others went on holding it, and when."""
        latest = max(self.held.values(), default=0.0)
        return {holder: at for holder, at in self.held.items() if at < latest - self.grain}

    def together(self, one: Holder, others: Iterable[Holder]) -> bool:
        """Whether it surely held the device while one of the others did, and not only before they came or after they left. Who left
        is still seen for as long as the window of a value."""
        began, ended = self.since.get(one, 0.0), self.held[one]
        return any(
            min(ended, self.held[other]) - max(began, self.since.get(other, 0.0)) >= self.smear
            for other in others
        )

    @property
    def memory(self) -> tuple[float, float] | None:
        """Bytes used and in all, as they were known last; None: nobody tells. Of a GPU that it cannot read a Triton shows 0 of 0
        (triton-inference-server/core:src/metrics.cc)."""
        if (both := _both(self.used, self.free)) and sum(both) > 0:
            return both[0], sum(both)
        page = _both(self.page_used, self.page_total)
        return page if page and page[1] > 0 else None

    @property
    def memory_until(self) -> float | None:
        """When its memory was told last, where that is not about the end of what was asked for."""
        told = [n for n, both in enumerate(zip(self.used, self.free, strict=False)) if None not in both]
        ended = bool(told) and told[-1] < len(self.used) - 1 - _LATE_STEPS
        return self.start + told[-1] * self.step if ended else None


Told = tuple[str, Ranges]
"""The id of the evidence, and what it brought."""


def device_key(labels: Mapping[str, str]) -> Key:
    return labels.get("gpu", ""), labels.get("gpu_instance", "")


def find_devices(told: Iterable[Told]) -> list[Device]:
    """By node, index and instance. A whole GPU that is split is none, unless it was held as a whole before: its instances are."""
    found: dict[Key, Device] = {}
    for evidence, ranges in told:
        if not ranges.measure.startswith("gpu_") or ranges.measure in (PROBLEM, XID_COUNT):
            continue
        for series in ranges.series:
            if not series.labels.get("gpu") or all(value is None for value in series.values):
                continue
            device = found.setdefault(device_key(series.labels), Device(*device_key(series.labels)))
            _add(device, evidence, ranges, series)
    split = {device.gpu for device in found.values() if device.instance}
    whole = {device.gpu: device for device in found.values() if not device.instance}
    kept = [device for device in found.values() if device.instance or device.gpu not in split or device.held]
    for device in kept:
        if device.instance and (parent := whole.get(device.gpu)):
            device.watched |= parent.watched
            device.index, device.node = device.index or parent.index, device.node or parent.node
    return sorted(kept, key=lambda d: (d.node, len(d.index), d.index, d.gpu, len(d.instance), d.instance))


def _add(device: Device, evidence: str, ranges: Ranges, series: Series) -> None:
    labels, measure = series.labels, ranges.measure
    device.index = device.index or labels.get("gpu_index", "")
    device.profile = device.profile or labels.get("mig_profile", "")
    device.node = device.node or labels.get("node", "")
    if pod := labels.get("pod"):
        holder = labels.get("namespace", ""), pod
        first, last = _first_and_last(ranges, series)
        device.held[holder] = max(device.held.get(holder, last), last)
        device.since[holder] = min(device.since.get(holder, first), first)
        device.grain = max(device.grain, _STEPS_APART * ranges.step)
        device.smear = max(device.smear, ranges.smear)
    if measure == MEMORY_USED:
        same = (device.start, device.step) == (ranges.start, ranges.step)
        device.used = _beside(device.used, series.values) if same else series.values
        device.start, device.step = ranges.start, ranges.step
    elif measure == MEMORY_FREE:
        device.free = _beside(device.free, series.values)
    elif measure == PAGE_USED:
        device.page_used = series.values
    elif measure == PAGE_TOTAL:
        device.page_total = series.values
    elif measure == XID_WATCHED:
        device.watched |= any(series.values)
    if measure in (MEMORY_USED, HOLDERS, PAGE_USED):
        device.evidence.append(evidence)


def _first_and_last(ranges: Ranges, series: Series) -> tuple[float, float]:
    places = [place for place, value in enumerate(series.values) if value is not None]
    return ranges.start + places[0] * ranges.step, ranges.start + places[-1] * ranges.step


def _beside(one: Sequence[float | None], other: Sequence[float | None]) -> Sequence[float | None]:
    """An exporter that was renamed, such as by its restart, goes on with a series of its own."""
    if len(one) != len(other):
        return other
    return tuple(b if a is None else a for a, b in zip(one, other, strict=True))


def _both(one: Sequence[float | None], other: Sequence[float | None]) -> tuple[float, float] | None:
    """The last time that both are known."""
    known = [(a, b) for a, b in zip(one, other, strict=False) if a is not None and b is not None]
    return known[-1] if known else None


def short_uuid(uuid: str) -> str:
    """Enough of `GPU-5fd4f087-86f3-7a43-b711-4771313afc50` to tell it from its neighbours."""
    return uuid[:12] if uuid.startswith("GPU-") and len(uuid) > 16 else uuid


def gib(size: float) -> str:
    return f"{size / 2**30:.1f}"
