"""Reads one pod into `PodDetails`. Only what that names is decoded of the API's answer: no values of environment variables."""

from datetime import datetime

import msgspec

from telemetry.kubernetes_api import KubernetesApi
from telemetry.kubernetes_objects import get_object, object_path
from telemetry.pod_details import (
    Container,
    ContainerState,
    PodCondition,
    PodDetails,
    Port,
    Raw,
    Volume,
    VolumeMount,
)


async def read_pod(api: KubernetesApi, namespace: str, name: str) -> PodDetails:
    """Raises `KubernetesError`, with status 404 where there is no such pod."""
    return _pod_details(await get_object(api, object_path(namespace, "v1", "pods", name), _Pod))


def _pod_details(pod: "_Pod") -> PodDetails:
    metadata, spec, status = pod.metadata, pod.spec, pod.status
    return PodDetails(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        labels=metadata.labels or {},
        created_at=metadata.creation_timestamp,
        deletion_at=metadata.deletion_timestamp,
        node=spec.node_name,
        phase=status.phase,
        reason=status.reason,
        message=status.message,
        conditions=tuple(status.conditions or ()),
        pod_ip=status.pod_ip,
        started_at=status.start_time,
        restart_policy=spec.restart_policy,
        init_containers=_containers(spec.init_containers, status.init_container_statuses),
        containers=_containers(spec.containers, status.container_statuses),
        volumes=tuple(_volume(raw) for raw in spec.volumes or ()),
    )


def _containers(
    specs: "list[_ContainerSpec] | None", statuses: "list[_ContainerStatus] | None"
) -> tuple[Container, ...]:
    by_name = {status.name: status for status in statuses or ()}
    return tuple(_container(spec, by_name.get(spec.name)) for spec in specs or ())


def _container(spec: "_ContainerSpec", status: "_ContainerStatus | None") -> Container:
    probes = {
        "startup": spec.startup_probe,
        "readiness": spec.readiness_probe,
        "liveness": spec.liveness_probe,
    }
    container = Container(
        name=spec.name,
        image=spec.image,
        command=tuple(spec.command or ()),
        args=tuple(spec.args or ()),
        ports=tuple(spec.ports or ()),
        requests=spec.resources.requests or {},
        limits=spec.resources.limits or {},
        probes={kind: probe for kind, probe in probes.items() if probe is not None},
        volume_mounts=tuple(spec.volume_mounts or ()),
        env_names=tuple(variable.name for variable in spec.env or ()),
        env_from=tuple(source.described for source in spec.env_from or ()),
        restart_policy=spec.restart_policy,
    )
    if status is None:
        return container
    return msgspec.structs.replace(
        container,
        image_id=status.image_id,
        ready=status.ready,
        started=bool(status.started),
        restart_count=status.restart_count,
        state=_state(status.state) or ContainerState("waiting"),  # the API's default
        last_state=_state(status.last_state),
    )


def _state(state: "_State") -> ContainerState | None:
    if (ended := state.terminated) is not None:
        return ContainerState(
            kind="terminated",
            reason=ended.reason,
            message=ended.message,
            exit_code=ended.exit_code,
            signal=ended.signal,
            started_at=ended.started_at,
            finished_at=ended.finished_at,
        )
    if state.running is not None:
        return ContainerState("running", started_at=state.running.started_at)
    if state.waiting is not None:
        return ContainerState("waiting", state.waiting.reason, state.waiting.message)
    return None


def _volume(raw: Raw) -> Volume:
    kind = next((key for key in raw if key != "name"), "")
    source = raw.get(kind)
    return Volume(str(raw.get("name", "")), kind, source if isinstance(source, dict) else {})


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None


class _Name(msgspec.Struct, frozen=True):
    name: str = ""


class _EnvFrom(msgspec.Struct, frozen=True, rename="camel"):
    config_map_ref: _Name | None = None
    secret_ref: _Name | None = None

    @property
    def described(self) -> str:
        if self.secret_ref is not None:
            return f"secret/{self.secret_ref.name}"
        return f"configMap/{self.config_map_ref.name if self.config_map_ref is not None else ''}"


class _Resources(msgspec.Struct, frozen=True):
    requests: dict[str, str] | None = None
    limits: dict[str, str] | None = None


class _ContainerSpec(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    image: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    ports: list[Port] | None = None
    resources: _Resources = _Resources()
    startup_probe: Raw | None = None
    readiness_probe: Raw | None = None
    liveness_probe: Raw | None = None
    volume_mounts: list[VolumeMount] | None = None
    env: list[_Name] | None = None
    env_from: list[_EnvFrom] | None = None
    restart_policy: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    containers: list[_ContainerSpec]
    init_containers: list[_ContainerSpec] | None = None
    node_name: str = ""
    restart_policy: str = "Always"
    volumes: list[Raw] | None = None


class _Waiting(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""


class _Running(msgspec.Struct, frozen=True, rename="camel"):
    started_at: datetime | None = None


class _Terminated(msgspec.Struct, frozen=True, rename="camel"):
    exit_code: int
    signal: int | None = None
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


class _State(msgspec.Struct, frozen=True):
    waiting: _Waiting | None = None
    running: _Running | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    image_id: str = msgspec.field(name="imageID", default="")
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: _State = _State()
    last_state: _State = _State()


class _Status(msgspec.Struct, frozen=True, rename="camel"):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[PodCondition] | None = None
    pod_ip: str = msgspec.field(name="podIP", default="")
    start_time: datetime | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    container_statuses: list[_ContainerStatus] | None = None


class _Pod(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _Spec
    status: _Status = _Status()
