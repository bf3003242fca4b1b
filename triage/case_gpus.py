"""The GPUs of one pod whose load failed. Pure."""

from triage.case import Case
from triage.evidence import GpuMemory
from triage.gpus import Device, Holder, Told, find_devices, is_ours
from triage.latency.facts import Ranges
from triage.log_time import seconds_of


def gpu_ranges(case: Case) -> list[Told]:
    """What exporters of GPUs told of the pod's, by the id of its evidence."""
    return [(e.id, e.facts) for e in case.of_probe("gpu_history") if isinstance(e.facts, Ranges)]


def gpus_of(case: Case) -> list[Device]:
    """The devices that the pod holds, by an exporter; else those on its own page, of which only the present is known."""
    held: list[tuple[Device, float]] = []
    for device in find_devices(gpu_ranges(case)):
        if times := [at for holder, at in device.held.items() if is_own(case, holder)]:
            held.append((device, max(times)))
    # One that is made anew under its name, as a StatefulSet's is, may come to another GPU.
    latest = max((at for _, at in held), default=0.0)
    return [device for device, at in held if at >= latest - device.grain] or _on_the_page(case)


def is_own(case: Case, holder: Holder) -> bool:
    """Whether it is the pod itself."""
    return is_ours(holder, {case.subject}, case.pod.namespace if case.pod else "")


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
