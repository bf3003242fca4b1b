"""Incidents to tell of: with real reports of recorded nights, and with small ones whose every word is in sight."""

from functools import cache
from typing import Any

import msgspec

from tests.accuracy.judge import rules
from tests.incidents.test_recorded import RECORDED
from tests.triage import snapshots as s
from triage.bundle import load_snapshot
from triage.oncall.incident import Alert, Incident
from triage.report import Report
from triage.report_of import report_of

BEGAN = 1_795_399_990.0
ALERT = Alert(
    fingerprint="f1",
    name="TritonLatencyBudgetBurns",
    severity="critical",
    starts_at=BEGAN,
    summary="ranker burns its error budget",
)


@cache
def slow_requests(name: str = "autoscaler-blind") -> Report:
    return report_of(load_snapshot(RECORDED / f"{name}.json.gz"), rules())


def load_failure() -> Report:
    return s.report(
        s.log(s.failed("top", "'top' needs 'm'"), s.failed("m", "device memory ran out"), s.loaded("a")),
        s.gone("index"),
    )


def incident(name: str = "prod-web-p99", **more: Any) -> Incident:
    values: dict[str, Any] = {
        "namespace": "prod",
        "workload": "deployment/web",
        "tree": "p99",
        "model": "ranker",
        "opened_at": BEGAN + 8,
        "first_severity": "critical",
        "alerts": (ALERT,),
        "work": "running",
        **more,
    }
    return Incident(name=name, **values)


def told(name: str = "prod-web-p99", report: Report | None = None, **more: Any) -> Incident:
    return incident(
        name, **{"work": "done", "report": report or slow_requests(), "report_at": BEGAN + 20, **more}
    )


def changed(report: Report, **what: Any) -> Report:
    return msgspec.structs.replace(report, **what)
