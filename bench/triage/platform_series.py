"""What was told around the pods: by the kubelet, kube-state-metrics, dcgm-exporter, node_exporter, CoreDNS and an Istio gateway, by
their own names and with the labels of kube-prometheus. The families that `rules/measures` reads, with all their series."""

from collections.abc import Iterator

from bench.fleet import NAMESPACE, Fleet
from bench.triage.fleet import PODS_A_NODE, SCRAPE, TIMES, WORKLOAD, Pod, Values, noisy, slowed
from bench.triage.text import Labels, Text

_CORES = 64
_GATEWAYS = 10
_ISTIO_MS = (
    0.5,
    1,
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1000,
    2500,
    5000,
    10000,
    30000,
    60000,
    300000,
    600000,
    1800000,
    3600000,
)
"""Istio's buckets (envoyproxy/envoy, default histogram buckets)."""
_DNS_SECONDS = tuple(0.00025 * 2**power for power in range(16))
"""coredns/coredns:plugin/metrics."""


def platform_series(text: Text, fleet: Fleet) -> Iterator[str]:
    for number in range(fleet.pods):
        pod = Pod(number)
        yield from _kubelet(text, pod)
        yield from _pod_state(text, pod)
        yield from _gpu(text, pod)
    for node in range(-(-fleet.pods // PODS_A_NODE)):
        yield from _node(text, node)
    yield from _workload_state(text, fleet)
    yield from _dns(text)


def gateway_series(text: Text, fleet: Fleet, *, slow: bool) -> Iterator[str]:
    """Told by the gateway's pods and by each sidecar."""
    slower = slowed() if slow else [1.0] * len(TIMES)
    rate = 27.0 * fleet.pods
    for number in range(_GATEWAYS):
        told = {"pod": f"gateway-{number}", "reporter": "source"}
        yield from _istio(text, told, rate / _GATEWAYS, slower)
    for number in range(fleet.pods if slow else 0):
        told = {"pod": Pod(number).name, "reporter": "destination"}
        yield from _istio(text, told, rate / fleet.pods, slower)


def _kubelet(text: Text, pod: Pod) -> Iterator[str]:
    node = {"node": pod.node, "job": "kubelet", "metrics_path": "/metrics/cadvisor"}
    whole = {**node, "namespace": NAMESPACE, "pod": pod.name}
    for container, cores, memory in (("triton", 3.2, 9e9), ("istio-proxy", 0.2, 9e7), ("", 3.4, 9.1e9)):
        labels = {**whole, "container": container, "id": f"/kubepods/pod{pod.number}/{container}"}
        yield text.steady("container_cpu_usage_seconds_total", labels, cores)
        yield text.gauge(
            "container_memory_working_set_bytes", labels, noisy([memory] * len(TIMES), 0.01, pod.noise)
        )
        if container:
            yield text.steady("container_cpu_cfs_periods_total", labels, 10)
            yield text.steady("container_cpu_cfs_throttled_periods_total", labels, 0.05)
    for direction in ("receive", "transmit"):
        yield text.steady(f"container_network_{direction}_bytes_total", {**whole, "interface": "eth0"}, 4e6)


def _pod_state(text: Text, pod: Pod) -> Iterator[str]:
    labels = {"job": "kube-state-metrics", "namespace": NAMESPACE, "pod": pod.name}
    for container in ("triton", "istio-proxy"):
        there = {**labels, "container": container}
        yield text.constant("kube_pod_container_status_restarts_total", there, 0)
        for resource, limit in (("cpu", 8), ("memory", 17_179_869_184)):
            yield text.constant("kube_pod_container_resource_limits", {**there, "resource": resource}, limit)
    for phase in ("Pending", "Running", "Succeeded", "Failed", "Unknown"):
        yield text.constant("kube_pod_status_phase", {**labels, "phase": phase}, float(phase == "Running"))


def _gpu(text: Text, pod: Pod) -> Iterator[str]:
    noise = pod.noise
    labels = {
        "job": "dcgm-exporter",
        "UUID": pod.gpu,
        "Hostname": pod.node,
        "namespace": NAMESPACE,
        "pod": pod.name,
    }
    hot = [times > 1 for times in slowed()]
    for family, before, after in (
        ("SM_CLOCK", 1980, 1240), ("GPU_TEMP", 66, 88), ("POWER_USAGE", 320, 240), ("GPU_UTIL", 70, 90),
        ("FB_USED", 58_000, 58_000), ("FB_FREE", 22_000, 22_000),
    ):  # fmt: skip
        values = noisy([after if heat else before for heat in hot], 0.01, noise)
        yield text.gauge(f"DCGM_FI_DEV_{family}", labels, values)
    yield text.gauge("DCGM_FI_PROF_SM_ACTIVE", labels, noisy([0.6] * len(TIMES), 0.05, noise))
    yield text.constant("DCGM_FI_DEV_POWER_MGMT_LIMIT", labels, 700)
    yield text.constant("DCGM_FI_DEV_XID_ERRORS", labels, 0)
    yield text.constant("DCGM_FI_DEV_POWER_VIOLATION", labels, 0)
    yield text.counter("DCGM_FI_DEV_THERMAL_VIOLATION", labels, [4e8 * SCRAPE if heat else 0 for heat in hot])


def _node(text: Text, number: int) -> Iterator[str]:
    labels = {"job": "node-exporter", "instance": f"10.0.{number // 250}.{number % 250}:9100"}
    yield text.constant("node_uname_info", {**labels, "nodename": f"node-{number}"}, 1)
    for cpu in range(_CORES):
        for mode, share in (("idle", 0.6), ("user", 0.39), ("steal", 0.01)):
            yield text.steady("node_cpu_seconds_total", {**labels, "cpu": str(cpu), "mode": mode}, share)
    for disk in range(4):
        yield text.steady("node_disk_io_time_seconds_total", {**labels, "device": f"nvme{disk}n1"}, 0.05)
    yield text.steady("node_netstat_Tcp_RetransSegs", labels, 0.3)


def _workload_state(text: Text, fleet: Fleet) -> Iterator[str]:
    labels = {"job": "kube-state-metrics", "namespace": NAMESPACE}
    for family in ("spec_replicas", "status_replicas_ready"):
        yield text.constant(f"kube_deployment_{family}", {**labels, "deployment": WORKLOAD}, fleet.pods)
    for family, replicas in (
        ("status_desired_replicas", fleet.pods), ("status_current_replicas", fleet.pods),
        ("spec_max_replicas", 2 * fleet.pods), ("spec_min_replicas", 2),
    ):  # fmt: skip
        named = {**labels, "horizontalpodautoscaler": WORKLOAD}
        yield text.constant(f"kube_horizontalpodautoscaler_{family}", named, replicas)


def _dns(text: Text) -> Iterator[str]:
    for pod in range(2):
        for kind in ("A", "AAAA"):
            labels = {
                "job": "coredns",
                "pod": f"coredns-{pod}",
                "type": kind,
                "zone": ".",
                "server": "dns://:53",
            }
            for number, bound in enumerate((*_DNS_SECONDS, float("inf"))):
                there = {**labels, "le": f"{bound:g}".replace("inf", "+Inf")}
                share = min(1.0, 0.5 + number * 0.06)
                yield text.steady("coredns_dns_request_duration_seconds_bucket", there, 300 * share)


def _istio(text: Text, told: Labels, rate: float, slower: Values) -> Iterator[str]:
    labels = {
        **told,
        "source_workload": "gateway",
        "destination_workload": WORKLOAD,
        "destination_workload_namespace": NAMESPACE,
        "request_protocol": "http",
    }
    for code, share in (("200", 0.999), ("500", 0.001)):
        answered = {**labels, "response_code": code, "response_flags": "-"}
        yield text.steady("istio_requests_total", answered, rate * share)
        yield text.steady("istio_request_bytes_sum", answered, rate * share * 9000)
        for bound in (*_ISTIO_MS, float("inf")):
            faster = [_share_within(bound / times) * rate * share * SCRAPE for times in slower]
            le = f"{bound:g}".replace("inf", "+Inf")
            yield text.counter("istio_request_duration_milliseconds_bucket", {**answered, "le": le}, faster)


def _share_within(milliseconds: float) -> float:
    """Of requests at the usual speed: half within 20 ms, 99 of 100 within 90."""
    return float(1 - 0.5 ** ((milliseconds / 20) ** 1.26))
