"""Requests wait since there are too many, they come at once, or too little takes them."""

import asyncio

from tests.incidents.evidence import Check, Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.proofs import (
    FAILURE,
    INFER,
    PENDING,
    SUCCESS,
    at_least,
    at_most,
    infer_stayed,
    p99_rose,
    queue_rose,
)
from tests.incidents.traffic import Arrivals, Stream
from tests.incidents.world import World


def _overload(evidence: Evidence) -> list[Check]:
    seconds = evidence.incident.seconds
    answered = evidence.increase(SUCCESS, evidence.incident) / seconds
    return [
        p99_rose(evidence, 5),
        queue_rose(evidence, 500),
        at_least(
            "sent beyond what is answered, requests/s",
            len(evidence.sent(evidence.incident)) / seconds - answered,
            2,
        ),
        at_least(
            "processor time of the pods, cores",
            evidence.platform("cpu_seconds", evidence.incident) / seconds,
            0.7,
        ),
    ]


OVERLOAD = RealIncident(
    id="overload",
    label="overload",
    about="Users send more than both pods together can do; their processor is busy all the time.",
    models=(Model(parameters={"burns": "yes"}, instances=1),),
    pods=(Pod("node-a", core=1), Pod("node-b", core=1)),
    calm=(Stream(10, work_ms=25, timeout_seconds=30),),
    during=(Stream(45, work_ms=25, timeout_seconds=30),),
    proof=_overload,
)


async def _one_instance(world: World, _: float) -> None:
    await world.load(Model(instances=1))


def _too_few(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 3),
        queue_rose(evidence, 100),
        infer_stayed(evidence, 15),
        at_most("change of the users' rate, share", _rate_change(evidence), 0.25),
        at_most("processor time of the pods, cores", _cores(evidence), 0.6),
    ]


def _rate_change(evidence: Evidence) -> float:
    before, during = (
        len(evidence.sent(phase)) / phase.seconds for phase in (evidence.baseline, evidence.incident)
    )
    return abs(during - before) / before


def _cores(evidence: Evidence) -> float:
    return evidence.platform("cpu_seconds", evidence.incident) / evidence.incident.seconds


TOO_FEW_INSTANCES = RealIncident(
    id="too-few-instances",
    label="too_few_instances",
    about="A new configuration has one instance in the place of four; the machine idles and requests wait.",
    models=(Model(instances=4),),
    calm=(Stream(19, work_ms=100),),
    act=_one_instance,
    proof=_too_few,
)


def _bursts(evidence: Evidence) -> list[Check]:
    busy = evidence.increase(INFER, evidence.incident) / 1e6 / evidence.incident.seconds / 4
    return [
        p99_rose(evidence, 2),
        queue_rose(evidence, 40),
        at_most("share of the instances' time in use", busy, 0.5),
        at_most("change of the users' rate, share", _rate_change(evidence), 0.25),
    ]


MICRO_BURSTS = RealIncident(
    id="micro-bursts",
    label="micro_bursts",
    about="The same rate as ever, but a caller now sends 24 requests at once; mean use stays low.",
    models=(Model(instances=2),),
    calm=(Stream(16, work_ms=40),),
    during=(Stream(16, work_ms=40, arrivals=Arrivals.BURSTS, burst=24),),
    proof=_bursts,
)


def _shed(evidence: Evidence) -> list[Check]:
    refused = evidence.increase("traefik_service_requests_total", evidence.incident, of="gateway", code="503")
    return [
        p99_rose(evidence, 2),
        at_least("answers 503 at the gateway", refused, 20),
        at_most("failures that Triton counted", evidence.increase(FAILURE, evidence.incident), 0),
        at_most("errors before", evidence.error_share(evidence.baseline), 0.01),
    ]


SHED_LOAD = RealIncident(
    id="shed-load",
    label="shed_load",
    about="The queue is full and Triton refuses requests with 503, which it counts nowhere; clients try again.",
    models=(
        Model(
            instances=1,
            max_batch_size=2,
            settings={"dynamic_batching": {"default_queue_policy": {"max_queue_size": 4}}},
        ),
    ),
    calm=(Stream(8, work_ms=80, batched=True, retries=3),),
    during=(Stream(60, work_ms=80, batched=True, retries=3),),
    proof=_shed,
)

