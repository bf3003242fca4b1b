"""One look at a node: what NVML and the kubelet said, put together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from telemetry.gpu_agent.devices import Gpu
from telemetry.gpu_agent.owners import DeviceIndex, DeviceKey, Holding, Owner, Owners, find_owners, is_nvidia
from telemetry.gpu_agent.problems import OWNERS_UNKNOWN, Problem

Xid = tuple[int, int | None, int]
"""(GPU's index, GPU instance or None, XID code)."""


MOST_XIDS: Final = 1000
"""Counts that are kept, those whose last error is the latest: each pod with an error has its own, and pods come and go."""


@dataclass(frozen=True, slots=True)
class FromNvml:
    """What NVML said. With no driver, no GPUs and the problem that says so."""

    gpus: Sequence[Gpu] = ()
    problems: Sequence[Problem] = ()
    answers: bool = True
    """Whether NVML is open at all: then a GPU that was there and is not is lost."""
    xids: Mapping[Xid, int] = field(default_factory=dict)
    """Errors since the look before."""
    watched: frozenset[int] = frozenset()
    """Indexes of the GPUs whose errors would have been seen."""


@dataclass(frozen=True, slots=True)
class FromKubelet:
    """What the kubelet said."""

    holdings: Sequence[Holding] = ()
    offered: Sequence[tuple[str, str]] | None = None
    """(resource, device id) of each healthy device that it may give to pods; None where it does not tell."""
    problems: Sequence[Problem] = ()


@dataclass(frozen=True, slots=True)
class XidOf:
    """Where an XID happened, and who alone held the device then."""

    device: DeviceKey
    index: int
    profile: str
    owner: Owner | None
    code: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    gpus: Sequence[Gpu] = ()
    """Those that answered, by index."""
    owners: Owners = field(default_factory=Owners)
    problems: Sequence[Problem] = ()
    watched: frozenset[str] = frozenset()
    """UUIDs of GPUs whose XIDs are seen."""
    xids: Mapping[XidOf, int] = field(default_factory=dict)
    """Since the agent began, the latest last. The owner is the one of that time: a count never moves to who gets the GPU next."""
    known: Mapping[str, Gpu] = field(default_factory=dict)
    """Every GPU seen since the agent began as it was last, by UUID: whose a lost one is can still be told."""


def take_snapshot(before: Snapshot, nvml: FromNvml, kubelet: FromKubelet) -> Snapshot:
    """The snapshot after `before`."""
    seen = {gpu.uuid: gpu for gpu in nvml.gpus}
    # Those that answer come last: numbers that one had which is gone are theirs now.
    known = {uuid: gpu for uuid, gpu in before.known.items() if uuid not in seen} | seen
    owners = find_owners(kubelet.holdings, known.values())
    problems = [*nvml.problems, *kubelet.problems]
    if nvml.answers:
        if not known and not nvml.problems:
            problems.append(Problem("no_gpu"))
        problems += _gone(known, nvml)
        problems += [
            Problem("unknown_device", detail=f"{owner} holds {device}")
            for device, owner in owners.unknown[:1]
        ]
        problems += _not_offered(nvml.gpus, kubelet.offered)
    by_index = {gpu.index: gpu for gpu in known.values()}
    xids = dict(before.xids)
    for (index, instance, code), count in nvml.xids.items():
        if (gpu := by_index.get(index)) is not None:
            at = _xid_of(gpu, instance, code, before, owners)
            xids[at] = xids.pop(at, 0) + count  # the latest is the last
    return Snapshot(
        gpus=sorted(nvml.gpus, key=lambda gpu: gpu.index),
        owners=owners,
        problems=_once(problems),
        watched=frozenset(gpu.uuid for gpu in nvml.gpus if gpu.index in nvml.watched),
        xids=dict([*xids.items()][-MOST_XIDS:]),
        known=known,
    )


def _gone(known: Mapping[str, Gpu], nvml: FromNvml) -> list[Problem]:
    """GPUs that were there and that NVML does not even name any more. One is told already by a problem of its index, if nobody else
    answers there."""
    seen = {gpu.uuid for gpu in nvml.gpus}
    told = {problem.gpu for problem in nvml.problems} - {str(gpu.index) for gpu in nvml.gpus}
    return [
        Problem("gpu_lost", str(gpu.index), f"{gpu.uuid} was there and is not any more")
        for gpu in known.values()
        if gpu.uuid not in seen and str(gpu.index) not in told
    ]


def _not_offered(gpus: Iterable[Gpu], offered: Sequence[tuple[str, str]] | None) -> list[Problem]:
    """Of a node whose kubelet offers any GPU at all; where it offers none, DRA gives them or no plugin runs. A GPU in MIG mode
    counts as offered with one of its instances; one without instances has nothing to offer."""
    nvidia = [(resource, device) for resource, device in offered or () if is_nvidia(resource)]
    gpus = list(gpus)
    index = DeviceIndex(gpus)
    named = {key.uuid for resource, device in nvidia if (key := index.find(resource, device)) is not None}
    if not named:
        return []
    return [
        Problem("not_offered", str(gpu.index), f"{gpu.uuid} is not among the kubelet's allocatable devices")
        for gpu in gpus
        if gpu.uuid not in named and not (gpu.mig and not gpu.instances)
    ]


def _xid_of(gpu: Gpu, instance: int | None, code: int, before: Snapshot, now: Owners) -> XidOf:
    """An error often ends its pod at once: who held the device at the look before is asked first, and who holds it now only where
    that look knew that nobody did."""
    device = DeviceKey(gpu.uuid, instance)
    profile = next((each.profile for each in gpu.instances if each.number == instance), "")
    told = not any(problem.kind in OWNERS_UNKNOWN for problem in before.problems)
    held = now if told and not before.owners.by_device.get(device) else before.owners
    return XidOf(device, gpu.index, profile, held.only(device), code)


def _once(problems: Iterable[Problem]) -> Sequence[Problem]:
    """One problem a kind and GPU, the first, since they become series."""
    kept: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        kept.setdefault((problem.kind, problem.gpu), problem)
    return tuple(kept.values())
