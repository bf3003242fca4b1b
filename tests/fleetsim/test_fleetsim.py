"""The simulator's physics: what must hold of queues, counters and evidence, whatever happens to a fleet."""

import math
import random
from collections.abc import Iterable, Sequence
from functools import cache

import pytest
from _pytest.mark.structures import ParameterSet

from tests.fleetsim.counters import Counters
from tests.fleetsim.cpu import CpuQuota
from tests.fleetsim.gateway import histogram_quantile
from tests.fleetsim.grid import Grid
from tests.fleetsim.incidents import CAUSES, Incident, incident
from tests.fleetsim.loop import Loop
from tests.fleetsim.models import Model, Request, Service
from tests.fleetsim.observe import without
from tests.fleetsim.server import Server
from tests.fleetsim.split import cases
from triage.cluster_views import PodPlacements, Rollouts
from triage.evidence import Snapshot
from triage.latency.facts import Ranges

START = 1_780_000_000.0
STEADY = Service(100.0, sigma=0.0, input_ms=0.0, output_ms=0.0)


def serve(
    model: Model, *arrivals: float, priorities: Sequence[int] = ()
) -> tuple[Counters, list[tuple[int, int]]]:
    """The model's counters when all is done, and the number and status of each request as it was answered."""
    loop = Loop(START)
    server = Server(loop, random.Random(1))
    server.host.overhead_ms = 0.0
    server.load(model)
    answers: list[tuple[int, int]] = []
    for number, at in enumerate(arrivals):
        request = Request(model.name)
        request.priority = priorities[number] if priorities else 0
        request.done = lambda status, number=number: answers.append((number, status))
        loop.at(START + at, server.enqueue, request)
    loop.run(START + 60)
    return server.models[model.name].counters, answers


def test_a_request_that_finds_its_instance_busy_waits_for_the_rest_of_it() -> None:
    counters, _ = serve(Model("m", STEADY), 0.0, 0.03)
    assert (counters.success, counters.executions) == (2, 2)
    assert counters.queue_ms == pytest.approx(70, abs=0.01)
    assert counters.request_ms == pytest.approx(270, abs=0.01)


def test_a_second_instance_leaves_nobody_waiting() -> None:
    counters, _ = serve(Model("m", STEADY, instances=2), 0.0, 0.03)
    assert counters.queue_ms == pytest.approx(0, abs=0.01)


def test_each_request_of_a_batch_counts_the_whole_execution() -> None:
    counters, _ = serve(Model("m", STEADY, max_batch_size=8, dynamic_batching=True), 0.0, 0.01, 0.02, 0.03)
    assert (counters.executions, counters.inferences) == (2, 4)
    assert counters.infer_ms == pytest.approx(400, abs=0.01)
    assert counters.batches[3][0] == 1


def test_under_a_delay_batches_are_taken_ahead_and_put_together() -> None:
    delayed = Model("m", STEADY, max_batch_size=8, dynamic_batching=True, max_queue_delay_ms=5)
    counters, _ = serve(delayed, 0.0, 0.01, 0.02, 0.03)
    assert sorted(counters.batches) == [1, 2]
    assert counters.executions == 3


def test_a_batch_waits_for_its_delay_and_no_longer() -> None:
    delayed = Model("m", STEADY, instances=2, max_batch_size=8, dynamic_batching=True, max_queue_delay_ms=50)
    counters, _ = serve(delayed, 0.0, 0.02)
    assert (counters.executions, round(counters.queue_ms)) == (1, 50 + 30)


def test_a_full_batch_does_not_wait_for_the_delay() -> None:
    delayed = Model("m", STEADY, max_batch_size=2, dynamic_batching=True, max_queue_delay_ms=50)
    assert round(serve(delayed, 0.0, 0.02)[0].queue_ms) == 20


def test_what_a_full_queue_refuses_is_in_no_counter() -> None:
    counters, answers = serve(Model("m", STEADY, max_queue_size=1), 0.0, 0.01, 0.02)
    assert (counters.success, counters.failures, counters.pending) == (2, {}, 0)
    assert (2, 503) in answers


def test_what_times_out_in_the_queue_fails_and_adds_to_no_duration() -> None:
    """It is looked at when an instance becomes free, long after its time."""
    counters, answers = serve(Model("m", STEADY, queue_timeout_ms=30), 0.0, 0.01)
    assert (counters.success, counters.failures) == (1, {"REJECTED": 1})
    assert counters.queue_ms == pytest.approx(0, abs=0.01)
    assert answers == [(0, 200), (1, 503)]