TRIGGER_SECONDS = 8.0


async def _stumble(world: World, seconds: float) -> None:
    world.condition("ranker", factor=5)
    await asyncio.sleep(min(TRIGGER_SECONDS, seconds / 4))
    world.condition("ranker")


def _retry_storm(evidence: Evidence) -> list[Check]:
    late = Phase(evidence.incident.end - evidence.incident.seconds / 4, evidence.incident.end)
    answered = sum(answer.status == 200 for answer in evidence.sent(late))
    attempts = sum(answer.attempts for answer in evidence.sent(evidence.incident))
    return [
        p99_rose(evidence, 5),
        at_least("attempts per user request", attempts / len(evidence.sent(evidence.incident)), 1.5),
        at_least(
            "executions for each good answer, in the last quarter",
            len(evidence.executed(late)) / max(1, answered),
            1.3,
        ),
        at_least(
            "share of requests that were sent again, in the last quarter", _retried(evidence, late), 0.3
        ),
    ]


def _retried(evidence: Evidence, phase: Phase) -> float:
    sent = evidence.sent(phase)
    return sum(answer.attempts > 1 for answer in sent) / len(sent)


RETRY_STORM = RealIncident(
    id="retry-storm",
    label="retry_storm",
    about="A short stumble makes clients time out and send again; Triton does the dead work too, and it never ends.",
    models=(Model(instances=2),),
    calm=(Stream(28, work_ms=100, timeout_seconds=1.0, retries=3, retry_after_seconds=0.05),),
    act=_stumble,
    proof=_retry_storm,
)


def _priorities(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 4, kind="low"),
        at_most(
            "p99 of the high priority, ms",
            evidence.latency_ms(evidence.incident, 0.99, kind="high"),
            evidence.latency_ms(evidence.incident, 0.99, kind="low") / 2,
        ),
        queue_rose(evidence, 50),
    ]


PRIORITY_STARVATION = RealIncident(
    id="priority-starvation",
    label="priority_starvation",
    about="More requests of high priority leave those of low priority waiting.",
    models=(
        Model(
            instances=1,
            max_batch_size=2,
            parameters={"per_item_ms": "50"},
            settings={"dynamic_batching": {"priority_levels": 2, "default_priority_level": 2}},
        ),
    ),
    calm=(
        Stream(4, work_ms=50, batched=True, kind="high", priority=1),
        Stream(6, work_ms=50, batched=True, kind="low", priority=2),
    ),
    during=(
        Stream(29, work_ms=50, batched=True, kind="high", priority=1),
        Stream(6, work_ms=50, batched=True, kind="low", priority=2),
    ),
    proof=_priorities,
)


def _sequences(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 5),
        queue_rose(evidence, 200),
        infer_stayed(evidence, 15),
        at_least("most that waited at once", evidence.peak(PENDING, evidence.incident), 5),
    ]


SEQUENCE_SLOTS = RealIncident(
    id="sequence-slots",
    label="sequence_slots",
    about="Clients leave without ending their sequences, which hold all slots until they are idle for long enough.",
    models=(
        Model(
            instances=4,
            max_batch_size=1,
            settings={
                "sequence_batching": {
                    "max_sequence_idle_microseconds": 4_000_000,
                    "control_input": [
                        {
                            "name": "START",
                            "control": [{"kind": "CONTROL_SEQUENCE_START", "fp32_false_true": [0, 1]}],
                        }
                    ],
                    "direct": {},
                }
            },
        ),
    ),
    pods=(Pod("node-a"),),
    calm=(Stream(9, work_ms=20, batched=True, sequence_length=3),),
    during=(
        Stream(
            9,
            work_ms=20,
            batched=True,
            sequence_length=3,
            sequences_end=False,
            kind="leaver",
            timeout_seconds=20,
        ),
    ),
    proof=_sequences,
)

QUEUES = (
    OVERLOAD,
    TOO_FEW_INSTANCES,
    MICRO_BURSTS,
    SHED_LOAD,
    RETRY_STORM,
    PRIORITY_STARVATION,
    SEQUENCE_SLOTS,
)
