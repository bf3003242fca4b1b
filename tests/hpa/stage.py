"""Where scenarios play: a real control plane, whose HPA controller alone decides, and scale targets that nobody else touches.

A target is a ReplicationController without its controller, so that status and pods are what the scenario says, whatever the scale
is: a fleet whose pods start slowly, surge, or are not counted yet. The HPA controller reads them as it reads any other."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from telemetry.hpa_spec import HpaSpec
from tests.controlplane.build_tools import Tools
from tests.controlplane.components import Options
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.hpa.metrics_server import GROUP, MetricsServer
from tests.hpa.read_back import read_spec
from tests.hpa.scenario import OWN_WINDOW_SECONDS, Moment, Scenario, manifest

NAMESPACE: Final = "hpa-scenarios"
SYNC_SECONDS: Final = 1.2
"""Not a whole second, for windows and periods are: after few looks no age is near an edge."""
_PATIENCE: Final = 6
"""Syncs that a busy machine may take for one."""
_AT_ONCE: Final = 16
_SETTLED_SECONDS: Final = 1.0
_CONTROLLER: Final = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
AUDIT_POLICY: Final[Object] = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            "level": "RequestResponse",
            "users": [_CONTROLLER],
            "resources": [
                {"group": "", "resources": ["replicationcontrollers/scale"]},
                {"group": "autoscaling", "resources": ["horizontalpodautoscalers/status"]},
            ],
        },
        {"level": "Metadata", "users": [_CONTROLLER], "resources": [{"group": GROUP}]},
        {"level": "None"},
    ],
}


@dataclass(frozen=True)
class ReadyChange:
    """Pods turned ready or unready one after the other: the controller's cache saw it at some time from `began` on."""

    began: float
    ended: float
    before: int
    after: int


@dataclass
class Played:
    """A scenario that was played, with its HPA's spec as the API server stored it, and when its pods changed."""

    scenario: Scenario
    spec: HpaSpec
    ready: list[ReadyChange] = field(default_factory=list)


