"""A signal of devices: which of them the selected pods hold, and one number of them all.

A pod counts as *told* when all its devices are, by an exporter or by its own page where that suffices. A pod that holds a GPU of
which nobody tells is *missing*, never left out as if it held none; a pod just started is *new* until exporters can have seen it. A
device shared by pods counts once, whoever tells of it. As for other means and ratios, under `coverage` of the pods there is none.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from autoscaler.answer import Reason, Value
from autoscaler.gpu_formula import GpuDevices
from autoscaler.pooling import Refusal
from autoscaler.selection import ROW_LABELS, SelectedPod, Settings, Standing, select_pods
from autoscaler.selector import Selector
from autoscaler.signal import Signal
from telemetry.gpu_exporters.devices import Device, DeviceKey
from telemetry.gpu_exporters.exporter import Remedies
from telemetry.gpu_exporters.snapshot import GpuSnapshot, memory_of, utilization_of
from telemetry.pod_state import PodState
from telemetry.prometheus_pages import PodName
from telemetry.target import Phase

TRITON: Final = "triton"
"""Who tells of a device where the pod's own page does."""
NOT_READ: Final = (
    "GPU utilisation is nothing that Triton tells reliably: scrape dcgm-exporter or triton-gpu-agent with a Prometheus, and give "
    "the sections prometheus and gpu in the configuration"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One device's part: `above` over `below`, bytes or a ratio over 1."""

    key: DeviceKey
    told_by: str
    above: float
    below: float
    at: float
    device: Device | None = None


@dataclass(frozen=True, slots=True)
class HeldPod:
    """A selected pod with the devices it holds; `cause`: why it is missing, with the reason."""

    pod: SelectedPod
    standing: Standing
    readings: Sequence[Reading] = ()
    cause: tuple[Reason, str] | None = None


@dataclass(slots=True)
class DeviceAnswer:
    """What came of it, and the pods behind it for explaining."""

    pods: Sequence[HeldPod] = ()
    value: Value | None = None
    refusal: Refusal | None = None
    distinct: Mapping[DeviceKey, Reading] = field(default_factory=dict)


def answer_devices(
    signal: Signal,
    formula: GpuDevices,
    pods: Iterable[PodState],
    selector: Selector,
    settings: Settings,
    gpus: GpuSnapshot,
    now: float,
) -> DeviceAnswer:
    answer = DeviceAnswer()
    try:
        present = _present(signal, pods, selector, settings, now)
        holding = (_held(signal, formula, pod, gpus, now) for pod in present)
        answer.pods = [held for held in holding if held is not None]
        _refuse_untold(answer.pods, present, settings, gpus)
        answer.distinct = _distinct(answer.pods)
        answer.value = _pooled(signal, answer, gpus, now)
    except Refusal as refusal:
        answer.refusal = refusal
    return answer


def _present(
    signal: Signal, pods: Iterable[PodState], selector: Selector, settings: Settings, now: float
) -> Sequence[SelectedPod]:
    if asked := [r.key for r in selector.requirements if r.key in ROW_LABELS]:
        told = f"a GPU serves all models of its pod, so {asked[0]!r} cannot select it: select by workload"
        raise Refusal(Reason.UNKNOWN_LABEL, told)
    selected = select_pods(signal, pods, selector, settings, now)
    present = [pod for pod in selected if pod.standing is not Standing.DEPARTED]
    if not present:
        told = f"no Triton pod here matches {str(selector) or 'everything'!r}"
        raise Refusal(Reason.NO_TARGETS, told)
    return present


def _held(
    signal: Signal, formula: GpuDevices, pod: SelectedPod, gpus: GpuSnapshot, now: float
) -> HeldPod | None:
    """None for a pod without a GPU."""
    target = pod.state.target
    name = PodName(target.key.namespace, target.key.pod)
    if name in gpus.in_clusters:
        told = (
            "exporters tell of a pod of this name in more than one cluster; narrow gpu.matchers to this one"
        )
        return HeldPod(pod, Standing.SILENT, cause=(Reason.NOT_ANSWERING, told))
    keys = _present_keys(gpus.held.get(name, {}), target.gpus, gpus, now) or _shown_by_itself(pod, gpus)
    cause = None
    if keys:
        readings = [_reading(signal, formula, gpus.by_key[key], gpus, now) for key in keys]
        found = tuple(reading for reading in readings if reading is not None)
        if len(found) == len(keys):
            cause = _some_untold(pod, keys, gpus)
            if cause is None:
                return HeldPod(pod, Standing.ANSWERED, found)
        else:
            unread = next(key for key, reading in zip(keys, readings, strict=True) if reading is None)
            cause = _unread(formula, gpus.by_key[unread], gpus, now)
    own = _own_readings(formula, pod)
    if own:
        return HeldPod(pod, Standing.ANSWERED, own)
    if target.gpus == 0 and not keys:
        return None
    if not keys and _is_new(pod.state, gpus, now):
        return HeldPod(pod, Standing.NEW)
    return HeldPod(pod, Standing.SILENT, cause=cause or _nobody_tells(gpus))


def _is_new(state: PodState, gpus: GpuSnapshot, now: float) -> bool:
    """Exporters cannot have told of it yet. Of a pod that ran before we began they had the time."""
    began_in_sight = state.target.born_in_sight or not state.target.ready
    seen = now - state.known_since
    return state.target.phase is Phase.STARTING or (began_in_sight and seen <= gpus.max_age)


def _present_keys(
    named: Mapping[DeviceKey, float], wanted: int | None, gpus: GpuSnapshot, now: float
) -> tuple[DeviceKey, ...]:
    """Without what an earlier pod of this name held, as an exporter has it that tells nothing any more: too old beside what is
    fresh, or told before the newest and more than the limits give."""
    fresh = [key for key, at in named.items() if at >= now - gpus.max_age]
    ordered = sorted(fresh or named, key=lambda key: (-named[key], key))
    if wanted:
        ordered = [key for n, key in enumerate(ordered) if n < wanted or named[key] == named[ordered[0]]]
    return tuple(sorted(ordered))


def _shown_by_itself(pod: SelectedPod, gpus: GpuSnapshot) -> tuple[DeviceKey, ...]:
    """The devices on the pod's own page, if exporters tell of all of them: that it shows them says that it holds them, whatever the
    numbers beside are."""
    if pod.standing is not Standing.ANSWERED:
        return ()
    shown = tuple(DeviceKey(row.gpu, "") for row in pod.rows if row.gpu)
    return shown if all(key in gpus.by_key for key in shown) else ()


def _reading(
    signal: Signal, formula: GpuDevices, told: Sequence[Device], gpus: GpuSnapshot, now: float
) -> Reading | None:
    """By the first exporter that tells all that is asked of the device; one number is never made of two."""
    since = now - gpus.max_age
    for device in told:
        if formula.reading == "memory_used_ratio":
            memory = memory_of(device, signal.window, since)
            if memory is not None:
                return Reading(device.key, device.exporter, memory.used, memory.usable, memory.at, device)
        else:
            utilization = utilization_of(device, signal.window, since)
            if utilization is not None:
                return Reading(device.key, device.exporter, utilization.ratio, 1.0, utilization.at, device)
    return None


def _own_readings(formula: GpuDevices, pod: SelectedPod) -> Sequence[Reading]:
    """Of all GPUs on the pod's own page, or none: one that a Triton could not read shows a total of 0."""
    own = formula.own_page
    if own is None or pod.standing is not Standing.ANSWERED or pod.window is None:
        return ()
    readings = []
    for row, window in pod.rows.items():
        if not row.gpu:
            continue
        used, total = window.mean.get(own.used), window.mean.get(own.total, 0.0)
        if used is None or total <= 0:
            return ()
        readings.append(Reading(DeviceKey(row.gpu, ""), TRITON, used, total, pod.window.at))
    return readings


def _some_untold(pod: SelectedPod, keys: Sequence[DeviceKey], gpus: GpuSnapshot) -> tuple[Reason, str] | None:
    """A pod with fewer devices than its limits give it. Of a shared device it may hold several parts, so there nobody can tell."""
    wanted = pod.state.target.gpus
    shared = any(len(gpus.holders[key]) > 1 or any(d.in_parts for d in gpus.by_key[key]) for key in keys)
    if wanted is None or len(keys) >= wanted or shared:
        return None
    told = f"exporters tell of fewer GPUs than its limits give it; {_remedies(gpus).not_an_owner}"
    return Reason.FAMILY_ABSENT, told


def _unread(formula: GpuDevices, told: Sequence[Device], gpus: GpuSnapshot, now: float) -> tuple[Reason, str]:
    """Why a device of which exporters know is not read."""
    if all(device.at < now - gpus.max_age for device in told):
        failure = gpus.failure or f"the newest sample of {told[0].exporter} is too old"
        return Reason.NOT_ANSWERING, failure
    remedies = gpus.remedies[told[0].exporter]
    lacking = remedies.memory if formula.reading == "memory_used_ratio" else remedies.utilization
    return Reason.FAMILY_ABSENT, f"GPU {told[0].key}: {lacking}"


def _nobody_tells(gpus: GpuSnapshot) -> tuple[Reason, str]:
    """Why no exporter names the pod."""
    if gpus.failure is not None:
        return Reason.NOT_ANSWERING, gpus.failure
    if not gpus.devices:
        return Reason.FAMILY_ABSENT, gpus.absent
    remedies = _remedies(gpus)
    named = any(device.owners for device in gpus.devices)
    told = f"no exporter names it; {remedies.not_an_owner}" if named else remedies.no_owners
    return Reason.FAMILY_ABSENT, told


def _remedies(gpus: GpuSnapshot) -> Remedies:
    """Of the preferred exporter that is there."""
    return gpus.remedies[gpus.devices[0].exporter]


def _refuse_untold(
    pods: Sequence[HeldPod], selected: Sequence[SelectedPod], settings: Settings, gpus: GpuSnapshot
) -> None:
    if not pods:
        by = ", by its limits and by what exporters tell"
        if gpus.failure is not None:
            by = f" by its limits, and what exporters tell is lacking ({gpus.failure})"
        told = (
            f"no selected pod holds a GPU{by}: {selected[0].name}{' and others' if len(selected) > 1 else ''}"
        )
        raise Refusal(Reason.FAMILY_ABSENT, told)
    told_pods = [held for held in pods if held.readings]
    missing = [held for held in pods if held.cause is not None]
    if not told_pods and not missing:
        told = f"every pod that matches is starting: of {pods[0].pod.name} no GPU is told yet"
        raise Refusal(Reason.STARTING, told)
    if len(told_pods) >= settings.coverage * (len(told_pods) + len(missing)):
        return
    first = missing[0]
    assert first.cause is not None  # noqa: S101 -- chosen by it
    reason, cause = first.cause
    if not told_pods:
        raise Refusal(reason, f"pod {first.pod.name}: {cause}")
    raise Refusal(Reason.COVERAGE, f"the GPUs of too few pods are told; pod {first.pod.name}: {cause}")


def _distinct(pods: Iterable[HeldPod]) -> Mapping[DeviceKey, Reading]:
    """Each device once, by an exporter where one tells it."""
    found: dict[DeviceKey, Reading] = {}
    for held in pods:
        for reading in held.readings:
            before = found.get(reading.key)
            if before is None or (before.told_by == TRITON != reading.told_by):
                found[reading.key] = reading
    return found


def _pooled(signal: Signal, answer: DeviceAnswer, gpus: GpuSnapshot, now: float) -> Value:
    read = list(answer.distinct.values())
    above, below = sum(one.above for one in read), sum(one.below for one in read)
    held = Counter(one.key for pod in answer.pods for one in pod.readings)
    shared = sum(max(held[one.key], len(gpus.holders.get(one.key, ()))) > 1 for one in read)
    labels = {
        "gpu_exporter": ",".join(sorted({one.told_by for one in read})),
        "gpus": str(len(read)),
        "gpus_shared": str(shared),
    }
    age = max(0.0, *(now - one.at for one in read))
    return Value(above / below, age, round(signal.window), labels=labels)
