"""The batcher makes requests wait, for each other or for nothing."""

from dataclasses import replace
from typing import Any

from tests.incidents.evidence import Check, Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.proofs import PENDING, at_least, at_most, infer_rose, infer_stayed, p99_rose, queue_rose
from tests.incidents.traffic import Arrivals, Stream
from tests.incidents.world import World


def _batching(model: Model, **settings: Any) -> Model:
    return replace(model, settings={"dynamic_batching": settings})


BATCHED = Model(instances=2, max_batch_size=8, settings={"dynamic_batching": {}})
DELAYED = _batching(BATCHED, preferred_batch_size=[8], max_queue_delay_microseconds=200_000)


async def _delay(world: World, _: float) -> None:
    await world.load(DELAYED)


def _batch_delay(evidence: Evidence) -> list[Check]:
    return [
        p99_rose(evidence, 2),
        queue_rose(evidence, 80),
        infer_stayed(evidence, 10),
        at_most(
            "the users' p50, ms: the delay and the work", evidence.latency_ms(evidence.incident, 0.5), 320
        ),
    ]


BATCH_DELAY = RealIncident(
    id="batch-delay",
    label="batch_delay",
    about="A new configuration waits up to 200 ms for batches of 8, which the little traffic never fills.",
    models=(BATCHED,),
    calm=(Stream(8, work_ms=30, batched=True),),
    act=_delay,
    proof=_batch_delay,
)


def _mixed(evidence: Evidence) -> list[Check]:
    light = {"work_ms": 15}
    return [
        p99_rose(evidence, 3),
        p99_rose(evidence, 3, **light),
        infer_rose(evidence, 40),
        at_most("p50 of light requests, ms", evidence.latency_ms(evidence.incident, 0.5, **light), 200),
    ]


MIXED_REQUEST_SIZES = RealIncident(
    id="mixed-request-sizes",
    label="mixed_request_sizes",
    about="A few heavy requests now share batches with light ones, which take as long as the heaviest.",
    models=(_batching(BATCHED, max_queue_delay_microseconds=20_000),),
    calm=(Stream(20, work_ms=15, batched=True),),
    during=(Stream(20, work_ms=15, batched=True, heavy_share=0.12, heavy_ms=400),),
    proof=_mixed,
)


def _shapes(evidence: Evidence) -> list[Check]:
    at_onset, at_end = (dict(_batches(each)) for each in evidence.statistics)
    new = {size: count for size, count in at_end.items() if size not in at_onset}
    long = [
        each
        for each in evidence.executed(evidence.incident)
        if (each.ended_ns or 0) - each.started_ns > 1.2e9
    ]
    return [
        p99_rose(evidence, 4),
        at_least("batch sizes that were never seen before", len(new), 3),
        at_least("executions of more than 1.2 s", len(long), 3),
    ]


def _batches(statistics: Any) -> list[tuple[int, int]]:
    return [
        (int(row["batch_size"]), int(row["compute_infer"]["count"]))
        for pod in statistics.values()
        if pod
        for model in pod["model_stats"]
        for row in model["batch_stats"]
    ]


NEW_SHAPE = RealIncident(
    id="new-shape",
    label="new_shape",
    about="A caller sends batch sizes that the model never saw, and it builds something anew for each.",
    models=(Model(instances=1, max_batch_size=32, parameters={"shape_ms": "1500"}),),
    calm=(Stream(10, work_ms=20, batched=True),),
    during=(
        Stream(10, work_ms=20, batched=True),
        Stream(0.3, work_ms=20, batched=True, kind="batches", batch_sizes=tuple(range(2, 30))),
    ),
    proof=_shapes,
)

MIX = Stream(60, work_ms=10, batched=True, heavy_share=0.004, heavy_ms=1500)
UNORDERED = Model(instances=6, max_batch_size=2, settings={"dynamic_batching": {}})


async def _in_order(world: World, _: float) -> None:
    await world.load(_batching(UNORDERED, preserve_ordering=True))


def _ordering(evidence: Evidence) -> list[Check]:
    light = {"work_ms": 10}
    slow = [answer for answer in evidence.sent(evidence.incident, **light) if answer.latency_seconds > 0.2]
    fast = [
        each for each in evidence.executed(evidence.incident) if (each.ended_ns or 0) - each.started_ns < 1e8
    ]
    return [
        p99_rose(evidence, 3, **light),
        at_least("light requests that waited more than 200 ms for their turn", len(slow), 20),
        at_least(
            "share of executions that were short", len(fast) / len(evidence.executed(evidence.incident)), 0.9
        ),
        infer_stayed(evidence, 25),
    ]


