"""Which GPU became slower, by which clock, held down for what reason and since when; which errors it had. Pure.

What is told of a GPU counts where it is a GPU of ours: by who holds it. Where nobody tells that, the nodes' GPUs are all that is
known, and only what all of them show is surely ours."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial

from triage.answers import Answer, Value
from triage.chart_scale import clock as time_of_day
from triage.cluster_views import PodPlacements
from triage.gpu_errors import device_notes
from triage.gpus import Device, Key, device_key
from triage.latency.incident import Incident, Movement
from triage.latency.number import amount
from triage.latency.predicates.gpu_devices import devices, group_of, own_holders, told
from triage.latency.predicates.gpu_errors import xid_says
from triage.wording import names

_RATIO, _LEAST = 1.1, 50.0
"""A tenth, and 50 MHz: a clock moves by less from boost and heat all the time (measured on gpu_clock's own noise by `Movement`)."""
_MOST_NOTES = 4
_NEAR_SECONDS = 60.0
"""A clock's own time is known to a scrape or two."""


@dataclass(frozen=True, slots=True)
class SlowGpu:
    device: Device
    clock: Movement
    since: float
    """When its clock had surely gone half of the way down."""

    @property
    def says(self) -> str:
        return f"{self.device.name}: {self.clock.from_to}, since {time_of_day(self.since)}"


def a_clock_fell(incident: Incident) -> Answer:
    """The clock of a GPU of ours fell, not after it became slow, and its pods did not stay as fast as they were."""
    clocks = _clocks(incident)
    slow, late, answers = clocks.in_time, clocks.late, clocks.answers
    evidence = tuple(dict.fromkeys(e for one in (*slow, *late) for e in one.clock.evidence))
    if slow:
        return Answer("yes", _all_of(slow), evidence)
    if late:
        return Answer("no", f"the clock fell only when it was slow already: {_all_of(late)}", evidence)
    clock = incident.movement("gpu_clock", "all")
    if not answers:
        return Answer("unknown", clock.missing or "no clock of a GPU is known", clock.evidence)
    if "unknown" in answers.values():
        said = clock.missing or f"{clock.quantity.says}: {clock.from_to}"
        if clock.down(_RATIO, _LEAST) != "no" or not clock.known:
            return Answer("unknown", said, clock.evidence)
        fell = [name for name, value in answers.items() if value == "unknown"]
        return Answer("unknown", f"{said}; of {names(fell)} it is not known", clock.evidence)
    if lacking := _not_told_of(incident, "gpu_clock"):
        said = f"{clock.quantity.says}: {clock.from_to}; of what {names(lacking)} runs on, no source tells it"
        return Answer("unknown", said, clock.evidence)
    return Answer("no", f"{clock.quantity.says}: {clock.from_to}", clock.evidence)


def gpu_held_down(incident: Incident) -> Answer:
    """A GPU whose clock fell was throttled by power or heat for more of the time than before."""
    groups = [group_of(one.device) for one in slow_gpus(incident)] or incident.history.groups(
        "gpu_throttled", "gpu", incident.who("all")
    )
    found: list[tuple[str, Movement]] = []
    values: set[Value] = set()
    for group in groups:
        movement = _of_gpu(incident, "gpu_throttled", group)
        values.add(movement.up(2, 0.02))
        if movement.up(2, 0.02) == "yes":
            found.append((group, movement))
    evidence = tuple(dict.fromkeys(e for _, movement in found for e in movement.evidence))
    if found:
        known = {device.key: device for device in devices(incident)}
        said = [
            f"{_device(known, group).name}: {movement.from_to} of the time{_reasons(incident, group)}"
            for group, movement in found[:3]
        ]
        return Answer("yes", "; ".join(said), evidence)
    whole = incident.movement("gpu_throttled", "all")
    if values == {"no"} and not slow_gpus(incident) and (lacking := _not_told_of(incident, "gpu_throttled")):
        blind = (
            f"{whole.quantity.says}: {whole.from_to}; of what {names(lacking)} runs on, no source tells it"
        )
        return Answer("unknown", blind, whole.evidence)
    if values == {"no"}:
        why = "".join(_reasons(incident, group) for group in groups[:1])
        return Answer("no", f"{whole.quantity.says}: {whole.from_to}{why}", whole.evidence)
    return Answer("unknown", whole.missing or f"too few points of the {whole.quantity.says}", whole.evidence)


def slow_gpus(incident: Incident) -> Sequence[SlowGpu]:
    """Those whose clock fell before it became slow."""
    return _clocks(incident).in_time


@dataclass(frozen=True, slots=True)
class _Clocks:
    in_time: list[SlowGpu]
    late: list[SlowGpu]
    answers: Mapping[str, Value]
    """Whether each clock fell, as far as that is known."""


def _clocks(incident: Incident) -> _Clocks:
    return incident.once("gpu clocks", lambda: _read_clocks(incident))


def _read_clocks(incident: Incident) -> _Clocks:
    known = {device.key: device for device in devices(incident)}
    groups = incident.history.groups("gpu_clock", "gpu", incident.who("all"))
    serving = set(incident.history.groups("infer", "pod", incident.who()))
    placed = {pod for device in known.values() for _, pod in own_holders(incident, device)}
    answers: dict[str, Value] = {}
    fell: list[SlowGpu] = []
    for group in groups:
        clock, device = _of_gpu(incident, "gpu_clock", group), _device(known, group)
        answers[group] = clock.down(_RATIO, _LEAST)
        if answers[group] == "yes" and not _stayed_fast(incident, device, serving, placed):
            fell.append(SlowGpu(device, clock, _fell_at(incident, group, clock)))
    if any(not device.holders for device in known.values()) and len(fell) < len(groups):
        # Whose they are is not known: some of the nodes' GPUs may be anybody's.
        answers |= {group_of(one.device): "unknown" for one in fell if not one.device.holders}
        fell = [one for one in fell if one.device.holders]
    if incident.onset is None:
        return _Clocks(fell, [], answers)
    latest = incident.onset.onset.latest + max(incident.read("gpu_clock", "all").smear, _NEAR_SECONDS)
    late = [one for one in fell if one.since > latest]
    return _Clocks([one for one in fell if one not in late], late, answers)


def _not_told_of(incident: Incident, quantity: str) -> list[str]:
    """Pods that may have become slower, and of whose GPU the quantity is not known; where nobody tells who holds which, those on
    nodes of whose GPUs none is known."""
    known = {device.key: device for device in devices(incident)}
    groups = incident.history.groups(quantity, "gpu", incident.who("all"))
    told_of = [_device(known, group) for group in groups]
    pods = incident.history.groups("infer", "pod", incident.who())
    slower = [pod for pod in pods if not _is_as_fast(incident, pod)]
    if any(device.holders for device in told_of):
        holding = {pod for device in told_of for _, pod in own_holders(incident, device)}
        return [pod for pod in slower if pod not in holding]
    nodes = {device.node for device in told_of}
    placed = {pod.pod: pod.node for _, facts in incident.facts(PodPlacements) for pod in facts.pods}
    return [pod for pod in slower if "" not in nodes and placed.get(pod, "") not in {"", *nodes}]


def _of_gpu(incident: Incident, quantity: str, group: str) -> Movement:
    return incident.movement(quantity, "all", by="gpu", group=group)


def _device(known: dict[tuple[str, str], Device], group: str) -> Device:
    gpu, _, instance = group.partition("/")
    if (gpu, instance) in known:
        return known[gpu, instance]
    parts = [
        device for device in known.values() if device.gpu == gpu
    ]  # of a whole GPU: the holders of all its instances
    return Device(
        gpu,
        index=next((part.index for part in parts), ""),
        node=next((part.node for part in parts), ""),
        held={holder: at for part in parts for holder, at in part.held.items()},
    )


def _stayed_fast(incident: Incident, device: Device, serving: Set[str], placed: Set[str]) -> bool:
    """None of its pods that serve the model became slower; or each of those that serve it is known to hold another GPU."""
    ours = [pod for _, pod in own_holders(incident, device) if pod in serving]
    if not ours:
        return bool(device.holders) and bool(serving) and serving <= placed
    return all(_is_as_fast(incident, pod) for pod in ours)


def _is_as_fast(incident: Incident, pod: str) -> bool:
    """As it was; one that completes no request any more has none that is slower, and its GPU idles for that."""
    done = incident.movement("throughput", by="pod", group=pod)
    if done.known and done.during == 0:
        return True
    return incident.movement("infer", by="pod", group=pod).up(1.1, 0.5) == "no"


def _fell_at(incident: Incident, group: str, clock: Movement) -> float:
    """The first time from which it stays under the middle of before and during; the start of what is known, where it always was."""
    trace = incident.read("gpu_clock", "all", by="gpu", group=group).trace
    points = trace.present() if trace else []
    middle = ((clock.before or 0.0) + (clock.during or 0.0)) / 2
    last_above = next(
        (at for at, value in reversed(points) if value > middle and _counts(incident, at)), None
    )
    after = [at for at, value in points if value <= middle and (last_above is None or at > last_above)]
    return after[0] if after else points[-1][0]


def _counts(incident: Incident, at: float) -> bool:
    """Not after its end."""
    return at <= incident.during[1]


def _reasons(incident: Incident, group: str) -> str:
    """Such as ` (hw_thermal_slowdown 94 %)`, of what was not there before; empty: no source tells reasons."""
    told_reasons: list[tuple[float, str]] = []
    for _, ranges in told(incident):
        if ranges.measure != "gpu_throttle_reasons":
            continue
        for series in ranges.series:
            whole = group.partition("/")[0] == series.labels.get("gpu", "")
            if not whole or device_key(series.labels)[1] not in ("", group.partition("/")[2]):
                continue
            during = incident.within(ranges, series, "during")
            before = incident.within(ranges, series, "before")
            share = sum(during) / len(during) if during else 0.0
            usual = sum(before) / len(before) if before else 0.0
            if share > max(2 * usual, 0.02):
                told_reasons.append((share, series.labels.get("reason", "")))
    words = [f"{reason} {amount(share, 'share')}" for share, reason in sorted(told_reasons, reverse=True)]
    return f" (reasons: {', '.join(words)})" if words else ""


def _all_of(slow: Sequence[SlowGpu]) -> str:
    said = "; ".join(one.says for one in slow[:3])
    return f"{said}; and {len(slow) - 3} more" if len(slow) > 3 else said


def gpu_notes(incident: Incident) -> Mapping[Key, Sequence[str]]:
    """What is wrong with a GPU, by the device."""
    found = device_notes(devices(incident), told(incident), partial(xid_says, incident))
    for one in slow_gpus(incident):
        found.setdefault(one.device.key, []).insert(0, f"its clock fell: {one.clock.from_to}")
    return {key: notes[:_MOST_NOTES] for key, notes in found.items()}
