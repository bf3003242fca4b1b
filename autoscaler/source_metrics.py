"""How the two sources of `source: auto` stand to each other, for people and alerts; nothing where there is one source."""

from collections.abc import Callable, Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from telemetry.auto_source import Overview


class SourcesCollector(Collector):
    def __init__(self, overview: Callable[[], Overview | None]) -> None:
        self._overview = overview

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """None known beforehand, so that registering asks for nothing."""
        return ()

    def collect(self) -> Iterable[GaugeMetricFamily]:
        found = self._overview()
        if found is None:
            return
        read = GaugeMetricFamily(
            "triton_autoscaler_pods_read",
            "Running pods with a sample that stands, by the source that answers are made of.",
            labels=["source"],
        )
        for source, count in found.read_from.items():
            read.add_metric([source], count)
        yield read
        yield GaugeMetricFamily(
            "triton_autoscaler_sources_compared_pods",
            "Running pods of which the counters of both sources were compared.",
            value=found.compared,
        )
        yield GaugeMetricFamily(
            "triton_autoscaler_sources_contradicting_pods",
            "Running pods of which Prometheus shows counters that the scrapes around them contradict.",
            value=found.contradicted,
        )
        if found.difference is not None:
            yield GaugeMetricFamily(
                "triton_autoscaler_sources_difference_ratio",
                "The part of two minutes' work that one source shows and the other does not, of the pod where it is largest.",
                value=found.difference,
            )
