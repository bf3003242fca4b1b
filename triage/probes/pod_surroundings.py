"""What is told around a pod: what its containers use, how its node is, and who else has GPUs there.

None of it is needed for a verdict, and each is a right of its own: `get pods.metrics.k8s.io` in the namespace, `get nodes` and
`list pods` in the whole cluster."""

import shlex
from collections.abc import Awaitable, Callable, Iterator

from telemetry.gpu_holders import read_gpu_pods
from telemetry.gpu_resources import gpus_of
from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.nodes import read_nodes
from telemetry.pod_metrics import read_usage
from triage.cluster_views import Nodes
from triage.collect import Found, Question
from triage.evidence import ContainerUse, Facts, GpuHolder, GpuHolders, Missing, PodUse, PodView
from triage.pod_view import utc
from triage.probes.cluster_facts import missing, node_view
from triage.seal import Seal

NOT_FOUND = 404
_WITHOUT = "go without it: no verdict needs it"


def surroundings_questions(api: KubernetesApi, pod: PodView, kubectl: str) -> Iterator[Question]:
    """Of a pod that is on a node and has not ended; of one that waits for a place, its events tell more."""
    yield from _Surroundings(api, pod, kubectl).questions()


class _Surroundings:
    def __init__(self, api: KubernetesApi, pod: PodView, kubectl: str) -> None:
        self._api = api
        self._pod = pod
        self._kubectl = kubectl

    def questions(self) -> Iterator[Question]:
        pod, where = self._pod, shlex.quote(self._pod.namespace)
        if not pod.node:
            return
        yield self._question(
            "node",
            f"node {pod.node}",
            f"GET /api/v1/nodes/{pod.node}",
            f"describe node {shlex.quote(pod.node)}",
            self._node,
        )
        if any(c.state == "running" and not c.init for c in pod.containers):
            yield self._question(
                "use",
                f"CPU and memory that pod {pod.name} uses",
                f"GET /apis/metrics.k8s.io/v1beta1/namespaces/{pod.namespace}/pods/{pod.name}",
                f"-n {where} top pod {pod.name} --containers",
                self._use,
            )
        if any(gpus_of({**c.requests, **c.limits}) for c in pod.containers):
            yield self._question(
                "gpu_holders",
                f"pods with GPUs on node {pod.node}",
                f"GET /api/v1/pods?fieldSelector=spec.nodeName={pod.node}",
                f"get pods -A --field-selector spec.nodeName={shlex.quote(pod.node)}",
                self._holders,
            )

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
                return Found(missing(error, _WITHOUT))

        return Question(
            id=f"{probe}:{self._pod.name}",
            probe=probe,
            source=source,
            query=query,
            command=f"{self._kubectl} {command}",
            ask=ask,
            subject=self._pod.name,
            on_timeout=f"does `{self._kubectl} {command}` answer?",
        )

    async def _node(self) -> Facts | Missing:
        found = await read_nodes(self._api, [self._pod.node])
        if not found:
            detail = f"node {self._pod.node} is gone"
            return Missing("not_found", detail, "the pod goes with it: look at the one that takes its place")
        return Nodes(tuple(map(node_view, found)))

    async def _use(self) -> Facts | Missing:
        try:
            found = await read_usage(self._api, self._pod.namespace, self._pod.name)
        except KubernetesError as error:
            if error.status != NOT_FOUND:
                raise
            said = "nobody serves metrics.k8s.io, or nothing has been measured of this pod yet"
            return Missing("not_found", said, "is metrics-server installed? ask again after a minute")
        used = tuple(
            ContainerUse(each.container, each.cores, round(each.memory_bytes)) for each in found.containers
        )
        return PodUse(utc(found.at), found.window_seconds, used)

    async def _holders(self) -> Facts | Missing:
        found = await read_gpu_pods(self._api, self._pod.node)
        return GpuHolders(
            self._pod.node,
            tuple(GpuHolder(each.namespace, each.pod, each.gpus, each.leaving) for each in found),
        )
