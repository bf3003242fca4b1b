"""A snapshot as Prometheus families. What is not known has no series."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from telemetry.gpu_agent.devices import Gpu, GpuInstance, Memory
from telemetry.gpu_agent.owners import DeviceKey, Owner, Owners
from telemetry.gpu_agent.snapshot import Snapshot

DEVICE = ("node", "gpu", "uuid", "gpu_instance", "mig_profile")
OWNER = ("namespace", "pod", "container")
_NOBODY = Owner("", "", "")


def device_families(node: str, snapshot: Snapshot) -> Iterator[Metric]:
    """Of the devices: to be served only while the snapshot is fresh. Each device has one series a family, so that a sum counts none
    twice: with its owner where one container alone holds it, without where none or several do; `triton_gpu_owner` names all."""
    yield from _memory(node, snapshot)
    yield from _figures(node, snapshot)
    yield _throttled(node, snapshot)
    yield _watched(node, snapshot)
    yield _xids(node, snapshot)
    yield _owner_family(node, snapshot)


def problem_family(node: str, snapshot: Snapshot) -> Metric:
    """Of the agent, so that it is served however old the snapshot is."""
    family = GaugeMetricFamily(
        "triton_gpu_agent_problem",
        "1 while something keeps the agent from seeing: docs/operations.md names each.",
        labels=("node", "problem", "gpu"),
    )
    for problem in snapshot.problems:
        family.add_metric((node, problem.kind, problem.gpu), 1.0)
    return family


def _memory(node: str, snapshot: Snapshot) -> Iterator[Metric]:
    rows = [(labels, memory) for labels, memory in _memory_rows(node, snapshot) if memory is not None]
    for name, told in (
        ("used", "In use, without what is reserved."),
        ("free", "Free."),
        ("reserved", "Reserved by driver and firmware."),
        ("total", "All of it: used, free and reserved."),
    ):
        family = GaugeMetricFamily(f"triton_gpu_memory_{name}_bytes", told, labels=(*DEVICE, *OWNER))
        for labels, memory in rows:
            family.add_metric(labels, float(getattr(memory, name)))
        yield family


def _figures(node: str, snapshot: Snapshot) -> Iterator[Metric]:
    for name, told in (
        ("utilization_ratio", "Share of the time in which any kernel ran. Not told in MIG mode."),
        ("sm_clock_hertz", "Clock of the streaming multiprocessors."),
        ("sm_clock_max_hertz", "The most that this clock can be."),
    ):
        family = GaugeMetricFamily(f"triton_gpu_{name}", told, labels=(*DEVICE, *OWNER))
        for gpu in snapshot.gpus:
            if (value := getattr(gpu, name)) is not None:
                family.add_metric(_whole(node, gpu, snapshot.owners), value)
        yield family


def _throttled(node: str, snapshot: Snapshot) -> Metric:
    family = GaugeMetricFamily(
        "triton_gpu_throttled",
        "1 while NVML gives this reason for a lower clock, 0 while not.",
        labels=(*DEVICE, *OWNER, "reason"),
    )
    for gpu in snapshot.gpus:
        for reason, holds in gpu.throttled.items():
            family.add_metric((*_whole(node, gpu, snapshot.owners), reason), float(holds))
    return family


def _watched(node: str, snapshot: Snapshot) -> Metric:
    family = GaugeMetricFamily(
        "triton_gpu_xid_watched",
        "1 if XID errors of this GPU are seen, so that no triton_gpu_xid_total means none; 0 if not.",
        labels=(*DEVICE, *OWNER),
    )
    for gpu in snapshot.gpus:
        family.add_metric(_whole(node, gpu, snapshot.owners), float(gpu.uuid in snapshot.watched))
    return family


def _xids(node: str, snapshot: Snapshot) -> Metric:
    family = CounterMetricFamily(
        "triton_gpu_xid",
        "XID errors since the agent began, with who held the device when they came.",
        labels=(*DEVICE, *OWNER, "xid"),
    )
    for at, count in snapshot.xids.items():
        device = _device(node, at.index, at.device.uuid, at.device.instance, at.profile)
        family.add_metric((*device, *_owner(at.owner), str(at.code)), float(count))
    return family


def _memory_rows(node: str, snapshot: Snapshot) -> Iterable[tuple[Sequence[str], Memory | None]]:
    """Of a GPU with MIG instances one an instance and none for the whole, which would be their sum."""
    for gpu in snapshot.gpus:
        if not gpu.instances:
            yield _whole(node, gpu, snapshot.owners), gpu.memory
        for instance in gpu.instances:
            owner = snapshot.owners.only(DeviceKey(gpu.uuid, instance.number))
            yield (*_part(node, gpu, instance), *_owner(owner)), instance.memory


def _owner_family(node: str, snapshot: Snapshot) -> Metric:
    """Also of a lost GPU, whose pods are those to move."""
    family = GaugeMetricFamily(
        "triton_gpu_owner",
        "1 for each container that holds the device or a share of it, by the kubelet's pod-resources API.",
        labels=(*DEVICE, *OWNER),
    )
    for key, owners in sorted(snapshot.owners.by_device.items(), key=lambda item: str(item[0])):
        gpu = snapshot.known[key.uuid]
        profile = next((each.profile for each in gpu.instances if each.number == key.instance), "")
        device = _device(node, gpu.index, gpu.uuid, key.instance, profile)
        for owner in owners:
            family.add_metric((*device, *_owner(owner)), 1.0)
    return family


def _whole(node: str, gpu: Gpu, owners: Owners) -> Sequence[str]:
    return (*_device(node, gpu.index, gpu.uuid, None, ""), *_owner(owners.only(DeviceKey(gpu.uuid))))


def _part(node: str, gpu: Gpu, instance: GpuInstance) -> Sequence[str]:
    return _device(node, gpu.index, gpu.uuid, instance.number, instance.profile)


def _device(node: str, index: int, uuid: str, instance: int | None, profile: str) -> Sequence[str]:
    return (node, str(index), uuid, "" if instance is None else str(instance), profile)


def _owner(owner: Owner | None) -> Sequence[str]:
    held = owner or _NOBODY
    return (held.namespace, held.pod, held.container)
