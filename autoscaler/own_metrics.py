"""The daemon's own metrics, for the people who run it. Labels are bounded: signal names, reasons and outcomes."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from autoscaler.answer import Answer, NoData
from telemetry.prometheus_queries import TickReport
from telemetry.target import Target


class OwnMetrics:
    """Names as the ecosystem has them: `..._build_info`, `process_*` and `..._config_last_reload_*` as Prometheus and
    Alertmanager, `..._certificate_expiration_timestamp_seconds` as cert-manager."""

    def __init__(self, program_version: str = "") -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Info("triton_autoscaler_build", "The program.", registry=self.registry).info(
            {"version": program_version}
        )
        self._reloaded = Gauge(
            "triton_autoscaler_config_last_reload_successful",
            "Whether the last look at changed configuration or rules found them right (1) or refused them (0).",
            registry=self.registry,
        )
        self._reloaded_at = Gauge(
            "triton_autoscaler_config_last_reload_success_timestamp_seconds",
            "When the configuration and rules at work were taken over.",
            registry=self.registry,
        )
        self._targets = Gauge(
            "triton_autoscaler_targets", "Triton pods known, ready or not.", registry=self.registry
        )
        self._pods_followed = Gauge(
            "triton_autoscaler_pods_followed",
            "Whether Triton's pods are listed and watched (1), or found late or not at all (0).",
            registry=self.registry,
        )
        self._certificate_ends = Gauge(
            "triton_autoscaler_certificate_expiration_timestamp_seconds",
            "When the certificate shown to kube-apiserver ends, and the own CA that signed it.",
            ["certificate"],
            registry=self.registry,
        )
        self._published = Gauge(
            "triton_autoscaler_apiservice_trusted",
            "Whether the APIService names this program and its caBundle trusts this replica (1), by the last look.",
            registry=self.registry,
        )
        self._requests = Histogram(
            "triton_autoscaler_http_request_duration_seconds",
            "Requests by port and status, without the network.",
            ["port", "code"],
            buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5),
            registry=self.registry,
        )
        self._answers = Counter(
            "triton_autoscaler_answers_total",
            "Answers to questions for a signal, by outcome: value, idle, or the reason for no data.",
            ["signal", "outcome"],
            registry=self.registry,
        )
        self._age = Gauge(
            "triton_autoscaler_answer_sample_age_seconds",
            "Age of the oldest sample behind the last answered value.",
            ["signal"],
            registry=self.registry,
        )
        self._scrapes = Counter(
            "triton_autoscaler_scrapes_total", "Scrapes by outcome.", ["outcome"], registry=self.registry
        )
        self._scrape_seconds = Histogram(
            "triton_autoscaler_scrape_duration_seconds",
            "Time of one scrape.",
            buckets=(0.005, 0.02, 0.1, 0.5, 1.0, 2.0, 5.0),
            registry=self.registry,
        )

        self._ticks = Counter(
            "triton_autoscaler_prometheus_ticks_total",
            "Readings of all pods from Prometheus, by outcome: ok, partial, no_samples, or why there was none.",
            ["outcome"],
            registry=self.registry,
        )
        self._recordings = Counter(
            "triton_autoscaler_prometheus_recordings_total",
            "Readings of all pods from Prometheus, by whether recording rules' series were read, or why the raw ones: none, "
            "other_digest, overdue, incomplete, too_old.",
            ["state"],
            registry=self.registry,
        )
        self._tick_seconds = Histogram(
            "triton_autoscaler_prometheus_tick_duration_seconds",
            "Time of one reading of all pods from Prometheus.",
            buckets=(0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0),
            registry=self.registry,
        )
        self._queries = Counter(
            "triton_autoscaler_prometheus_queries_total",
            "Queries sent to Prometheus.",
            registry=self.registry,
        )
        self._query_bytes = Counter(
            "triton_autoscaler_prometheus_response_bytes_total",
            "Bytes of Prometheus' answers, decompressed.",
            registry=self.registry,
        )

        self._gpu_looks = Counter(
            "triton_autoscaler_gpu_looks_total",
            "Looks at what exporters tell of GPUs, by outcome: ok, partial, no_samples, or why there was none.",
            ["outcome"],
            registry=self.registry,
        )
        self._gateway_ticks = Counter(
            "triton_autoscaler_gateway_ticks_total",
            "Readings of the gateways from Prometheus, by outcome: ok, partial, too_many_series, two_targets, went_back, or why "
            "there was none.",
            ["outcome"],
            registry=self.registry,
        )

    def answered(self, signal: str, answer: Answer) -> None:
        if isinstance(answer, NoData):
            self._answers.labels(signal, str(answer.reason)).inc()
            return
        self._answers.labels(signal, "idle" if answer.idle else "value").inc()
        self._age.labels(signal).set(answer.sample_age_seconds)

    def scraped(self, target: Target, failure: str | None, seconds: float) -> None:
        self._scrapes.labels("ok" if failure is None else "failed").inc()
        self._scrape_seconds.observe(seconds)

    def prometheus_ticked(self, report: TickReport) -> None:
        self._ticks.labels(report.outcome).inc()
        if report.recordings is not None:
            self._recordings.labels(report.recordings).inc()
        self._tick_seconds.observe(report.seconds)
        self._queries.inc(report.queries)
        self._query_bytes.inc(report.size_bytes)

    def gpus_read(self, report: TickReport) -> None:
        self._gpu_looks.labels(report.outcome).inc()
        self._queries.inc(report.queries)
        self._query_bytes.inc(report.size_bytes)

    def gateways_ticked(self, report: TickReport) -> None:
        self._gateway_ticks.labels(report.outcome).inc()
        self._queries.inc(report.queries)
        self._query_bytes.inc(report.size_bytes)

    def requested(self, port: str, code: int, seconds: float) -> None:
        """`port`: api or plain."""
        self._requests.labels(port, str(code)).observe(seconds)

    def config_taken_over(self, at: datetime) -> None:
        self._reloaded_at.set(at.timestamp())

    def config_read(self, *, right: bool) -> None:
        self._reloaded.set(right)

    def watch_targets(self, count: Callable[[], int]) -> None:
        self._targets.set_function(count)

    def watch_pods(self, followed: Callable[[], bool]) -> None:
        self._pods_followed.set_function(lambda: float(followed()))

    def watch_trust(self, trusted: Callable[[], bool]) -> None:
        self._published.set_function(lambda: float(trusted()))

    def watch_certificate(self, certificate: str, ends: Callable[[], datetime | None]) -> None:
        """`certificate`: serving or ca. NaN until there is one."""

        def timestamp() -> float:
            end = ends()
            return float("nan") if end is None else end.timestamp()

        self._certificate_ends.labels(certificate).set_function(timestamp)
