"""One pod as a person asks after it: each container's specification beside what the kubelet says of it, and the pod's volumes.

Values of environment variables hold secrets, so they are not even decoded; annotations are left out because they may repeat
the whole specification."""

from datetime import datetime
from typing import Any, Literal

import msgspec

Raw = dict[str, Any]
"""An object of the API as it is."""


class PodCondition(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: datetime | None = None


class Port(msgspec.Struct, frozen=True, rename="camel"):
    container_port: int
    name: str = ""
    protocol: str = "TCP"


class VolumeMount(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    mount_path: str
    sub_path: str = ""
    read_only: bool = False


class Volume(msgspec.Struct, frozen=True):
    name: str
    kind: str
    """Such as `persistentVolumeClaim`; empty when the API names none."""
    source: Raw


class ContainerState(msgspec.Struct, frozen=True):
    """`reason`: why it waits (`CrashLoopBackOff`, `ImagePullBackOff`) or how it ended (`Error`, `OOMKilled`, `Completed`)."""

    kind: Literal["waiting", "running", "terminated"]
    reason: str = ""
    message: str = ""
    """After the end it may be what the container itself wrote."""
    exit_code: int | None = None
    """None unless terminated; 128 plus the signal's number where one ended it, on most runtimes."""
    signal: int | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Container(msgspec.Struct, frozen=True):
    name: str
    image: str
    image_id: str = ""
    """What the tag was when it was pulled; empty before."""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    requests: dict[str, str] = {}
    """Quantities by resource, as written."""
    limits: dict[str, str] = {}
    probes: dict[str, Raw] = {}
    """By `startup`, `readiness` and `liveness`."""
    volume_mounts: tuple[VolumeMount, ...] = ()
    env_names: tuple[str, ...] = ()
    env_from: tuple[str, ...] = ()
    """`secret/NAME` and `configMap/NAME` whose every key is an environment variable."""
    restart_policy: str = ""
    """`Always` makes an init container a sidecar; empty: the pod's own."""
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    state: ContainerState | None = None
    """None: the kubelet has said nothing of it."""
    last_state: ContainerState | None = None
    """How the run before this one ended; None: there was none."""


class PodDetails(msgspec.Struct, frozen=True):
    namespace: str
    name: str
    uid: str
    labels: dict[str, str]
    created_at: datetime | None
    deletion_at: datetime | None
    """By when it shall be gone; None unless it is being deleted."""
    node: str
    """Empty: not scheduled."""
    phase: str
    reason: str
    message: str
    conditions: tuple[PodCondition, ...]
    pod_ip: str
    started_at: datetime | None
    """When the kubelet took it, before any image was pulled."""
    restart_policy: str
    init_containers: tuple[Container, ...]
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]

    def container(self, name: str) -> Container | None:
        return next((each for each in (*self.containers, *self.init_containers) if each.name == name), None)
