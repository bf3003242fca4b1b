"""Whose GPU it is: the kubelet's device ids, as device plugins write them, matched with NVML's devices."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from telemetry.gpu_agent.devices import Gpu

_SHARE: Final = re.compile(r"::\d+$|/vgpu\d+$")
"""What time-slicing and MPS append: NVIDIA/k8s-device-plugin internal/rm/devices.go (AnnotatedID), and GKE's plugin."""
_OLD_MIG: Final = re.compile(r"MIG-(GPU-[0-9a-f-]+)/(\d+)/\d+")
"""MIG devices before driver 470: parent's UUID, GPU instance, compute instance."""
_BY_MINOR: Final = re.compile(r"nvidia(\d+)(?:/gi(\d+))?")
"""GKE's plugin (dcgm-exporter internal/pkg/transformation/kubernetes.go, gkeMigDeviceIDRegex)."""
_DRA_WHOLE: Final = re.compile(r"gpu-(\d+)")
"""A whole GPU of NVIDIA's DRA driver, by minor number (k8s-dra-driver-gpu cmd/gpu-kubelet-plugin/deviceinfo.go, CanonicalName)."""
DRA_DRIVER: Final = "gpu.nvidia.com"


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    namespace: str
    pod: str
    container: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.pod}/{self.container}"


@dataclass(frozen=True, slots=True)
class Holding:
    """What the kubelet gave to one container, among it devices that are no GPUs."""

    owner: Owner
    devices: tuple[tuple[str, str], ...]
    """(resource name, device id): as the device plugin calls them; (`gpu.nvidia.com`, device name) from DRA."""


@dataclass(frozen=True, slots=True, order=True)
class DeviceKey:
    """A whole GPU (`instance` None) or one of its MIG GPU instances."""

    uuid: str
    instance: int | None = None


@dataclass(frozen=True, slots=True)
class Owners:
    by_device: Mapping[DeviceKey, Sequence[Owner]] = field(default_factory=dict)
    """Each container that holds the device or a share of it, once, in order."""
    unknown: Sequence[tuple[str, Owner]] = ()
    """Device ids of NVIDIA's resources that match nothing, with who holds them, in order."""

    def only(self, device: DeviceKey) -> Owner | None:
        """The container that alone holds the device; None where none or several do."""
        owners = self.by_device.get(device, ())
        return owners[0] if len(owners) == 1 else None


def find_owners(holdings: Iterable[Holding], gpus: Iterable[Gpu]) -> Owners:
    index = DeviceIndex(gpus)
    found: dict[DeviceKey, set[Owner]] = {}
    unknown = set()
    for holding in holdings:
        for resource, device in holding.devices:
            if (key := index.find(resource, device)) is not None:
                found.setdefault(key, set()).add(holding.owner)
            elif is_nvidia(resource):
                unknown.add((device, holding.owner))
    return Owners({key: sorted(owners) for key, owners in found.items()}, sorted(unknown))


def is_nvidia(resource: str) -> bool:
    """Whether a resource is one of NVIDIA's: nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-..., DRA's gpu.nvidia.com."""
    return resource.startswith(("nvidia.com/gpu", "nvidia.com/mig-")) or resource == DRA_DRIVER


class DeviceIndex:
    """GPUs and MIG devices by what others call them."""

    def __init__(self, gpus: Iterable[Gpu]) -> None:
        self._by_name: dict[str, DeviceKey] = {}
        self._by_minor: dict[int, str] = {}
        for gpu in gpus:
            self._by_name[gpu.uuid] = DeviceKey(gpu.uuid)
            if gpu.minor is not None:
                self._by_minor[gpu.minor] = gpu.uuid
            for instance in gpu.instances:
                key = DeviceKey(gpu.uuid, instance.number)
                self._by_name |= dict.fromkeys(instance.uuids, key)

    def find(self, resource: str, device: str) -> DeviceKey | None:
        """The device; a share of it counts as it. None where it is none of these. A resource may have been renamed by its device
        plugin, so outside DRA the device's id alone decides."""
        if resource == DRA_DRIVER:
            dra = _DRA_WHOLE.fullmatch(device)
            return self._of_minor(dra[1], None) if dra else None
        whole = _SHARE.sub("", device)
        if (key := self._by_name.get(whole)) is not None:
            return key
        if old := _OLD_MIG.fullmatch(whole):
            return DeviceKey(old[1], int(old[2])) if old[1] in self._by_name else None
        by_minor = _BY_MINOR.fullmatch(whole)
        return self._of_minor(*by_minor.groups()) if by_minor else None

    def _of_minor(self, minor: str, instance: str | None) -> DeviceKey | None:
        uuid = self._by_minor.get(int(minor))
        return None if uuid is None else DeviceKey(uuid, None if instance is None else int(instance))