def test_the_first_class_passes_the_second() -> None:
    model = Model("m", STEADY, priority_levels=2)
    _, answers = serve(model, 0.0, 0.01, 0.02, priorities=(2, 2, 1))
    assert [number for number, _ in answers] == [0, 2, 1]


def test_ordered_answers_wait_for_the_slowest_when_tritons_clock_has_stopped() -> None:
    """As a real 2.51.0 counts them: callers' mean went from 83 to 152 ms, and Triton's own stayed at 32."""
    loop = Loop(START)
    server = Server(loop, random.Random(1))
    server.host.overhead_ms = 0.0
    server.load(Model("m", STEADY, instances=2, preserve_ordering=True))
    answered: list[float] = []
    for weight in (5.0, 1.0):
        request = Request("m")
        request.weight = weight
        request.done = lambda _: answered.append(round(loop.now - START, 3))
        server.enqueue(request)
    loop.run(START + 60)
    counters = server.models["m"].counters
    assert answered == [0.5, 0.5]
    assert counters.infer_ms == pytest.approx(600, abs=0.01)
    assert counters.request_ms == pytest.approx(600, abs=0.01)


def test_an_ensemble_has_no_queue_and_its_parts_have() -> None:
    loop = Loop(START)
    server = Server(loop, random.Random(1))
    server.host.overhead_ms = 0.0
    for model in (Model("part", STEADY), Model("whole", STEADY, parts=("part",))):
        server.load(model)
    for _ in range(2):
        server.enqueue(Request("whole"))
    loop.run(START + 60)
    whole, part = server.models["whole"].counters, server.models["part"].counters
    assert (whole.queue_ms, round(whole.infer_ms), round(whole.request_ms)) == (0.0, 200, 300)
    assert round(part.queue_ms) == 100


def test_a_queue_grows_to_what_theory_says() -> None:
    """M/D/1 at three quarters: the mean wait is half the service time times 0.75 / 0.25."""
    rng, at, arrivals = random.Random(7), 0.0, []
    while at < 20_000:
        at += rng.expovariate(7.5)
        arrivals.append(at)
    loop = Loop(START)
    server = Server(loop, rng)
    server.load(Model("m", STEADY))
    for each in arrivals:
        loop.at(START + each, server.enqueue, Request("m"))
    loop.run(START + 30_000)
    counters = server.models["m"].counters
    assert counters.queue_ms / counters.success == pytest.approx(150, rel=0.05)


def test_work_beyond_the_quota_goes_on_in_the_next_period() -> None:
    """80 ms on 4 cores are 320 ms of CPU time; a quota of 2 cores gives 200 ms in each 100 ms."""
    quota = CpuQuota(2.0)
    assert quota.end_of(0.0, 0.08, 4) == pytest.approx(0.13)
    assert quota.take() == (2, 1)


def test_work_within_the_quota_is_not_throttled() -> None:
    quota = CpuQuota(4.0)
    assert quota.end_of(0.0, 0.08, 4) == pytest.approx(0.08)
    assert quota.take() == (1, 0)


def test_a_rate_survives_a_restart_and_needs_two_scrapes() -> None:
    grid = Grid(start=60.0, step=30.0, steps=3, smear=60.0)
    points = [(15.0, 100.0), (30.0, 130.0), (45.0, 10.0), (60.0, 40.0), (140.0, 50.0)]
    assert list(grid.rates(points)) == [pytest.approx(70 / 45), pytest.approx(30 / 15), None]


def test_a_quantile_of_a_histogram_is_read_between_its_buckets() -> None:
    counts = [0] * 25
    counts[8] = 100
    assert histogram_quantile(counts, 0.5) == pytest.approx(87.5)
    assert histogram_quantile([0] * 25, 0.5) is None


@cache
def played(cause: str, seed: int = 1) -> Incident:
    return incident(cause, seed, past=())


def ranges(snapshot: Snapshot) -> list[Ranges]:
    return [one.facts for one in snapshot.evidence if isinstance(one.facts, Ranges)]


def total(snapshot: Snapshot, id: str, start: float, end: float) -> float:
    """The mean of a measure over a time, its series put together."""
    (facts,) = [one.facts for one in snapshot.evidence if one.id == id]
    assert isinstance(facts, Ranges)
    summed = 0.0
    for series in facts.series:
        values = [
            value
            for number, value in enumerate(series.values)
            if value is not None and start <= facts.start + number * facts.step <= end
        ]
        summed += sum(values) / len(values) if values else 0.0
    return summed


SAMPLE = ("overload", "batch_delay", "hang", "sticky_balancing", "cpu_throttling", "bad_alert_rule")
"""The others take two minutes together: `make accuracy` plays them all."""


