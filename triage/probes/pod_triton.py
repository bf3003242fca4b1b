"""The Triton of a pod through the API server's `pods/proxy`: index, readiness, metadata, configurations and GPU memory.

The index is a POST, so it takes the right to `create pods/proxy`; all else is read with `get pods/proxy`. What is refused is told
with the right that is missing; a port that nobody listens on is no answer and no "no"."""

import math
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Protocol
from urllib.parse import quote

from telemetry.exposition import MalformedExpositionError, SeriesTable, parse_exposition
from telemetry.kubernetes_api import KubernetesError
from triage.collect import Found, Question
from triage.evidence import ContainerView, GpuMemory, GpuUse, Missing, PodView
from triage.pod_roles import triton_containers
from triage.probes.cluster_facts import missing, refused_right
from triage.probes.triton_questions import MAX_ANSWER_BYTES, TritonQuestions
from triage.seal import Seal
from triage.triton_ports import http_port, metrics_port

INSTEAD = "give the server's address as --triton URL"
_USED, _TOTAL = "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"


class Exchange(Protocol):
    async def exchange(self, method: str, path: str, body: bytes | None, most: int) -> tuple[int, bytes]:
        """Status and body that a pod answers at this path of the API server; raises `KubernetesError`."""


def pod_triton_questions(api: Exchange, pod: PodView, kubectl: str, model: str = "") -> list[Question]:
    """None where no Triton of the pod runs."""
    triton = next((c for c in triton_containers(pod) if c.state == "running"), None)
    if triton is None or pod.phase in ("Succeeded", "Failed"):
        return []
    way = ProxiedPort(api, pod.namespace, pod.name, http_port(triton), kubectl)
    asked = TritonQuestions(way, pod.name, model, f":{pod.name}")

    async def index() -> Found:
        found = await asked.read_index()
        if isinstance(found.facts, Missing):
            # Another right may be there, and readiness tells the server's state; a closed port is closed for all.
            more = asked.plain()[1:] if found.facts.reason == "forbidden" else []
            return Found(found.facts, more)
        return Found(found.facts, [*asked.plain(), *found.then])

    page = ProxiedPort(api, pod.namespace, pod.name, metrics_port(triton), kubectl)
    return [asked.index(index), *_gpu_memory(page, pod, triton)]


class ProxiedPort:
    """A pod's port through the API server."""

    def __init__(self, api: Exchange, namespace: str, pod: str, port: int, kubectl: str) -> None:
        self._api = api
        self._pod = pod
        self.port = port
        self._kubectl = kubectl
        self.source = f"port {port} of pod {pod}"
        self.path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}:{port}/proxy"
        self.denied = ""
        """The API server's refusal, where it said that a right is missing: it is missing for every pod of the namespace."""

    def command(self, method: str, path: str) -> str:
        raw = shlex.quote(self.path + path)
        if method == "POST":
            return f"echo '{{}}' | {self._kubectl} create --raw {raw} -f -"
        return f"{self._kubectl} get --raw {raw}"

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes] | Missing:
        if "%2f" in path.lower():
            said = "the API server's proxy does not keep a / in a name, so another model would be asked about"
            return Missing("refused", said, INSTEAD)
        posted = b"{}" if method == "POST" else None
        try:
            return await self._api.exchange(method, self.path + path, posted, MAX_ANSWER_BYTES)
        except KubernetesError as error:
            return self._unanswered(error)

    def _unanswered(self, error: KubernetesError) -> Missing:
        if refused_right(error):
            self.denied = str(error)
        if error.reason == "TooLarge":
            return Missing("truncated", str(error), "ask it by hand")
        if "connection refused" in error.detail:
            return Missing(
                "not_started",
                f"nobody listens on port {self.port} of pod {self._pod}",
                "Triton opens it once its loads have ended; if it has another port, give --triton URL",
            )
        if "error trying to reach service" in error.detail:
            return Missing("unreachable", str(error), f"is the node up, and the pod? else {INSTEAD}")
        return missing(error, INSTEAD)


def _gpu_memory(way: ProxiedPort, pod: PodView, triton: ContainerView) -> Iterator[Question]:
    async def ask(seal: Seal) -> Found:
        answered = await way.call("GET", "/metrics")
        if isinstance(answered, Missing):
            return Found(answered)
        status, body = answered
        if status != 200:
            return Found(Missing("refused", f"HTTP {status}", "is this Triton's metrics port?"))
        return Found(gpu_memory(body))

    if any(name.startswith("nvidia.com/") for name in triton.limits):
        yield Question(
            id=f"gpu_memory:{pod.name}",
            probe="gpu_memory",
            source=way.source,
            query="GET /metrics",
            command=way.command("GET", "/metrics"),
            ask=ask,
            subject=pod.name,
            on_timeout="does the process still answer? look at its CPU and threads",
        )


def gpu_memory(page: bytes) -> GpuMemory | Missing:
    """The memory gauges of a metrics page; missing where it has none, as without NVML or with --allow-gpu-metrics=false. A GPU that
    Triton cannot read stays 0 of 0, as Triton shows it (triton-inference-server/core:src/metrics.cc), lest the pod seem to have
    fewer."""
    table = SeriesTable((_USED, _TOTAL))
    found: dict[str, dict[str, float]] = {}
    try:
        for series, value in parse_exposition(page.decode(errors="replace"), table):
            found.setdefault(series.labels.get("gpu_uuid", ""), {})[series.family] = value
    except MalformedExpositionError as error:
        return Missing("parse_error", str(error), "is this Triton's metrics port?")
    gpus = [_use(gpu, told) for gpu, told in sorted(found.items()) if told.keys() >= {_USED, _TOTAL}]
    remedy = "is --allow-gpu-metrics on, and does nvidia-smi work in the container?"
    if not gpus:
        return Missing("no_series", f"the page has no {_USED}", remedy)
    if not any(gpu.total_bytes for gpu in gpus):
        return Missing("no_series", "the page shows a GPU of 0 bytes, which Triton cannot read", remedy)
    return GpuMemory(tuple(gpus))


def _use(gpu: str, told: Mapping[str, float]) -> GpuUse:
    used, total = told[_USED], told[_TOTAL]
    known = math.isfinite(used) and math.isfinite(total) and used >= 0 and total > 0
    return GpuUse(gpu, used, total) if known else GpuUse(gpu, 0.0, 0.0)
