"""How many GPUs Kubernetes was asked for: in a list of resources, by a running pod, and as the scheduler counts them. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

_GPU: Final = re.compile(r"nvidia\.com/(gpu(\..+)?|mig-.+)")
"""`gpu.shared` and the like are the device plugin's. Not HAMi's gpumem, gpumem-percentage and gpucores: megabytes and percent of a
GPU that is counted already (Project-HAMi/HAMi:charts/hami/values.yaml, resourceMem and those after it)."""


class Resources(msgspec.Struct, frozen=True):
    limits: dict[str, str] | None = None


class GpuContainer(Protocol):
    """A container, as far as GPUs go."""

    @property
    def resources(self) -> Resources: ...

    @property
    def restart_policy(self) -> str:
        """`Always` makes an init container a sidecar."""


def gpus_of(resources: Mapping[str, str]) -> int:
    """Whole GPUs and MIG slices among quantities by resource."""
    return sum(int(n) for name, n in resources.items() if _GPU.fullmatch(name) and n.isdigit())


def gpus_while_running(
    containers: Sequence[GpuContainer], init: Sequence[GpuContainer] | None, claims: Sequence[object] | None
) -> int | None:
    """Of a pod whose init containers have ended, its sidecars' among them. None: a claim (dynamic resource allocation) may be for a
    GPU, and does not say so here."""
    sidecars = (each for each in init or () if _is_sidecar(each))
    limits = sum(map(_limit, (*containers, *sidecars)))
    return None if limits == 0 and claims else limits


def gpus_scheduled(containers: Sequence[GpuContainer], init: Sequence[GpuContainer] | None) -> int:
    """The containers and the sidecars together, or what an init container asks for beside the sidecars that began before it
    (kubernetes/component-helpers:resource/helpers.go, PodRequests)."""
    sidecars = most = 0
    for container in init or ():
        gpus = _limit(container)
        most = max(most, sidecars + gpus)
        sidecars += gpus if _is_sidecar(container) else 0
    return max(most, sidecars + sum(map(_limit, containers)))


def _limit(container: GpuContainer) -> int:
    return gpus_of(container.resources.limits or {})


def _is_sidecar(container: GpuContainer) -> bool:
    return container.restart_policy == "Always"
