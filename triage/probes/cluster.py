"""What the cluster tells of changes: where the pods run, what was rolled out, what the autoscaler and the events say, the nodes.

All is asked at once; who the pods and their workload are is found out once, by whichever question comes first. Only GETs."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from telemetry.flagger import read_canary
from telemetry.hpa_status import list_hpas
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.nodes import read_nodes
from telemetry.object_events import ObjectEvent, list_events, merged
from telemetry.placements import Placement, read_placements
from telemetry.pod_lookup import find_pods
from telemetry.pods import Pod
from telemetry.revision_reader import KINDS, read_revisions
from telemetry.revisions import Birth
from telemetry.target import Workload
from telemetry.workload_above import find_workload, is_made_by, named_workload
from triage.cluster_views import ClusterEvents, NoCanary, Nodes, NoHpa, PodPlacements
from triage.collect import Found, Question
from triage.evidence import Facts, Missing
from triage.probes.cluster_facts import (
    called,
    canary,
    cluster_event,
    hpa_view,
    missing,
    node_view,
    pod_placement,
    rollouts,
)
from triage.probes.pod import get_command, is_selector
from triage.seal import Seal

MOST_EVENTS = 200
_Value = TypeVar("_Value")


def cluster_questions(
    api: KubernetesApi, namespace: str, target: str, kubectl: str = "kubectl", *, selector: bool = False
) -> list[Question]:
    """`target` is `pod/NAME`, `deploy/NAME` and so on, or a label selector; of several workloads that a selector finds it is about
    the one with the most pods. `kubectl` begins the commands that ask the same by hand."""
    return _Cluster(api, namespace, target, kubectl, selector or is_selector(target)).questions()


class _NoWorkload(Exception):
    """There is no object above the pods, or no pods from which to find it."""


class _NoOwner(_NoWorkload):
    """The pods stand alone."""


class _Cluster:
    def __init__(self, api: KubernetesApi, namespace: str, target: str, kubectl: str, selector: bool) -> None:
        self._api = api
        self._namespace = namespace
        self._target = target
        self._selector = selector
        self._named = None if selector else named_workload(target)
        self._get_pods = get_command(kubectl, namespace, target, selector=selector)
        self._kubectl = f"{kubectl} -n {shlex.quote(namespace)}"
        self._cluster_wide = kubectl
        self._pods = _Once(self._find_pods)
        self._placements = _Once(self._read_placements)
        self._workload = _Once(self._find_workload)

    def questions(self) -> list[Question]:
        where = f"/api/v1/namespaces/{self._namespace}"
        apps = f"/apis/apps/v1/namespaces/{self._namespace}"
        name = f"{self._named.kind.lower()}/{self._named.name}" if self._named else ""
        history = f"rollout history {shlex.quote(name)}" if name else "get replicasets,controllerrevisions"
        hpas = f"/apis/autoscaling/v2/namespaces/{self._namespace}/horizontalpodautoscalers"
        of = self._target
        return [
            self._question(
                "cluster_events",
                f"events of {of}",
                f"GET {where}/events by involvedObject",
                f"{self._kubectl} get events",
                self._events,
            ),
            self._question(
                "placements",
                f"pods of {of}",
                f"GET {where}/pods of {of}",
                f"{self._get_pods} -o wide",
                self._placed,
            ),
            self._question(
                "rollouts",
                f"rollouts of {of}",
                f"GET {apps}/replicasets, controllerrevisions",
                f"{self._kubectl} {history}",
                self._rollouts,
            ),
            self._question(
                "canary",
                f"Flagger's canary of {of}",
                f"GET /apis/flagger.app/v1beta1/namespaces/{self._namespace}/canaries",
                f"{self._kubectl} get canaries.flagger.app",
                self._canary,
            ),
            self._question(
                "hpa", f"autoscaler of {of}", f"GET {hpas}", f"{self._kubectl} get hpa -o yaml", self._hpa
            ),
            self._question(
                "nodes",
                f"nodes of {of}",
                "GET /api/v1/nodes/NAME",
                f"{self._cluster_wide} get nodes",
                self._nodes,
            ),
        ]

    def _question(
        self,
        probe: str,
        source: str,
        query: str,
        command: str,
        read: Callable[[], Awaitable[Facts | Missing]],
    ) -> Question:
        async def ask(seal: Seal) -> Found:
            try:
                return Found(await read())
            except KubernetesError as error:
                return Found(missing(error))
            except _NoOwner as error:
                return Found(
                    Missing("not_found", str(error), "none is needed, where they are meant to stand alone")
                )
            except _NoWorkload as error:
                return Found(
                    Missing("not_found", str(error), "give the workload as deploy/NAME, and check -n")
                )

        slow = f"does `{command}` answer? the API server is slow, or the list is long"
        return Question(
            id=probe, probe=probe, source=source, query=query, command=command, ask=ask, on_timeout=slow
        )

    async def _placed(self) -> Facts | Missing:
        placements = await self._placements.value()
        if not placements:
            detail = f"{self._target} has no pods in namespace {self._namespace}"
            return Missing("not_found", detail, "check the name, the selector and -n")
        return PodPlacements(tuple(map(pod_placement, placements)))

    async def _rollouts(self) -> Facts | Missing:
        workload = await self._workload.value()
        if workload.kind not in KINDS:
            if workload.kind == "ReplicaSet":
                detail = f"{called(workload)} belongs to no Deployment, so it has no earlier revision"
                return Missing("not_found", detail, "none is needed: nothing rolls it out")
            detail = f"what rolls out {called(workload)} keeps its history in a way that is not read here"
            return Missing(
                "not_found", detail, "ask its own tool for the history, such as kubectl argo rollouts"
            )
        try:
            placements = await self._placements.value()
        except KubernetesError:  # another question tells it; the history is there without
            placements = []
        births = [Birth(each.template, each.created_at) for each in placements if each.created_at]
        return rollouts(await read_revisions(self._api, self._namespace, workload, births))

    async def _canary(self) -> Facts | Missing:
        try:
            workload = await self._workload.value()
        except _NoWorkload:
            return NoCanary()
        found = await read_canary(self._api, self._namespace, workload)
        return canary(found, workload) if found else NoCanary()

    async def _hpa(self) -> Facts | Missing:
        workload = await self._workload.value()
        found = [each for each in await list_hpas(self._api, self._namespace) if each.target == workload]
        return hpa_view(found[0]) if found else NoHpa()

    async def _events(self) -> Facts | Missing:
        """By kind, as the API server goes through all events for each request. Pods that are gone are told by their names."""
        workload = await self._workload.value()
        try:
            pods = {pod.metadata.name for pod in await self._pods.value()}
        except KubernetesError:
            pods = set()  # most are told by their names alone
        replicasets = ["ReplicaSet"] if workload.kind == "Deployment" else []
        kinds = (workload.kind, *replicasets, "Pod", "HorizontalPodAutoscaler")
        try:
            hpas = {
                each.name for each in await list_hpas(self._api, self._namespace) if each.target == workload
            }
        except KubernetesError:
            hpas = {workload.name}  # as most are named
        async with asyncio.TaskGroup() as group:
            lists = [group.create_task(_listed(self._api, self._namespace, kind)) for kind in kinds]
        known = {workload.kind: {workload.name}, "Pod": pods, "HorizontalPodAutoscaler": hpas}
        events = []
        for kind, task in zip(kinds, lists, strict=True):
            listed = task.result()
            if isinstance(listed, KubernetesError):
                return missing(listed)
            events += [
                e for e in listed if e.name in known.get(kind, ()) or is_made_by(workload, kind, e.name)
            ]
        if not events:
            detail = f"the cluster has no events of {called(workload)}: none were made, or they are over an hour old"
            return Missing("expired", detail, "look in the event archive, if there is one")
        return ClusterEvents(tuple(map(cluster_event, merged(events, MOST_EVENTS))))

    async def _nodes(self) -> Facts | Missing:
        names = {each.node for each in await self._placements.value() if each.node}
        if not names:
            return Missing(
                "not_found", f"no pod of {self._target} is on a node", "see why its pods are pending"
            )
        found = await read_nodes(self._api, names)
        if not found:
            return Missing("not_found", f"gone: {', '.join(sorted(names))}", "look for them in the node pool")
        return Nodes(tuple(map(node_view, found)))

    async def _find_pods(self) -> list[Pod]:
        return await find_pods(self._api, self._namespace, self._target, selector=self._selector)

    async def _read_placements(self) -> list[Placement]:
        pods = await self._pods.value()
        return await read_placements(self._api, self._namespace, pods) if pods else []

    async def _find_workload(self) -> Workload:
        if self._named is not None and self._named.kind != "ReplicaSet":
            return self._named
        pods = await self._pods.value()
        if not pods:
            raise _NoWorkload(
                f"{self._target} has no pods in namespace {self._namespace}, so its workload is unknown"
            )
        found = await find_workload(self._api, self._namespace, pods)
        if found is None:
            raise _NoOwner(
                f"no workload owns the pods of {self._target}: nothing rolls them out or scales them"
            )
        return found


class _Once(Generic[_Value]):
    """A value that several questions need, asked for by the first of them; a failure is the same for all. One that is cut off
    by its own deadline leaves it to the next."""

    def __init__(self, read: Callable[[], Awaitable[_Value]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._value: list[_Value] = []
        self._error: Exception | None = None

    async def value(self) -> _Value:
        async with self._lock:
            if self._error is not None:
                raise self._error
            if not self._value:
                try:
                    self._value.append(await self._read())
                except (KubernetesError, _NoWorkload) as error:
                    self._error = error
                    raise
            return self._value[0]


async def _listed(api: KubernetesApi, namespace: str, kind: str) -> list[ObjectEvent] | KubernetesError:
    try:
        return await list_events(api, namespace, kind=kind)
    except KubernetesError as error:
        return error
