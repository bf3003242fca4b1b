"""What exporters of the platform show, sampled each 15 s, and the statistics API at the end.

CPU, throttling, replicas and network come from the simulation; a GPU's clock, power and temperature, a node's disk and
retransmissions and the DNS are painted with noise around what a fault set."""

from collections import defaultdict
from copy import deepcopy
from typing import TYPE_CHECKING

from tests.fleetsim.hosts import Pod
from tests.fleetsim.language_model import LanguageModel
from triage.latency.facts import Batch, ModelStatistics

if TYPE_CHECKING:
    from tests.fleetsim.fleet import Fleet

Labels = tuple[tuple[str, str], ...]


class Samples:
    def __init__(self, fleet: "Fleet") -> None:
        self.fleet = fleet
        self.rows: dict[tuple[str, Labels], list[tuple[float, float]]] = defaultdict(list)
        self.statistics_of: dict[str, list[tuple[float, tuple[ModelStatistics, ...]]]] = defaultdict(list)
        self._cpu_seen: dict[Pod, tuple[object, float]] = {}
        self._received_seen: dict[Pod, float] = {}

    def take(self) -> None:
        fleet = self.fleet
        used: dict[str, float] = defaultdict(float)
        for pod in fleet.pods:
            if pod.phase == "Running":
                used[pod.node.name] += self._take_pod(pod)
        for node in fleet.nodes:
            node.pods_cores = used[node.name]
            share = min(1.0, (node.neighbour_cores + node.pods_cores) / node.cores)
            self._add("node_cpu_used", self._noisy(share, 0.05, 1.0), node=node.name)
            wanted = max(1.0, (node.neighbour_cores + node.pods_cores) / node.cores)
            neighbour = {"namespace": "data", "pod": f"batch-6b4c7d8f9c-{node.name[-1] * 5}"}
            self._add("neighbour_cpu", node.neighbour_cores / wanted, node=node.name, **neighbour)
            self._add("node_cpu_stolen", self._noisy(node.stolen, 0.1, 1.0), node=node.name)
            self._add("node_disk_busy", self._noisy(node.disk_busy, 0.25, 1.0), node=node.name)
            self._add("network_retransmits", self._noisy(node.retransmits, 0.5), node=node.name)
        self._add("dns_p99", self._noisy(fleet.dns_ms, 0.15))
        living = [pod for pod in fleet.pods if pod.removed_at is None]
        self._add("replicas_wanted", float(fleet.wanted))
        self._add("replicas_ready", float(sum(pod.ready for pod in living)))
        self._add("pods_pending", float(sum(pod.phase == "Pending" for pod in living)))
        if fleet.autoscaler is not None:
            self._add("hpa_desired", float(fleet.autoscaler.desired))
            self._add("hpa_current", float(len(living)))
            self._add("hpa_max", float(fleet.autoscaler.settings.most))
            self._add("hpa_min", float(fleet.autoscaler.settings.least))

    def statistics(self, pod: Pod) -> None:
        """Its statistics API's answer now."""
        rows = []
        for loaded in pod.server.models.values():
            counters = loaded.counters
            batches = tuple(
                Batch(size, int(row[0]), *row[1:]) for size, row in sorted(deepcopy(counters.batches).items())
            )
            rows.append(
                ModelStatistics(
                    loaded.model.name,
                    loaded.model.version,
                    counters.executions,
                    counters.inferences,
                    sum(counters.failures.values()),
                    counters.failure_ms,
                    () if loaded.model.parts else batches,
                    counters.last_inference,
                )
            )
        self.statistics_of[pod.name].append((self.fleet.loop.now, tuple(rows)))

    def _take_pod(self, pod: Pod) -> float:
        """Cores that it used since the last time."""
        host = pod.server.host
        seen_host, seen = self._cpu_seen.get(pod, (host, 0.0))
        cores = max(0.0, host.cpu_seconds - (seen if seen_host is host else 0.0)) / 15 + 0.05
        self._cpu_seen[pod] = (host, host.cpu_seconds)
        if pod.cpu_limit:
            cores = min(cores, pod.cpu_limit)
        self._add("cpu_used", self._noisy(cores, 0.05), pod=pod.name)
        if pod.cpu_limit:
            self._add("cpu_limit", pod.cpu_limit, pod=pod.name)
            assert host.quota is not None
            busy, throttled = host.quota.take()
            host.quota.forget(self.fleet.loop.now)
            self._add("cpu_throttled", throttled / busy if busy else 0.0, pod=pod.name)
        pod.memory_used += pod.memory_grows * 15
        if pod.memory_used >= pod.memory_limit:
            self.fleet.crash(pod, "OOMKilled", self.fleet.rng.uniform(25, 70))
        self._add("memory_used", self._noisy(pod.memory_used, 0.01), pod=pod.name)
        self._add("memory_limit", pod.memory_limit, pod=pod.name)
        self._add("restarts", float(pod.restarts), pod=pod.name)
        received = pod.front.received - self._received_seen.get(pod, 0.0)
        self._received_seen[pod] = pod.front.received
        self._add("network_received", received / 15 + 2000, pod=pod.name)
        self._add("network_sent", received / 60 + 4000, pod=pod.name)
        self._take_gpu(pod)
        for loaded in pod.server.models.values():
            if isinstance(loaded, LanguageModel):
                share = loaded.tokens / loaded.model.llm_tokens
                self._add("kv_cache_used", share, pod=pod.name, model=loaded.model.name)
                self._add("llm_waiting", float(len(loaded.queue)), pod=pod.name, model=loaded.model.name)
                self._add("llm_active", float(loaded.active), pod=pod.name, model=loaded.model.name)
        return cores

    def _take_gpu(self, pod: Pod) -> None:
        gpu = pod.gpu
        if gpu is None:
            return
        where = {"gpu": gpu.id, "node": pod.node.name, "pod": pod.name}
        busy = pod.scrapes[-1].gpu_busy if pod.scrapes else 0.0
        used = gpu.own_memory + gpu.others_memory
        for measure, value, noise in (
            ("gpu_clock", gpu.clock, 0.004),
            ("gpu_power", gpu.power, 0.04),
            ("gpu_power_limit", gpu.power_limit, 0.0),
            ("gpu_temperature", gpu.temperature, 0.01),
            ("gpu_throttled", gpu.throttled, 0.05),
            ("gpu_sm_busy", min(1.0, busy or 0.0) * 0.8, 0.05),
            ("gpu_device_memory_used", used, 0.002),
            ("gpu_device_memory_free", max(0.0, gpu.memory - used), 0.002),
            ("gpu_xid", gpu.xid, 0.0),
        ):
            self._add(measure, self._noisy(value, noise), **where)
        holders = (
            {"namespace": self.fleet.namespace, "pod": pod.name},
            {"namespace": "data", "pod": "notebook-0"},
        )
        for holder in holders if gpu.others_busy else holders[:1]:
            self._add("gpu_holders", min(1.0, busy or 0.0), gpu=gpu.id, **holder)

    def _noisy(self, value: float, share: float, most: float = float("inf")) -> float:
        return min(most, max(0.0, value * (1 + self.fleet.rng.gauss(0, share))))

    def _add(self, measure: str, value: float, **labels: str) -> None:
        self.rows[measure, tuple(sorted(labels.items()))].append((self.fleet.loop.now, value))
