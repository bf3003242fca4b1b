"""The service's own metrics, for the people who run it. Labels are bounded: outcomes, trees, probes and reasons."""

from collections.abc import Callable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from triage.oncall.jobs import TREES

_SECONDS = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0)


class OncallMetrics:
    """Names as the ecosystem has them."""

    def __init__(self, program_version: str = "") -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        Info("triton_triage_build", "The program.", registry=registry).info({"version": program_version})
        self.notifications = Counter(
            "triton_triage_notifications_total",
            "Notifications of Alertmanager, by the HTTP status of the answer.",
            ["code"],
            registry=registry,
        )
        self.alerts = Counter(
            "triton_triage_alerts_total",
            "Alerts in them, by what became of each.",
            ["outcome"],
            registry=registry,
        )
        self._incidents = Gauge(
            "triton_triage_incidents", "Incidents that are kept, by state.", ["state"], registry=registry
        )
        self.triages = Counter(
            "triton_triage_triages_total",
            "Triages that ended: verdict, cannot_tell, or failed (no report).",
            ["tree", "outcome"],
            registry=registry,
        )
        self.first_line_seconds = Histogram(
            "triton_triage_first_line_seconds",
            "From the alert's arrival to the first message in Slack.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.report_seconds = Histogram(
            "triton_triage_report_seconds",
            "From the alert's arrival to the whole report in the record.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.probe_failures = Counter(
            "triton_triage_probe_failures_total",
            "Sources that told nothing, by probe and reason.",
            ["probe", "reason"],
            registry=registry,
        )
        self.posts = Counter(
            "triton_triage_posts_total", "Messages to Slack by outcome.", ["outcome"], registry=registry
        )
        self._posts_waiting = Gauge(
            "triton_triage_posts_waiting", "Changes that are not in Slack yet.", registry=registry
        )
        self._oldest_post = Gauge(
            "triton_triage_oldest_post_seconds",
            "How long the oldest change that is not in Slack yet has waited.",
            registry=registry,
        )
        self.store_failures = Counter(
            "triton_triage_store_failures_total", "Writes that the record refused.", registry=registry
        )

        # From the start, so that the first failure is an increase.
        for tree in TREES:
            for outcome in ("verdict", "cannot_tell", "failed"):
                self.triages.labels(tree, outcome)
        for outcome in ("posted", "updated", "failed"):
            self.posts.labels(outcome)

    def watch_incidents(self, count: Callable[[str], int]) -> None:
        """`count` of a state."""
        for state in ("open", "resolved", "closed"):
            self._incidents.labels(state).set_function(partial(count, state))

    def watch_posts(self, waiting: Callable[[], int], oldest_seconds: Callable[[], float]) -> None:
        self._posts_waiting.set_function(waiting)
        self._oldest_post.set_function(oldest_seconds)
