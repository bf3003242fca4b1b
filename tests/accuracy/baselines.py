"""What simpler ways would have said of the same evidence: blame the last rollout, and the measure that moved most."""

from tests.fleetsim.incidents import Incident
from triage.cluster_views import Rollouts
from triage.latency.facts import Ranges

OF_CHANGES = {"rollout_or_termination", "slower_version", "observer_effect", "cold_start", "readiness_flip"}
"""Blaming the last rollout counts as right for all of these."""
OF_MEASURES = {
    "queue_time": {
        "overload",
        "too_few_instances",
        "micro_bursts",
        "batch_delay",
        "batcher_lost_wakeup",
        "sequence_slots",
    },
    "pending": {"overload", "too_few_instances", "hang", "sticky_balancing"},
    "infer_time": {
        "slower_version",
        "mixed_request_sizes",
        "cold_start",
        "new_shape",
        "bad_node",
        "gpu_clocks",
    },
    "failure": {"backend_process_dead", "gpu_memory_exhausted"},
    "cpu_throttled": {"cpu_throttling"},
    "node_cpu_used": {"noisy_neighbour"},
    "node_disk_busy": {"storage_slow"},
    "network_retransmits": {"network_loss"},
    "dns_p99": {"dns_slow"},
    "gateway_retries": {"retry_storm"},
    "gateway_p99": {"gateway_fault", "payload_or_network", "http_connection_skew", "load_blocks_http"},
    "gateway_request_bytes": {"payload_or_network"},
    "gpu_clock": {"gpu_clocks"},
    "gpu_busy": {"gpu_shared"},
    "memory_used": {"memory_leak"},
    "cache_misses": {"cache_cold"},
    "kv_cache_used": {"kv_cache_saturated"},
    "hpa_desired": {"autoscaler_at_max", "autoscaler_late", "autoscaler_flapping"},
    "pods_pending": {"pods_pending"},
}
"""The measure that moved most counts as right for every cause that its name suggests to a person."""


def last_rollout_is_right(one: Incident) -> bool:
    """Whether there was a rollout in the window, and the truth is a change of any kind."""
    rollouts = [e.facts for e in one.snapshot.evidence if isinstance(e.facts, Rollouts)]
    recent = any(r.created_at > one.onset_at - 3600 for facts in rollouts for r in facts.revisions[1:])
    return recent and bool(OF_CHANGES & {one.label, *one.also_accepted})


def most_moved_is_right(one: Incident) -> bool:
    """By the robust z of the last tenth of the window against its first half, summed over the series of a measure."""
    scores: dict[str, float] = {}
    for evidence in one.snapshot.evidence:
        if isinstance(evidence.facts, Ranges) and not evidence.id.startswith(("past/", "close/")):
            scores[evidence.facts.measure] = _z(evidence.facts)
    if not scores:
        return False
    most = max(scores, key=lambda measure: (scores[measure], measure))
    return bool(OF_MEASURES.get(most, set()) & {one.label, *one.also_accepted})


def _z(facts: Ranges) -> float:
    values = [
        sum(there) if (there := [v for v in column if v is not None]) else None
        for column in zip(*(series.values for series in facts.series), strict=True)
    ]
    calm = sorted(v for v in values[: len(values) // 2] if v is not None)
    late = sorted(v for v in values[-len(values) // 10 :] if v is not None)
    if len(calm) < 8 or not late:
        return 0.0
    middle = calm[len(calm) // 2]
    spread = sorted(abs(v - middle) for v in calm)[len(calm) // 2]
    return float(abs(late[len(late) // 2] - middle) / (1.4826 * spread + 0.01 * abs(middle) + 1e-9))
