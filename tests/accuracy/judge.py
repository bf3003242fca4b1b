"""What one verdict is worth against the truth: right, wrong, abstained, and how boldly."""

from dataclasses import dataclass
from pathlib import Path

from tests.fleetsim.incidents import Incident
from triage.latency.rules import LatencyRules, latency_rules_from_folder
from triage.report import Report
from triage.report_of import report_of

RULES = Path(__file__).parents[2] / "rules"
BOLD = ("confirmed", "likely")


@dataclass(frozen=True)
class Judgement:
    label: str
    seed: int
    said: str
    confidence: str
    also: tuple[str, ...]
    right: bool
    onset_error: float | None
    """Seconds; None where no onset was found."""

    @property
    def abstained(self) -> bool:
        return self.said == "cannot_tell" and self.label != "cannot_tell"

    @property
    def bold(self) -> bool:
        return self.confidence in BOLD

    @property
    def wrong_and_bold(self) -> bool:
        return not self.right and not self.abstained and self.bold


def rules() -> LatencyRules:
    return latency_rules_from_folder(RULES)


def judge(incident: Incident, seed: int, by: LatencyRules) -> tuple[Judgement, Report]:
    report = report_of(incident.snapshot, by)
    accepted = {incident.label, *incident.also_accepted}
    return Judgement(
        incident.label,
        seed,
        report.verdict.category,
        report.verdict.confidence,
        report.verdict.also,
        report.verdict.category in accepted,
        report.onset.at - incident.onset_at if report.onset else None,
    ), report
