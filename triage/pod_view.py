"""A pod of the cluster as evidence: states and times as the kubelet tells them, and what its specification says beside them.

No value of an environment variable, nor any content of a Secret or ConfigMap, is in it: names alone."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from telemetry.pod_details import Container, ContainerState, PodCondition, PodDetails, Raw, Volume
from triage.evidence import ContainerView, MountView, PodView, ProbeView, VolumeView

_DEFAULT_PROBE = {"initialDelaySeconds": 0, "periodSeconds": 10, "timeoutSeconds": 1, "failureThreshold": 3}
"""kubernetes/api: core/v1/types.go, Probe."""
_MADE_FROM = {
    "persistentVolumeClaim": "claimName",
    "csi": "driver",
    "hostPath": "path",
    "image": "reference",
    "configMap": "name",
    "secret": "secretName",
    "emptyDir": "medium",
    "cephfs": "path",
    "azureFile": "shareName",
    "azureDisk": "diskName",
    "gcePersistentDisk": "pdName",
    "awsElasticBlockStore": "volumeID",
    "flexVolume": "driver",
    "gitRepo": "repository",
}
"""The field that names what a volume is made from, by kind (kubernetes/api: core/v1/types.go, VolumeSource)."""
_CREDENTIAL = re.compile(
    r"--?[\w-]*(?:token|secret|pass(?:word|wd|phrase)?|pwd|credentials?|key|sas|bearer)", re.I
)
_GIVEN = re.compile(rf"""({_CREDENTIAL.pattern}(?:=|\s+))(?:"[^"]*"|'[^']*'|[^\s;&|]+)""", re.I)
_LOGIN = re.compile(r"(?:-u|--user|--proxy-user)")
"""Of curl and wget's like: `-u NAME:PASSWORD`."""
_LOGIN_GIVEN = re.compile(rf"""((?<!\S){_LOGIN.pattern}(?:=|\s*)["']?[^\s:"'=]+:)[^\s"';&|]+""")
_LEFT_OUT = "[NOT-READ]"
_READ_ONLY_KINDS = ("image", "configMap", "secret", "projected", "downwardAPI")


def pod_view(pod: PodDetails, owner: str) -> PodView:
    """`owner` is the workload above it, such as `deployment/NAME`; empty for none."""
    containers = [_container(c, init=True) for c in pod.init_containers]
    containers += [_container(c, init=False) for c in pod.containers]
    return PodView(
        namespace=pod.namespace,
        name=pod.name,
        phase=pod.phase,
        ready=any(c.type == "Ready" and c.status == "True" for c in pod.conditions),
        node=pod.node,
        reason=": ".join(filter(None, (pod.reason, pod.message))),
        owner=owner,
        containers=tuple(containers),
        started_at=utc(pod.started_at),
        leaving=pod.deletion_at is not None,
        troubles=tuple(filter(None, map(_trouble, pod.conditions))),
        volumes=tuple(map(_volume, pod.volumes)),
    )


def utc(at: datetime | None) -> str:
    """To the second, as the API writes it; empty for None."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


def _container(container: Container, *, init: bool) -> ContainerView:
    state, last = container.state, container.last_state
    ended = next((s for s in (state, last) if s and s.kind == "terminated"), None)
    return ContainerView(
        name=container.name,
        image=container.image,
        init=init,
        ready=container.ready,
        restarts=container.restart_count,
        state=_state(state),
        last_state=_state(last),
        exit_code=ended.exit_code if ended else None,
        ended_by=ended.reason if ended else "",
        began_at=utc(state.started_at) if state and state.kind == "running" else "",
        last_began_at=utc(ended.started_at) if ended else "",
        last_ended_at=utc(ended.finished_at) if ended else "",
        sidecar=init and container.restart_policy == "Always",
        image_id=container.image_id,
        command=_without_credentials(container.command),
        args=_without_credentials(container.args),
        ports=tuple((port.name, port.container_port) for port in container.ports),
        requests=container.requests,
        limits=container.limits,
        probes=tuple(_probe(kind, raw) for kind, raw in container.probes.items()),
        mounts=tuple(
            MountView(mount.name, mount.mount_path, mount.read_only, mount.sub_path)
            for mount in container.volume_mounts
        ),
    )


def _without_credentials(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a command line without what options named like credentials are given. Redaction comes after it, and knows by a
    value's form what is one; a plain `--token x` in a log is mostly a model's token, and in a pod's arguments never."""
    kept: list[str] = []
    for before, word in zip(("", *words), words, strict=False):
        if _CREDENTIAL.fullmatch(before) and not word.startswith("-"):
            kept.append(_LEFT_OUT)
        elif _LOGIN.fullmatch(before) and ":" in word:
            kept.append(f"{word.partition(':')[0]}:{_LEFT_OUT}")
        else:
            said = _GIVEN.sub(rf"\1{_LEFT_OUT}", word)
            kept.append(_LOGIN_GIVEN.sub(rf"\1{_LEFT_OUT}", said))
    return tuple(kept)


def _state(state: ContainerState | None) -> str:
    match state:
        case None:
            return ""
        case ContainerState(kind="terminated", reason=reason, exit_code=code, message=message):
            said = f"terminated: {reason or 'no reason'}, exit code {code}"
            return f"{said}: {message}" if message else said
        case ContainerState(kind="waiting", reason=reason, message=message):
            return ": ".join(filter(None, ("waiting", reason, message)))
        case _:
            return "running"


def _probe(kind: str, raw: Raw) -> ProbeView:
    delay, period, timeout, failures = (_number(raw.get(key), usual) for key, usual in _DEFAULT_PROBE.items())
    return ProbeView(kind, _asks(raw), delay, period, timeout, failures)


def _number(value: Any, usual: int) -> int:
    return value if isinstance(value, int) and value > 0 else usual


def _asks(probe: Raw) -> str:
    match probe:
        case {"httpGet": dict(http)}:
            return f"GET :{http.get('port', '')}{http.get('path', '/')}"
        case {"grpc": dict(grpc)}:
            return f"gRPC health of :{grpc.get('port', '')}"
        case {"tcpSocket": dict(tcp)}:
            return f"TCP :{tcp.get('port', '')}"
        case {"exec": dict(exec)}:
            return " ".join(_without_credentials([str(word) for word in exec.get("command") or ()]))
        case _:
            return ""


def _trouble(condition: PodCondition) -> str:
    """Why it is not placed, or by whom it was ended; what follows from the containers' states is told by them."""
    unplaced = condition.type == "PodScheduled" and condition.status == "False"
    ended = condition.type == "DisruptionTarget" and condition.status == "True"
    if not (unplaced or ended):
        return ""
    return ": ".join(filter(None, (condition.type, condition.reason, condition.message)))


def _volume(volume: Volume) -> VolumeView:
    source = volume.source
    of = str(source.get(_MADE_FROM.get(volume.kind, ""), ""))
    if volume.kind == "nfs":
        of = f"{source.get('server', '')}:{source.get('path', '')}"
    return VolumeView(
        name=volume.name,
        kind=volume.kind,
        of=of,
        read_only=volume.kind in _READ_ONLY_KINDS or source.get("readOnly") is True,
        limit=str(source.get("sizeLimit", "")) if volume.kind == "emptyDir" else "",
    )
