"""What a node's kubelet tells of a simulated pod, told by the test instead: logs, container states and events.

The API server asks kwok for logs as it would ask a kubelet, and kwok reads the files that `log_file` names. A state that
`report` told stays: kwok's stages leave an annotated pod alone, but for its deletion."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tests.controlplane.kube_client import ApiRefused, KubeClient, Object
from tests.local_process import eventually

HELD = "triton-ops.test/status"
"""Annotation of a pod whose status is the test's. In a template it keeps the pod Pending, without an address, from the start."""

LOGS_API = "kwok.x-k8s.io/v1alpha1"
LOGS_CRD: Object = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "logs.kwok.x-k8s.io"},
    "spec": {
        "group": "kwok.x-k8s.io",
        "names": {"kind": "Logs", "listKind": "LogsList", "plural": "logs", "singular": "logs"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
                        },
                    }
                },
            }
        ],
    },
}
"""kwok's own kind, by which a pod of the same name gets its log files."""

READY_SECONDS = 20.0


@dataclass(frozen=True)
class ContainerReport:
    """One container's state in Kubernetes' words; `state` and `last_state` as in the API."""

    name: str
    state: Object
    last_state: Object | None = None
    ready: bool = False
    restart_count: int = 0
    started: bool = False


def running(name: str, *, ready: bool = True, restart_count: int = 0) -> ContainerReport:
    """Unready: its process runs, its readiness probe fails."""
    state = {"running": {"startedAt": _now()}}
    return ContainerReport(name, state, ready=ready, restart_count=restart_count, started=True)


def waiting(name: str, reason: str, message: str = "") -> ContainerReport:
    """Never ran: `ImagePullBackOff`, `CreateContainerConfigError`, `ContainerCreating`."""
    return ContainerReport(name, _waiting(reason, message))


def crash_loop(
    name: str, *, exit_code: int = 1, reason: str = "Error", restart_count: int = 5, message: str = ""
) -> ContainerReport:
    """Ended with `exit_code`, and waits out the back-off before its next start. `reason` may be `OOMKilled`; `message` is
    what the container wrote as its termination message."""
    return ContainerReport(
        name,
        _waiting("CrashLoopBackOff", f"back-off 5m0s restarting failed container={name}"),
        last_state=_terminated(exit_code, reason, message),
        restart_count=restart_count,
    )


def terminated(
    name: str, *, exit_code: int, reason: str = "Error", restart_count: int = 0, message: str = ""
) -> ContainerReport:
    """Ended, and not started again yet. An init container that ended with 0 is ready."""
    state = _terminated(exit_code, reason, message)
    return ContainerReport(name, state, ready=exit_code == 0, restart_count=restart_count)


class Kubelet:
    """The kubelet of all simulated nodes; `folder` takes the log files."""

    def __init__(self, api: KubeClient, folder: Path) -> None:
        self._api = api
        self._folder = folder

    async def log_file(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> Path:
        """The file that the container's log is read from: write CRI lines to it (`cri_lines`), at any time.

        Each container and init container has its own, empty at first. A previous one is not there until it is written, and the
        log request is then refused with 400."""
        folder = self._folder / namespace / pod
        if not folder.exists():
            await self._serve_logs(namespace, pod, folder)
        file = folder / _file_name(container, previous)
        if not (folder / _file_name(container, False)).exists():
            raise ValueError(f"pod {namespace}/{pod} has no container {container!r}")
        return file

    async def _serve_logs(self, namespace: str, pod: str, folder: Path) -> None:
        spec = (await self._api.get("v1", "Pod", pod, namespace))["spec"]
        names = [container["name"] for container in (*spec.get("initContainers", ()), *spec["containers"])]
        logs = {
            "apiVersion": LOGS_API,
            "kind": "Logs",
            "metadata": {"name": pod, "namespace": namespace},
            "spec": {
                "logs": [
                    {
                        "containers": [name],
                        "logsFile": str(folder / _file_name(name, False)),
                        "previousLogsFile": str(folder / _file_name(name, True)),
                    }
                    for name in names
                ]
            },
        }
        _make_files(folder, [_file_name(name, False) for name in names])
        await self._api.apply(logs)
        path = await self._api.path("v1", "Pod", pod, namespace)

        async def served() -> bool:
            """kwok hears of the new object by its watch."""
            try:
                await self._api.call("GET", f"{path}/log", query={"container": names[-1]})
            except ApiRefused:
                return False
            return True

        await eventually(served, seconds=READY_SECONDS)

    async def report(
        self,
        namespace: str,
        pod: str,
        *reports: ContainerReport,
        phase: str | None = None,
        reason: str = "",
        message: str = "",
    ) -> Object:
        """Sets the containers' states, with the pod's conditions and phase as a kubelet derives them; returns the pod.

        Containers that are not named keep their state. `phase`, `reason` and `message` are the pod's own (`Failed`,
        `Evicted`)."""
        found = await self._initialized(namespace, pod)
        if HELD not in found["metadata"].get("annotations", {}):
            annotations = {"metadata": {"annotations": {HELD: "held"}}}
            found = await self._api.patch("v1", "Pod", pod, annotations, namespace)
        status = _status(found, {report.name: report for report in reports}, phase)
        status |= {"reason": reason or None, "message": message or None}
        return await self._api.patch("v1", "Pod", pod, {"status": status}, namespace, subresource="status")

    async def event(
        self,
        namespace: str,
        pod: str,
        reason: str,
        message: str,
        *,
        type: str = "Warning",
        count: int = 1,
        first: datetime | None = None,
        last: datetime | None = None,
        container: str = "",
    ) -> Object:
        """Records an event about the pod, or about one of its containers, that happened `count` times; returns it."""
        metadata = (await self._api.get("v1", "Pod", pod, namespace))["metadata"]
        last = last or datetime.now(UTC)
        key = hashlib.sha256(f"{reason} {message} {last}".encode()).hexdigest()[:16]
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "namespace": namespace,
            "name": pod,
            "uid": metadata["uid"],
        }
        if container:
            about["fieldPath"] = f"spec.containers{{{container}}}"
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{pod}.{key}", "namespace": namespace},
            "involvedObject": about,
            "reason": reason,
            "message": message,
            "type": type,
            "count": count,
            "firstTimestamp": _time(first or last),
            "lastTimestamp": _time(last),
            "source": {"component": "kubelet"},
        }
        return (await self._api.apply(event))[0]

    async def _initialized(self, namespace: str, pod: str) -> Object:
        """The pod once kwok has given it an address and a first status, unless it is held from the start: a stage that kwok
        has already chosen would undo what is reported."""
        async with asyncio.timeout(READY_SECONDS):
            watch = self._api.watch("v1", "Pod", namespace, fields=f"metadata.name={pod}")
            async for _, found in watch:
                held = HELD in found["metadata"].get("annotations", {})
                if held or found["status"].get("phase") != "Pending":
                    await watch.aclose()
                    return found
        raise AssertionError("a watch does not end")


