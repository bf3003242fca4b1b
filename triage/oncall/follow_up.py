"""After the alerts have ended: did it work? The same evidence is looked at once more, over a time that covers the incident and what
came after it, and what was measured is told. Then the incident is closed."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median

import msgspec
import structlog

from triage.chart_scale import amount, clock, unit_of
from triage.oncall.child import run_triage, told_failure
from triage.oncall.incident import Incident, Outcome
from triage.oncall.incidents import Incidents
from triage.oncall.job import Job
from triage.oncall.joining import REOPENS_SECONDS
from triage.oncall.triaging import Run
from triage.report import Chart, Report, is_calm

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0
_RECENT_SECONDS = 300.0


@dataclass
class FollowUp:
    """`follow_up_seconds` after the alerts have ended."""

    incidents: Incidents
    jobs: Callable[[Incident], Job]
    follow_up_seconds: float
    run_job: Run = run_triage
    clock: Callable[[], float] = time.time

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Looks once at all, one after the other."""
        for name in [one.name for one in self.incidents.all()]:
            if (incident := self.incidents.get(name)) is not None:
                await self._look(incident)

    async def _look(self, incident: Incident) -> None:
        now = self.clock()
        if (
            incident.state != "resolved"
            or incident.resolved_at is None
            or incident.work in ("waiting", "running")
        ):
            return
        since = now - incident.resolved_at
        looked_at = incident.report is not None and not incident.refused
        if looked_at and incident.outcome is None and since >= self.follow_up_seconds:
            outcome = await self._outcome(incident)
            await self.incidents.change(incident.name, partial(_with_outcome, outcome, incident.resolved_at))
        elif since > REOPENS_SECONDS and (incident.outcome is not None or not looked_at):
            closed = msgspec.structs.replace(incident, state="closed")
            await self.incidents.change(incident.name, lambda one: closed if one == incident else one)

    async def _outcome(self, incident: Incident) -> Outcome:
        try:
            last = await self.run_job(self.jobs(incident), lambda said: None)
        except Exception as error:  # whatever it is, it is this incident's alone
            said = told_failure(error, incident.name)
            return Outcome(at=self.clock(), worked="unknown", said=f"it could not be looked at: {said}")
        assert last.report is not None  # noqa: S101 -- `run_triage` says so
        return outcome_of(incident, last.report, self.clock())


def _with_outcome(outcome: Outcome, resolved_at: float, incident: Incident) -> Incident:
    """Where it came again meanwhile, what was seen is of the time before."""
    if incident.state != "resolved" or incident.resolved_at != resolved_at:
        return incident
    return msgspec.structs.replace(incident, outcome=outcome)


def outcome_of(incident: Incident, report: Report, now: float) -> Outcome:
    """What the later report says of the incident. Calm is yes, a cause is no, and what cannot be told stays unknown. Pure."""
    if report.verdict.category == "cannot_tell":
        return Outcome(at=now, worked="unknown", said=report.headline)
    measured = _measured(report)
    if is_calm(report):
        said = "; ".join(filter(None, (_calm_words(report), measured)))
        return Outcome(at=now, worked="yes", said=said)
    return Outcome(at=now, worked="no", said="; ".join(filter(None, (report.headline, measured))))


def _calm_words(report: Report) -> str:
    return report.verdict.title or report.headline


def _measured(report: Report) -> str:
    """The verification query, as the chart has it: now, at its worst, and what was usual."""
    chart = next(iter(report.charts), None)
    if chart is None or not chart.curves:
        return ""
    values, unit = chart.curves[0].values, unit_of(chart)
    recent = [v for v in _recent(chart) if v is not None]
    known = [v for v in values if v is not None]
    if not recent or not known:
        return f"{chart.title}: nothing was measured in the last {_RECENT_SECONDS / 60:g} minutes"
    said = f"{chart.title}: {amount(median(recent), unit)} over the last {_RECENT_SECONDS / 60:g} minutes"
    said += f", {amount(max(known), unit)} at most since {clock(chart.start)} UTC"
    if chart.usual:
        said += f", usually {amount(chart.usual[0], unit)}"
    return said


def _recent(chart: Chart) -> tuple[float | None, ...]:
    points = max(1, round(_RECENT_SECONDS / chart.step)) if chart.step > 0 else 1
    return chart.curves[0].values[-points:]
