"""An alert fires, and nothing is wrong with the service, or no more."""

import asyncio

from tests.incidents.evidence import Check, Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.proofs import at_least, at_most, infer_stayed, p99_did_not_rise, p99_rose, queue_rose
from tests.incidents.traffic import Arrivals, Stream
from tests.incidents.world import World

USERS = Stream(10, work_ms=80)
FEW_USERS = Stream(4, work_ms=80)


def _tested(evidence: Evidence) -> list[Check]:
    test = evidence.sent(evidence.incident, kind="load-test")
    return [
        p99_rose(evidence, 2),
        queue_rose(evidence, 20),
        infer_stayed(evidence, 15),
        at_least("the test's share of the requests", len(test) / len(evidence.sent(evidence.incident)), 0.5),
    ]


LOAD_TEST = RealIncident(
    id="load-test",
    label="load_test",
    about="A planned load test runs beside the users: six at once, twice a second, from first to last.",
    models=(Model(instances=1),),
    calm=(FEW_USERS,),
    # Two thirds of what both pods can do: a full server answers evenly whatever comes.
    during=(FEW_USERS, Stream(12, work_ms=80, kind="load-test", arrivals=Arrivals.BURSTS, burst=6)),
    proof=_tested,
)


async def _passes(world: World, seconds: float) -> None:
    world.condition("ranker", factor=4)
    await asyncio.sleep(seconds / 3)
    world.condition("ranker")


def _passed(evidence: Evidence) -> list[Check]:
    late = Phase(evidence.incident.start + 0.7 * evidence.incident.seconds, evidence.incident.end)
    before = evidence.latency_ms(evidence.baseline, 0.99)
    return [
        p99_rose(evidence, 2),
        at_most("p99 of the last third for that before", evidence.latency_ms(late, 0.99) / before, 2),
    ]


RECOVERED = RealIncident(
    id="recovered",
    label="recovered",
    about="The model was slow for a third of the time, and is as fast as before now.",
    models=(Model(instances=4),),
    calm=(USERS,),
    act=_passes,
    proof=_passed,
)
BAD_ALERT_RULE = RealIncident(
    id="bad-alert-rule",
    label="bad_alert_rule",
    about="Nothing changes: few requests, of which a steady one in twelve is heavy, as ever; the rule's threshold is wrong.",
    models=(Model(instances=4),),
    calm=(Stream(4, work_ms=40, heavy_share=0.08, heavy_ms=300),),
    proof=lambda evidence: [
        p99_did_not_rise(evidence, 1.5),
        infer_stayed(evidence, 30),
        at_most("errors", evidence.error_share(evidence.incident), 0),
    ],
)

QUIET, PEAK = Stream(7, work_ms=80), Stream(19, work_ms=80)


def _usual(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 1.5),
        queue_rose(evidence, 20),
        infer_stayed(evidence, 15),
        at_most("errors", evidence.error_share(evidence.incident), 0),
    ]


USUAL_FOR_THIS_HOUR = RealIncident(
    id="usual-for-this-hour",
    label="usual_for_this_hour",
    about="The daily peak begins, as it did a day and a week ago (`--earlier` a run of the same).",
    models=(Model(instances=1),),
    calm=(QUIET,),
    during=(PEAK,),
    proof=_usual,
)

NO_FAULTS = (LOAD_TEST, RECOVERED, BAD_ALERT_RULE, USUAL_FOR_THIS_HOUR)