def sampled(causes: Iterable[str]) -> list[ParameterSet]:
    return [pytest.param(c, marks=() if c in SAMPLE else pytest.mark.accuracy) for c in causes]


@pytest.mark.parametrize("cause", sampled(CAUSES))
def test_evidence_lies_on_its_grid_and_every_number_is_finite(cause: str) -> None:
    for facts in ranges(played(cause).snapshot):
        for series in facts.series:
            assert len(series.values) == facts.steps
            assert all(value is None or math.isfinite(value) for value in series.values)
        assert len({tuple(sorted(series.labels.items())) for series in facts.series}) == len(facts.series)


ELSEWHERE = frozenset({"bad_alert_rule", "cannot_tell"})
"""Nothing moved, or nobody saw it."""


@pytest.mark.parametrize("cause", sampled(sorted(set(CAUSES) - ELSEWHERE)))
def test_clients_feel_every_incident(cause: str) -> None:
    """At its worst minute the p99 at the gateway is far above its usual."""
    case = played(cause)
    asked = case.snapshot.asked
    assert asked.start is not None
    assert asked.end is not None
    usual = total(case.snapshot, "gateway/gateway_p99", asked.start, case.onset_at - 120)
    worst = max(
        total(case.snapshot, "gateway/gateway_p99", at, at + 90)
        for at in range(int(case.onset_at) - 60, int(asked.end) - 90, 30)
    )
    assert worst > usual * 1.25


def test_nothing_moves_without_a_fault() -> None:
    case = played("bad_alert_rule")
    assert case.snapshot.asked.end is not None
    before = total(case.snapshot, "gateway/gateway_p99", case.onset_at - 3600, case.onset_at)
    after = total(case.snapshot, "gateway/gateway_p99", case.onset_at, case.snapshot.asked.end)
    assert after == pytest.approx(before, rel=0.3)


def test_bursts_begin_with_the_incident() -> None:
    """Nothing that a fault brings is there before it."""
    case = played("micro_bursts")
    assert case.snapshot.asked.start is not None
    before = total(case.snapshot, "triton/pending_peak", case.snapshot.asked.start, case.onset_at - 60)
    after = total(case.snapshot, "triton/pending_peak", case.onset_at + 120, case.onset_at + 600)
    assert after > 5 * before


def test_a_case_is_the_same_each_time() -> None:
    assert incident("overload", 3, past=()).snapshot == incident("overload", 3, past=()).snapshot


def test_seeds_give_different_fleets() -> None:
    assert played("hang", 1).snapshot != played("hang", 2).snapshot


def test_a_decoy_is_a_rollout_that_ended_before_the_onset() -> None:
    case = incident("gateway_fault", 1, decoy=True, past=())
    facts = {one.id: one.facts for one in case.snapshot.evidence}
    rollouts, placements = facts["rollouts"], facts["placements"]
    assert isinstance(rollouts, Rollouts)
    assert isinstance(placements, PodPlacements)
    assert 0 < case.onset_at - rollouts.revisions[-1].created_at <= 720
    assert {pod.revision for pod in placements.pods} == {rollouts.revisions[-1].hash}
    assert all(pod.ready_since is not None and pod.ready_since < case.onset_at for pod in placements.pods)


def test_what_is_usual_for_the_hour_is_seen_on_earlier_days_and_overload_is_not() -> None:
    ratios = {}
    for cause in ("usual_for_this_hour", "overload"):
        case = incident(cause, 2, past=(1,))
        end = case.snapshot.asked.end
        assert end is not None
        now = total(case.snapshot, "triton/success", case.onset_at + 120, end)
        ratios[cause] = now / total(
            case.snapshot, "past/success/1d", case.onset_at - 86400 + 120, end - 86400
        )
    assert ratios["usual_for_this_hour"] == pytest.approx(1, rel=0.1)
    assert ratios["overload"] > 1.4


def test_a_source_that_is_taken_away_is_missing_and_the_others_stay() -> None:
    snapshot = without(played("hang").snapshot, "gateway", "kubernetes")
    there = {one.probe for one in snapshot.evidence if one.facts is not None}
    gone = {one.probe for one in snapshot.evidence if one.missing is not None}
    assert {"triton", "platform", "settings"} <= there
    assert {"gateway", "placements", "rollouts", "hpa", "nodes"} <= gone
    assert not there & gone


def test_the_halves_are_apart_and_together_all() -> None:
    seeds = range(40)
    both = [set(cases(CAUSES, seeds, half)) for half in ("open", "sealed")]
    assert not both[0] & both[1]
    assert len(both[0] | both[1]) == len(CAUSES) * 40
    assert min(map(len, both)) > len(CAUSES) * 15
