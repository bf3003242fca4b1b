"""Who held a GPU's memory when a load found too little: nobody, so that the model does not fit an empty GPU; others; or what the
same server had loaded before. By what was measured then, else by the pod's own page now; where neither tells, it says so. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from telemetry.gpu_resources import gpus_of as count_gpus
from triage.case import Case
from triage.chart_scale import clock
from triage.claims import LogReading
from triage.evidence import GpuMemory, LogExcerpt, PodView
from triage.gpus import Device, Holder, Told, find_devices, gib, holder_name, is_ours
from triage.latency.facts import Ranges
from triage.log_time import seconds_of, time_of
from triage.overlap import loading_beside
from triage.pod_roles import triton_containers
from triage.wording import count, names

EMPTY_BYTES = float(2**30)
"""So much a process takes before it has a model: its CUDA context and its libraries' kernels, 300 MB, and more than 1000 MB before
CUDA 11.7 (pytorch/pytorch#107667)."""
_BEFORE_SECONDS = 300.0
_SCRAPE_SECONDS = 60.0
"""So old may a sample be at its step."""
_CLOCKS_APART = 5.0
"""Seconds by which two clocks of a cluster may differ."""
_OLDEST_STEPS = 3
"""A sample that is older does not tell of now."""


@dataclass(frozen=True, slots=True)
class Held:
    """`by` empty: the model does not fit; unknown: the evidence does not tell."""

    by: Literal["empty", "others", "own", "unknown"]
    said: str
    evidence: tuple[str, ...]
    device: str = ""
    amount: str = ""
    """Such as `71.2 of 79.6 GiB of GPU 1 of node n1`."""
    who: str = ""
    """The pods of others, or the models of the same server."""


def gpu_ranges(case: Case) -> list[Told]:
    """What exporters of GPUs told of the pod's, by the id of its evidence."""
    return [(e.id, e.facts) for e in case.of_probe("gpu_history") if isinstance(e.facts, Ranges)]


def gpus_of(case: Case) -> list[Device]:
    """The devices that the pod holds, by an exporter; else those on its own page, of which only the present is known."""
    held: list[tuple[Device, float]] = []
    for device in find_devices(gpu_ranges(case)):
        if times := [at for holder, at in device.held.items() if _is_own(case, holder)]:
            held.append((device, max(times)))
    # One that is made anew under its name, as a StatefulSet's is, may come to another GPU.
    latest = max((at for _, at in held), default=0.0)
    return [device for device, at in held if at >= latest - device.grain] or _on_the_page(case)


def _is_own(case: Case, holder: Holder) -> bool:
    return is_ours(holder, {case.subject}, case.pod.namespace if case.pod else "")


def who_held(case: Case, model: str) -> Held | None:
    """None: nothing is known of the memory of the pod's GPUs."""
    held = gpus_of(case)
    devices = [device for device in held if device.memory]
    if not devices:
        return None
    beside, blind = _beside(case, model), _blind(case, held)
    if not gpu_ranges(case):
        return _by_the_page(case, model, devices, beside, blind)
    load = _Load.of(case, model)
    views = [_Then.of(case, device, load) for device in devices]
    views.sort(key=lambda view: -1.0 if view.at_load is None else view.at_load / view.total, reverse=True)
    told = [_judged(case, model, view, views, beside, load) for view in views]
    if len({one.by for one in told}) == 1 and (not blind or told[0].by == "unknown"):
        return told[0]
    known = [view.amount(view.at_load) for view in views if view.at_load is not None]
    lacks = f"how much it was of {names(blind)}" if blind else "on which of them it ran out"
    said = f"when the load of {model} began, {names(known)} were in use; {lacks} is not known"
    return Held("unknown", said, tuple(dict.fromkeys(one for held in told for one in held.evidence)))


def _blind(case: Case, held: Sequence[Device]) -> list[str]:
    """Those of the pod's GPUs of whose memory nobody tells: it may have run out on them."""
    tritons = triton_containers(case.pod) if case.pod else ()
    given = sum(count_gpus({**container.requests, **container.limits}) for container in tritons)
    untold = [count(given - len(held), "more GPU")] if given > len(held) else []
    return [device.name for device in held if not device.memory] + untold


@dataclass(frozen=True, slots=True)
class _Load:
    """Seconds since 1970; None: not known."""

    server_began: float | None
    earlier_ended: float | None
    """The server's life before that; at the latest."""
    began: float | None
    pod_began: float | None

    @property
    def no_earlier_life(self) -> float:
        """From when on a sample shows nothing of the server's life before."""
        return float("-inf") if self.earlier_ended is None else self.earlier_ended + _SCRAPE_SECONDS

    @classmethod
    def of(cls, case: Case, model: str) -> "_Load":
        reading = next((r for r in case.logs if _failed_in(r, model)), None)
        began = _begin_of(reading, model) if reading else None
        server, earlier = _life(
            case, previous=reading is not None and reading.evidence.probe == "previous_log"
        )
        if began is not None and server is not None and began < server - _CLOCKS_APART:
            began = None  # the container's clock or zone is another
        return cls(server, earlier, began, seconds_of(case.pod.started_at) if case.pod else None)


@dataclass(frozen=True, slots=True)
class _Then:
    device: Device
    total: float
    before_server: float | None
    """Bytes in use before the server began, so of others; the least of five minutes."""
    at_load: float | None
    measured_at: float = 0.0
    """When that was."""

    @classmethod
    def of(cls, case: Case, device: Device, load: _Load) -> "_Then":
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

    def others(self, case: Case, began: float | None) -> list[str]:
        """Pods that held it beside the one in question when the load began or later, as `namespace/pod`."""
        left = {holder for holder, at in self.device.left.items() if began is not None and at < began}
        return _pods(
            holder for holder in self.device.held if holder not in left and not _is_own(case, holder)
        )

    def gone(self, case: Case, load: _Load) -> list[str]:
        """Those of them that gave it up between the time of `before_server` and the load: what they had is in that figure, and was
        not in use any more."""
        if load.server_began is None or load.began is None:
            return []
        low, high = load.server_began - _BEFORE_SECONDS, load.began
        left = self.device.left.items()
        return _pods(holder for holder, at in left if low <= at < high and not _is_own(case, holder))

    def amount(self, used: float) -> str:
        return f"{gib(used)} of {gib(self.total)} GiB of {self.device.name}"


def _judged(
    case: Case, model: str, full: _Then, views: Sequence[_Then], beside: str | None, load: _Load
) -> Held:
    others = full.others(case, load.began)
    others_loaded = _others_loaded(case, model)
    evidence = tuple(dict.fromkeys(full.device.evidence))
    before, then = full.before_server, full.at_load
    if then is None:
        now = full.device.memory
        until = full.device.memory_until
        when = (
            "are in use now" if until is None else f"were in use at {clock(until)} UTC, when it was last told"
        )
        said = (
            f"{full.amount(now[0] if now else 0.0)} {when}; how much it was when the load began is not known"
        )
        if before is not None and before > EMPTY_BYTES:
            said += f"; before this server began it was {gib(before)} GiB, by {_who(full, others)}"
        return Held("unknown", said, evidence, full.device.name)
    began = f"when the load of {model} began, {full.amount(then)} were in use"
    if then <= EMPTY_BYTES:
        if unknown := [view.device.name for view in views if view.at_load is None]:
            said = f"{began}; how much it was of {names(unknown)} is not known"
            return Held("unknown", said, evidence, full.device.name)
        if others:
            said = f"{began}; {names(others)} may have taken more since: it is shared"
            return Held("unknown", said, evidence, full.device.name)
        if beside:
            return Held(
                "own", f"{began}, and {beside}", evidence, full.device.name, full.amount(then), beside
            )
        if beside is None:
            said = f"{began}; whether other models loaded at the same time, the log does not show"
            return Held("unknown", said, evidence, full.device.name)
        shown_until = min(view.measured_at for view in views) - _SCRAPE_SECONDS
        if late := [name for name, at in others_loaded.items() if at is None or at > shown_until]:
            said = f"{began} when it was last measured; {names(late)} may have been loaded since"
            return Held("unknown", said, evidence, full.device.name)
        said = f"{began}, and nothing else was loading: {model} does not fit the empty GPU"
        return Held("empty", said, evidence, full.device.name, full.amount(then))
    if before is None:
        whose = (
            f"how much of it is of {names(others)} is not known" if others else "whose it was is not known"
        )
        said = f"{began}; {whose}, for nothing was measured just before the server began"
        return Held("unknown", said, evidence, full.device.name)
    gone = full.gone(case, load)
    if before > EMPTY_BYTES and (gone or before - then > EMPTY_BYTES):
        said = f"{began}; before this server began it was {gib(before)} GiB"
        said += f", when {names(gone)} still held it" if gone else ", and somebody let go of it since"
        return Held("unknown", f"{said}: whose it was is not known", evidence, full.device.name)
    if before > EMPTY_BYTES and before >= then - before:
        return _of_others(full, before, others, evidence)
    if others:
        said = f"{began}, {gib(then - before)} GiB of it since the server began: by what it loaded or by {names(others)}"
        return Held("unknown", f"{said}; it is shared", evidence, full.device.name)
    loaded = names(list(others_loaded)) if others_loaded else beside or "what this server had begun before"
    said = f"{began}, {gib(then - before)} GiB of it since the server began: by {loaded}"
    if before > EMPTY_BYTES:
        said += f"; {gib(before)} GiB were others'"
    return Held("own", said, evidence, full.device.name, full.amount(then), loaded)


def _no_earlier_pod(case: Case, device: Device, pod_began: float | None) -> float:
    """From when on a sample shows nothing of a pod of the same name, such as a StatefulSet's, that was there before."""
    held_earlier = pod_began is not None and any(
        at < pod_began - _CLOCKS_APART for holder, at in device.since.items() if _is_own(case, holder)
    )
    return pod_began + _SCRAPE_SECONDS if pod_began is not None and held_earlier else float("-inf")


def _pods(holders: Iterable[Holder]) -> list[str]:
    return sorted(map(holder_name, holders))


def _of_others(full: _Then, before: float, others: Sequence[str], evidence: tuple[str, ...]) -> Held:
    who = _who(full, others)
    said = f"before this server began, {full.amount(before)} were in use: by {who}"
    return Held("others", said, evidence, full.device.name, full.amount(before), who)


def _who(full: _Then, others: Sequence[str]) -> str:
    if others:
        return names(others)
    if full.device.watched:
        return "a process of no pod (left behind, or outside of Kubernetes)"
    return "somebody whom no exporter names"


def _others_loaded(case: Case, model: str) -> dict[str, float | None]:
    """Other models of the same server that did not begin to load after the failure, and when each was loaded; None: not known."""
    reading = next((reading for reading in case.logs if _failed_in(reading, model)), None)
    attempts = reading.log.attempts if reading else {}
    failed = (attempts[model].ended or attempts[model].latest) if model in attempts else 0
    found: dict[str, float | None] = {}
    for name in sorted({m.name for m in case.models.values() if m.loaded} - {model}):
        other = attempts.get(name)
        if not (other and failed and other.began and other.began > failed):
            found[name] = _time_of(reading, other.ended) if reading and other else None
    return found


def _by_the_page(
    case: Case, model: str, devices: Sequence[Device], beside: str | None, blind: Sequence[str]
) -> Held:
    fullest = max(devices, key=lambda d: d.memory[0] / d.memory[1] if d.memory and d.memory[1] else 0.0)
    used, total = fullest.memory or (0.0, 0.0)
    evidence = tuple(dict.fromkeys(fullest.evidence))
    amount = f"{gib(used)} of {gib(total)} GiB of {fullest.name}"
    own = [m.name for m in case.models.values() if m.loaded and m.name != model]
    if used <= EMPTY_BYTES and not (own or blind) and beside == "" and _read_soon_after(case, model):
        said = f"after the failure {amount} are in use, and nothing else was loading: {model} does not fit the empty GPU"
        return Held("empty", said, evidence, fullest.name, amount)
    said = f"{amount} are in use now; how much it was when the load began, and whose, a page of now does not tell"
    return Held("unknown", said, evidence, fullest.name)


def _read_soon_after(case: Case, model: str) -> bool:
    """Whether the pages were read within minutes of the failure: later on, who held the memory then may have gone."""
    reading = next((reading for reading in case.logs if _failed_in(reading, model)), None)
    failed = _time_of(reading, reading.log.attempts[model].ended) if reading else None
    read = [seconds_of(evidence.fetched_at) for evidence in case.of_probe("gpu_memory")]
    return failed is not None and all(at is not None and at - failed <= _BEFORE_SECONDS for at in read)


def _on_the_page(case: Case) -> list[Device]:
    pod = case.pod
    namespace, node = (pod.namespace, pod.node) if pod else ("", "")
    return [
        Device(
            gpu.gpu,
            node=node,
            held={(namespace, case.subject): seconds_of(evidence.fetched_at) or 0.0} if case.subject else {},
            used=(gpu.used_bytes,),
            free=(max(0.0, gpu.total_bytes - gpu.used_bytes),),
            evidence=[evidence.id],
        )
        for evidence in case.of_probe("gpu_memory")
        if isinstance(evidence.facts, GpuMemory)
        for gpu in evidence.facts.gpus
    ]


def _samples(device: Device) -> list[tuple[float, float]]:
    return [
        (device.start + n * device.step, value) for n, value in enumerate(device.used) if value is not None
    ]


def _beside(case: Case, model: str) -> str | None:
    """As `loading_beside`, of the log in which the load failed."""
    found = [loading_beside(reading, model) for reading in case.logs if _failed_in(reading, model)]
    return next((said for said in found if said is not None), None)


def _failed_in(reading: LogReading, model: str) -> bool:
    attempt = reading.log.attempts.get(model)
    return attempt is not None and attempt.outcome == "failed"


def _begin_of(reading: LogReading, model: str) -> float | None:
    attempt = reading.log.attempts.get(model)
    return _time_of(reading, attempt.began) if attempt else None


def _time_of(reading: LogReading, number: int | None) -> float | None:
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