def held_back(stages: str) -> str:
    """kwok's stages, but for deletion, limited to pods that are not held by a test."""
    documents = [document for document in yaml.safe_load_all(stages) if document]
    for stage in documents:
        if stage["spec"]["resourceRef"]["kind"] == "Pod" and not stage["spec"]["next"].get("delete"):
            free = {"key": f'.metadata.annotations["{HELD}"]', "operator": "DoesNotExist"}
            stage["spec"]["selector"]["matchExpressions"].append(free)
    return yaml.safe_dump_all(documents)


def _status(pod: Object, reports: Mapping[str, ContainerReport], phase: str | None) -> Object:
    spec, old = pod["spec"], pod["status"]
    inits = _statuses(pod, spec.get("initContainers", []), old.get("initContainerStatuses", []), reports)
    mains = _statuses(pod, spec["containers"], old.get("containerStatuses", []), reports)
    if unknown := set(reports) - {status["name"] for status in (*inits, *mains)}:
        raise ValueError(f"pod {pod['metadata']['name']} has no container {sorted(unknown)}")
    uninitialized = [status["name"] for status in inits if not status["ready"]]
    unready = [status["name"] for status in mains if not status["ready"]]
    return {
        "phase": phase or _phase(mains, bool(uninitialized)),
        "startTime": old.get("startTime") or _now(),
        "conditions": [
            _condition("PodScheduled", [], "", ""),
            _condition("Initialized", uninitialized, "ContainersNotInitialized", "incomplete"),
            _condition("ContainersReady", unready, "ContainersNotReady", "unready"),
            _condition("Ready", unready, "ContainersNotReady", "unready"),
        ],
        "initContainerStatuses": inits or None,
        "containerStatuses": mains,
    }


def _statuses(
    pod: Object, containers: Sequence[Object], old: Sequence[Object], reports: Mapping[str, ContainerReport]
) -> list[Object]:
    kept = {status["name"]: status for status in old}
    found = []
    for container in containers:
        name = container["name"]
        base = {"name": name, "image": container["image"], "imageID": ""}
        report = reports.get(name)
        if report is None:
            unseen = {"ready": False, "restartCount": 0, "state": _waiting("PodInitializing", "")}
            found.append(kept.get(name) or base | unseen)
            continue
        found.append(
            base
            | {
                "state": _identified(pod, name, report.state, report.restart_count),
                "lastState": _identified(pod, name, report.last_state or {}, report.restart_count - 1),
                "ready": report.ready,
                "started": report.started,
                "restartCount": report.restart_count,
            }
        )
    return found


def _identified(pod: Object, name: str, state: Object, run: int) -> Object:
    """A kubelet names the container that ended."""
    if "terminated" not in state:
        return state
    key = hashlib.sha256(f"{pod['metadata']['uid']} {name} {run}".encode()).hexdigest()
    return {"terminated": state["terminated"] | {"containerID": f"containerd://{key}"}}


def _phase(statuses: Sequence[Object], initializing: bool) -> str:
    """For restartPolicy Always."""
    never_ran = ["waiting" in status["state"] and not status.get("lastState") for status in statuses]
    return "Pending" if initializing or any(never_ran) else "Running"


def _condition(kind: str, lacking: Sequence[str], reason: str, word: str) -> Object:
    told = {"type": kind, "status": "False" if lacking else "True", "lastTransitionTime": _now()}
    if not lacking:
        return told
    return told | {
        "reason": reason,
        "message": f"containers with {word} status: [{' '.join(lacking)}]",
    }


def _waiting(reason: str, message: str) -> Object:
    return {"waiting": {"reason": reason} | ({"message": message} if message else {})}


def _terminated(exit_code: int, reason: str, message: str) -> Object:
    now = _now()
    ended = {"exitCode": exit_code, "reason": reason, "startedAt": now, "finishedAt": now}
    return {"terminated": ended | ({"message": message} if message else {})}


def _make_files(folder: Path, names: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def _file_name(container: str, previous: bool) -> str:
    return f"{container}.previous.log" if previous else f"{container}.log"


def _now() -> str:
    return _time(datetime.now(UTC))


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