PRESERVE_ORDERING = RealIncident(
    id="preserve-ordering",
    label="preserve_ordering",
    about="A new configuration answers in the order of arrival: light requests wait for heavy ones that came earlier.",
    models=(UNORDERED,),
    calm=(MIX,),
    act=_in_order,
    proof=_ordering,
)

BURSTY = (
    Stream(2, work_ms=60, batched=True, kind="first", arrivals=Arrivals.BURSTS, burst=2),
    Stream(6, work_ms=20, batched=True, kind="rest", arrivals=Arrivals.BURSTS, burst=6),
)
"""A pair of 60 ms and six of 20 ms together: to each of two pods one and three."""
ONE_AT_A_TIME = Model(instances=1, max_batch_size=4, settings={"dynamic_batching": {}})


async def _policy(world: World, _: float) -> None:
    await world.load(_batching(ONE_AT_A_TIME, default_queue_policy={"max_queue_size": 64}))


def _lost_wakeups(evidence: Evidence) -> list[Check]:
    def stalls(phase: Phase) -> list[float]:
        return [each.latency_seconds for each in evidence.sent(phase) if 0.48 <= each.latency_seconds < 0.75]

    during = evidence.sent(evidence.incident)
    return [
        at_least("requests that waited about 500 ms", len(stalls(evidence.incident)), 3),
        at_most("such requests before", len(stalls(evidence.baseline)), 0),
        at_least("slowest, ms", 1000 * max(each.latency_seconds for each in during), 480),
        at_most("p50, ms", evidence.latency_ms(evidence.incident, 0.5), 200),
    ]


BATCHER_LOST_WAKEUP = RealIncident(
    id="batcher-lost-wakeup",
    label="batcher_lost_wakeup",
    about="A queue policy turns prefetch off: now and then a batch waits 500 ms beside an idle instance.",
    models=(ONE_AT_A_TIME,),
    calm=tuple(replace(stream, per_second=2 * stream.per_second) for stream in BURSTY),
    act=_policy,
    proof=_lost_wakeups,
)

PAIRS = Stream(30, work_ms=50, batched=True, arrivals=Arrivals.BURSTS, burst=2, timeout_seconds=30)
SMALL_BATCHES = Model(
    instances=6,
    max_batch_size=4,
    parameters={"per_item_ms": "50"},
    settings={"dynamic_batching": {"preferred_batch_size": [1], "max_queue_delay_microseconds": 1}},
)


async def _timeout(world: World, _: float) -> None:
    await world.load(
        _batching(
            SMALL_BATCHES,
            preferred_batch_size=[1],
            max_queue_delay_microseconds=1,
            default_queue_policy={"default_timeout_microseconds": 20_000_000},
        )
    )


def _drifted(evidence: Evidence) -> list[Check]:
    late = Phase(evidence.incident.end - 15, evidence.incident.end)
    before, after = (len(evidence.executed(phase)) / phase.seconds for phase in (evidence.baseline, late))
    work = sum((each.ended_ns or each.started_ns) - each.started_ns for each in evidence.executed(late)) / 1e9
    return [
        p99_rose(evidence, 10),
        at_most("executions a second at the end for each before", after / before, 0.5),
        at_most(
            "share of the instances' time in use at the end",
            work / late.seconds / SMALL_BATCHES.instances,
            0.5,
        ),
        at_least("most that waited", evidence.peak(PENDING, evidence.incident), 50),
    ]


def _collapsed(evidence: Evidence) -> float:
    """Since when the median of what users wait has been five times the usual to the end: it takes its time."""
    usual, at = evidence.latency_ms(evidence.baseline, 0.5), evidence.incident.end
    while at > evidence.onset and evidence.latency_ms(Phase(at - 2, at), 0.5) > 5 * usual:
        at -= 0.5
    return at - 2


BATCHER_COUNTER_DRIFT = RealIncident(
    id="batcher-counter-drift",
    label="batcher_counter_drift",
    about="A queue timeout turns prefetch off; merged batches leave the count of idle instances too low, until hardly one works.",
    models=(SMALL_BATCHES,),
    pods=(Pod("node-a"),),
    calm=(PAIRS,),
    act=_timeout,
    lasts=100.0,
    felt=_collapsed,
    proof=_drifted,
)

BATCHES = (
    BATCH_DELAY,
    MIXED_REQUEST_SIZES,
    NEW_SHAPE,
    PRESERVE_ORDERING,
    BATCHER_LOST_WAKEUP,
    BATCHER_COUNTER_DRIFT,
)
