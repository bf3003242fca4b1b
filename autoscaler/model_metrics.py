"""The states of every pod's models as series, made when somebody scrapes them, of what is known at that moment.

Prometheus needs `honor_labels`, for they carry the pod's own `namespace` and `pod`. Each replica exports all of them: a rule takes
`max by (...)` over the replicas."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from telemetry.model_history import PodModels
from telemetry.target import Phase, PodKey, Target

BIRTH_SECONDS: Final = 60.0
"""A counter shows 0 for so long, which is two scrapes of the chart's monitors: `increase` sees no step before a first sample."""
_POD: Final = ("namespace", "pod", "workload")
_VERSION: Final = (*_POD, "model", "version")


class ModelCollector(Collector):
    """Reads values that are replaced whole, so it may run in another thread than they are made in."""

    def __init__(
        self,
        targets: Callable[[], Mapping[PodKey, Target]],
        pods: Callable[[], Mapping[PodKey, PodModels]],
        clock: Callable[[], float],
    ) -> None:
        self._targets = targets
        self._pods = pods
        self._clock = clock

    def collect(self) -> Iterable[Metric]:
        now = self._clock()
        info = GaugeMetricFamily(
            "triton_pod_workload_info",
            "Triton pods known, with the workload above them and their node.",
            labels=[*_POD, "workload_kind", "node"],
        )
        up = GaugeMetricFamily(
            "triton_model_index_up",
            "Whether the pod's repository index answered the last look (1), or did not or could not be asked (0).",
            labels=_POD,
        )
        left_out = GaugeMetricFamily(
            "triton_model_index_left_out",
            "Rows of the pod's repository index that are not shown: too many, or with names or states that no Triton gives.",
            labels=_POD,
        )
        state = GaugeMetricFamily(
            "triton_model_state",
            "1 for the state of a model version in the pod's repository index; reason, where there is one: failed, unloaded.",
            labels=[*_VERSION, "state", "reason"],
        )
        loads = CounterMetricFamily(
            "triton_model_loads", "Times that a version became READY.", labels=_VERSION
        )
        failures = CounterMetricFamily(
            "triton_model_load_failures", "Loads seen to fail; the least there were.", labels=_VERSION
        )
        unloads = CounterMetricFamily(
            "triton_model_unloads", "Times that a version was READY and then was not.", labels=_VERSION
        )
        pods = dict(self._pods())
        for key, target in _one_by_name(self._targets()).items():
            workload = target.workload.name if target.workload else ""
            kind = target.workload.kind if target.workload else ""
            names = (key.namespace, key.pod, workload)
            info.add_metric([*names, kind, target.node], 1)
            models = pods.get(key)
            if models is None:
                continue
            up.add_metric(names, models.answered)
            if models.answered:
                left_out.add_metric(names, models.left_out)
            for version, row in models.listed().items():
                state.add_metric([*names, *version, row.state, row.unavailable], 1)
            for version, history in models.versions.items():
                labels = (*names, *version)
                grown = now - history.born_at >= BIRTH_SECONDS
                loads.add_metric(labels, history.loads if grown else 0)
                failures.add_metric(labels, history.load_failures if grown else 0)
                unloads.add_metric(labels, history.unloads if grown else 0)
        return (info, up, left_out, state, loads, failures, unloads)


def _one_by_name(targets: Mapping[PodKey, Target]) -> Mapping[PodKey, Target]:
    """A StatefulSet's pod comes anew under the name of one that still ends; the one that does not end is meant."""
    found: dict[tuple[str, str], Target] = {}
    for key, target in targets.items():
        other = found.get((key.namespace, key.pod))
        if other is None or other.phase is Phase.TERMINATING:
            found[key.namespace, key.pod] = target
    return {target.key: target for target in found.values()}
