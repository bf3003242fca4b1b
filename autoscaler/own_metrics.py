"""The daemon's own metrics, for the people who run it. Labels are bounded: signal names, reasons and outcomes."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from autoscaler.answer import Answer, NoData
from telemetry.target import Target


class OwnMetrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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

    def answered(self, signal: str, answer: Answer) -> None:
        if isinstance(answer, NoData):
            self._answers.labels(signal, str(answer.reason)).inc()
            return
        self._answers.labels(signal, "idle" if answer.idle else "value").inc()
        self._age.labels(signal).set(answer.sample_age_seconds)

    def scraped(self, target: Target, failure: str | None, seconds: float) -> None:
        self._scrapes.labels("ok" if failure is None else "failed").inc()
        self._scrape_seconds.observe(seconds)