class Stage:
    """Plays scenarios side by side; `audit` and `log` are what the API server and the controller manager wrote meanwhile."""

    def __init__(self, control_plane: ControlPlane, metrics: MetricsServer, audit: Path) -> None:
        self.metrics = metrics
        self.audit = audit
        self.log = control_plane.logs / "kube-controller-manager.log"
        self._api = control_plane.api
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def play(self, scenarios: Sequence[Scenario]) -> list[Played]:
        async with asyncio.TaskGroup() as group:
            for scenario in scenarios:
                group.create_task(self._prepare(scenario))
        await asyncio.sleep(_SETTLED_SECONDS)
        async with asyncio.TaskGroup() as group:
            played = [group.create_task(self._play(scenario)) for scenario in scenarios]
        return [task.result() for task in played]

    async def _prepare(self, scenario: Scenario) -> None:
        labels = {"app": scenario.name}
        pod_spec = {"containers": [{"name": "server", "image": "server"}]}
        target = {
            "apiVersion": "v1",
            "kind": "ReplicationController",
            "metadata": {"name": scenario.name},
            "spec": {
                "replicas": scenario.replicas,
                "selector": labels,
                "template": {"metadata": {"labels": labels}, "spec": pod_spec},
            },
        }
        await self._create("v1", "ReplicationController", target)
        first = scenario.moments[0]
        await self._set_status(scenario, first.status_replicas)
        for number in range(scenario.pods):
            metadata = {"name": f"{scenario.name}-{number}", "labels": labels}
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec}
            await self._create("v1", "Pod", pod)
            await self._set_ready(scenario, number, number < first.ready)
        self.metrics.serve(scenario)

    async def _play(self, scenario: Scenario) -> Played:
        """Changes what a moment changes a third of the way to its look, far from both looks."""
        hpa = manifest(scenario, NAMESPACE)
        await self._create("autoscaling/v2", "HorizontalPodAutoscaler", hpa)
        stored = await self._api.get("autoscaling/v2", "HorizontalPodAutoscaler", scenario.name, NAMESPACE)
        spec = read_spec(stored, scale_to_zero=True, downscale_stabilization_seconds=OWN_WINDOW_SECONDS)
        played = Played(scenario, spec)
        before, off = scenario.moments[0], False
        for moment in scenario.moments[1:]:
            await self._next_look(scenario, off)
            await asyncio.sleep(SYNC_SECONDS / 3)
            await self._change(played, before, moment)
            off = moment.by_hand == 0 if moment.by_hand is not None else off
            before = moment
        for _ in range(2):
            await self._next_look(scenario, off)
        await self._api.delete("autoscaling/v2", "HorizontalPodAutoscaler", scenario.name, NAMESPACE)
        return played

    async def _next_look(self, scenario: Scenario, off: bool) -> None:
        """Or, while somebody has switched the scale `off`, one that asks for no metrics; a busy machine has time else."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout((1.5 if off else _PATIENCE) * SYNC_SECONDS):
                await self.metrics.next_look(scenario)

    async def _change(self, played: Played, before: Moment, moment: Moment) -> None:
        scenario = played.scenario
        if moment.by_hand is not None:
            patch = {"spec": {"replicas": moment.by_hand}}
            await self._patch("v1", "ReplicationController", scenario.name, patch)
        if moment.status_replicas != before.status_replicas:
            await self._set_status(scenario, moment.status_replicas)
        if moment.ready != before.ready:
            began = time.time()
            low, high = sorted((before.ready, moment.ready))
            for number in range(low, high):
                await self._set_ready(scenario, number, moment.ready > before.ready)
            played.ready.append(ReadyChange(began, time.time(), before.ready, moment.ready))

    async def _set_status(self, scenario: Scenario, replicas: int) -> None:
        patch = {"status": {"replicas": replicas}}
        await self._patch("v1", "ReplicationController", scenario.name, patch, subresource="status")

    async def _set_ready(self, scenario: Scenario, number: int, ready: bool) -> None:
        condition = {"type": "Ready", "status": "True" if ready else "False"}
        patch = {"status": {"phase": "Running", "conditions": [condition]}}
        await self._patch("v1", "Pod", f"{scenario.name}-{number}", patch, subresource="status")

    async def _create(self, api_version: str, kind: str, body: Object) -> None:
        async with self._slots:
            await self._api.call("POST", await self._api.path(api_version, kind, namespace=NAMESPACE), body)

    async def _patch(
        self, api_version: str, kind: str, name: str, patch: Object, *, subresource: str = ""
    ) -> None:
        async with self._slots:
            await self._api.patch(api_version, kind, name, patch, NAMESPACE, subresource=subresource)


@asynccontextmanager
async def open_stage(tools: Tools, folder: Path) -> AsyncIterator[Stage]:
    """A control plane of its own, which lets fleets go to zero and writes down what its HPA controller does."""
    policy, audit = folder / "audit-policy.yaml", folder / "audit.log"
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    options = Options(
        hpa_sync_seconds=SYNC_SECONDS,
        feature_gates="HPAScaleToZero=true",
        api_server_arguments=(f"--audit-policy-file={policy}", f"--audit-log-path={audit}"),
        controller_manager_arguments=(
            f"--horizontal-pod-autoscaler-downscale-stabilization={OWN_WINDOW_SECONDS}s",
            "--vmodule=horizontal=4",  # the time of each decision
            "--kube-api-qps=1000",  # its own limit of 20 a second would delay looks
            "--kube-api-burst=1000",
        ),
    )
    async with (
        ControlPlane(tools, folder / "control-plane", options) as control_plane,
        MetricsServer(control_plane.certificates) as metrics,
    ):
        await control_plane.create_namespace(NAMESPACE)
        await control_plane.install_external_metrics(metrics.port, insecure=True)
        await control_plane.wait_for_external_metrics()
        yield Stage(control_plane, metrics, audit)
