"""A signal of the devices that pods hold, as GPU exporters tell of them (rules/gpu_exporters)."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict

from autoscaler.families import WholeFamily


class OwnPage(BaseModel):
    """What Triton's own page tells of the GPUs that its DCGM sees: where no exporter is read, or none tells a pod's devices."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    used: WholeFamily
    total: WholeFamily


class GpuDevices(BaseModel):
    """Over the distinct devices of the selected pods, whoever shares them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["gpu_devices"]
    reading: Literal["memory_used_ratio", "utilization"]
    """memory_used_ratio: bytes used over bytes that can be used, each summed; utilization: a mean, each device as much."""
    own_page: OwnPage | None = None

    def families(self) -> Iterator[str]:
        if self.own_page is not None:
            yield from (self.own_page.used, self.own_page.total)
