"""The report on a snapshot, by whichever kind of rules it comes with. Pure."""

from triage.build_report import build_report
from triage.evidence import Snapshot
from triage.latency.build_report import build_latency_report
from triage.latency.rules import LatencyRules
from triage.report import Report
from triage.rules import Rules


def report_of(snapshot: Snapshot, rules: Rules | LatencyRules) -> Report:
    if isinstance(rules, LatencyRules):
        return build_latency_report(snapshot, rules)
    return build_report(snapshot, rules)
