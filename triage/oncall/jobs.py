"""What is to be looked at for an incident: a job made of the configuration, the pods as they are now, and the time. Pure."""

from collections.abc import Sequence

from telemetry.target import Phase, Target
from triage.oncall.config import OncallConfig
from triage.oncall.incident import Incident
from triage.oncall.job import Job, PrometheusWords

LOAD_FAILURE, P99 = "load-failure", "p99"
TREES = (LOAD_FAILURE, P99)
WINDOW_SECONDS = 7200.0
_BEFORE = 0.75
"""Of the window, what is looked at before the first alert: that begins later than what it is about, by its `for` and windows."""
_MOST_WINDOWS = 3
"""So many windows at most, however long ago the first alert began."""
_CAPTURED = 3
"""Servers that are asked directly, beside Prometheus or instead of it."""
_KINDS = ("deployment", "statefulset", "daemonset", "replicaset", "pod")


def job_of(
    incident: Incident,
    config: OncallConfig,
    pods: Sequence[Target],
    now: float,
    *,
    bundle: str = "",
    kubeconfig: str = "",
    context: str = "",
    rules: str = "",
) -> Job:
    """`pods` are those of the incident's workload."""
    asked = _asked(incident.tree, pods)
    prometheus = config.prometheus
    words = (
        PrometheusWords(
            url=prometheus.url,
            token_file=prometheus.token_file or "",
            ca_file=prometheus.ca_file or "",
            headers=dict(prometheus.headers),
            services=prometheus.gateway_services.get(
                f"{incident.namespace}/{incident.workload.rpartition('/')[2]}", ()
            ),
        )
        if prometheus
        else None
    )
    return Job(
        tree=incident.tree,
        namespace=incident.namespace,
        target=_target(incident.workload, pods),
        model=incident.model,
        start=_start(incident, now, prometheus.window if prometheus else WINDOW_SECONDS),
        end=now,
        prometheus=words,
        tritons=tuple(str(pod.http_url) for pod in asked),
        metrics=tuple(str(pod.metrics_url) for pod in asked),
        capture_seconds=5.0 if prometheus else 20.0,
        kubeconfig=kubeconfig,
        context=context,
        rules=rules,
        bundle=bundle,
    )


def _start(incident: Incident, now: float, window: float) -> float:
    """A window that ends now, or more where alerts began earlier."""
    began = min((alert.starts_at for alert in incident.alerts), default=now)
    return max(min(now - window, began - _BEFORE * window), now - _MOST_WINDOWS * window)


def _target(workload: str, pods: Sequence[Target]) -> str:
    """As `find_pods` knows it; of a kind that it does not know, one of its pods."""
    if workload.partition("/")[0] in _KINDS or not pods:
        return workload
    worst = min(pods, key=lambda pod: (pod.ready, pod.key.pod))
    return f"pod/{worst.key.pod}"


def _asked(tree: str, pods: Sequence[Target]) -> Sequence[Target]:
    """The servers that are asked themselves: of a model that does not load one that is not ready, of slow requests some that
    serve."""
    running = [pod for pod in pods if pod.phase is Phase.RUNNING and pod.http_url and pod.metrics_url]
    if tree == LOAD_FAILURE:
        return sorted(running, key=lambda pod: (pod.ready, pod.key.pod))[:1]
    return sorted(running, key=lambda pod: (not pod.ready, pod.key.pod))[:_CAPTURED]
