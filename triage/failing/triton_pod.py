"""A Triton pod, by what decides whether it is looked at and what it is told by. Pure."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class TritonPod:
    """What decides whether a pod is looked at, and how it is told apart from others."""

    namespace: str
    name: str
    uid: str
    workload: str
    """`deployment/NAME` and the like; `pod/NAME` where nothing owns it."""
    ready: bool
    troubled: bool
    """Not ready, or one of its containers ended lately."""
    runs: bool
    """Triton's own container runs: it can be asked."""
    http_port: int
    since: datetime | None
    """Since when it is as ready, or as unready, as it is."""
    alike: str
    """The same for pods of one workload and one template whose containers stand alike: they fail alike, if they do."""
