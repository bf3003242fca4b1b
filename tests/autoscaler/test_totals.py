"""Totals under partial outages: a pod that does not answer can raise them, never lower them, and never for long."""

from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.answer import NoData, Reason, Value
from autoscaler.evaluate import evaluate
from autoscaler.selection import Settings
from autoscaler.selector import EVERYTHING
from telemetry.pod_state import PodState
from telemetry.target import Phase
from tests.autoscaler.fleet import (
    CONCURRENCY,
    MODEL_SIGNALS,
    NOW,
    PENDING_SIGNAL,
    QUEUE_SIGNAL,
    RATE,
    SIGNALS,
    TOTALS,
    ask,
    number,
    pod,
    row,
    silent,
)


def test_a_total_is_the_sum_over_pods_and_models() -> None:
    answer = ask(RATE, pod("a", {"m": row(30), "n": row(60, failed=30)}), pod("b", row(30), age=4.0))
    assert answer == Value(5.0, 4.0, 30)


def test_concurrency_is_what_waits_and_what_is_computed() -> None:
    assert ask(CONCURRENCY, pod("a", row(10, compute_s=60, pending=1.5))) == Value(3.5, 1.0, 30)


@pytest.mark.parametrize("signal", TOTALS)
def test_a_fleet_that_answers_and_does_nothing_is_idle(signal: str) -> None:
    assert ask(signal, pod("a", row()), pod("b", row())) == Value(0.0, 1.0, 30, idle=True)


@pytest.mark.parametrize("signal", TOTALS)
def test_a_fleet_with_a_silent_pod_is_not_idle(signal: str) -> None:
    """The others' idleness says nothing of it: the number may be zero for now, but is no idle value."""
    assert ask(signal, pod("a", row()), silent("b", row())) == Value(0.0, 6.0, 30)


def test_a_silent_pod_counts_as_its_own_last_contribution_where_that_is_larger() -> None:
    assert number(ask(RATE, pod("a", row(30)), pod("b", row(30)), silent("c", row(300)))) == 12.0


def test_a_silent_pod_counts_as_the_mean_of_the_others_where_that_is_larger() -> None:
    assert number(ask(RATE, pod("a", row(30)), pod("b", row(90)), silent("c", row(0)))) == 6.0


def test_a_pod_that_never_answered_counts_as_the_mean_of_the_others_until_max_age() -> None:
    fleet = pod("a", row(30)), pod("b", row(90)), pod("c", known=5.0)
    assert number(ask(RATE, *fleet)) == 6.0


def test_a_pod_that_answers_again_counts_at_least_as_before_its_silence() -> None:
    thawed = replace(row(3), floor=row(60))
    assert ask(RATE, pod("a", row(30)), pod("b", thawed)) == Value(3.0, 1.0, 30)


def test_a_pod_that_answers_again_and_was_busy_before_is_not_idle_yet() -> None:
    assert ask(RATE, pod("a", replace(row(), floor=row(60)))) == Value(2.0, 1.0, 30)


SILENT_B = NoData(Reason.NOT_ANSWERING, "pod b does not answer scrapes (timed out)")


def test_after_max_age_a_silent_pod_is_an_error_that_names_it() -> None:
    assert ask(RATE, pod("a", row(30)), silent("b", row(30), age=10.1)) == SILENT_B


def test_a_pod_is_silent_by_its_age_too() -> None:
    """The loop itself may be late, with no failure to show."""
    assert ask(RATE, pod("a", row(30), age=10.1)) == NoData(
        Reason.NOT_ANSWERING, "pod a does not answer scrapes (no recent sample)"
    )


def test_after_max_age_a_pod_that_never_answered_is_an_error_that_names_it() -> None:
    assert ask(RATE, pod("a", row(30)), pod("b", known=11.0)) == NoData(
        Reason.NOT_ANSWERING, "pod b does not answer scrapes (connection refused or unreachable)"
    )


def test_when_no_pod_answers_their_last_contributions_stand_until_max_age() -> None:
    assert number(ask(RATE, silent("a", row(30)), silent("b", row(60)))) == 3.0


@pytest.mark.parametrize("signal", MODEL_SIGNALS)
def test_a_pod_whose_past_is_unknown_makes_a_total_no_data(signal: str) -> None:
    """It may be the busy one: what it did before its first sample nobody saw, and others cannot vouch for it."""
    fleet = pod("a", row(30, p99_ms=1)), pod("b", row(0, seconds=0.0), full=False)
    assert ask(signal, *fleet) == NoData(
        Reason.WARMING_UP,
        "the window of pod b is not covered by samples yet; its past before the first one is unknown",
    )


@pytest.mark.parametrize("signal", MODEL_SIGNALS)
def test_an_idle_newborn_beside_pods_of_unknown_past_does_not_speak_for_them(signal: str) -> None:
    """Just after a restart of the daemon, in a fleet that just grew."""
    busy = [pod(name, row(0, seconds=0.0), full=False) for name in ("b", "c", "d")]
    answer = ask(signal, pod("a", row()), *busy)
    assert isinstance(answer, NoData)


@pytest.mark.parametrize("signal", TOTALS)
def test_a_pod_that_fell_silent_before_its_window_was_covered_is_no_data(signal: str) -> None:
    answer = ask(signal, pod("a", row(30)), pod("b", row(0, seconds=0.0), full=False, failure="timed out"))
    assert isinstance(answer, NoData)


def test_a_new_pod_that_has_not_answered_yet_is_not_missing() -> None:
    starting = pod("b", phase=Phase.STARTING, ready=False, born=True)
    loading = pod("c", ready=False, born=True)
    assert ask(RATE, pod("a", row(30)), starting, loading) == Value(1.0, 1.0, 30)


@pytest.mark.parametrize(("waited", "total"), [(0.0, 4.0), (15.0, 4.8), (30.0, 6.0)])
def test_a_ready_pod_without_a_sample_counts_as_one_of_them_for_as_long_as_it_waits(
    waited: float, total: float
) -> None:
    """After a whole window it is a third of three, as the mean of the others is."""
    fleet = pod("a", row(30)), pod("b", row(90)), pod("c", born=True, known=waited)
    assert number(ask(RATE, *fleet)) == pytest.approx(total)


@pytest.mark.parametrize("new", [1, 3, 8])
def test_a_total_does_not_dip_while_a_source_looks_for_new_pods(new: int) -> None:
    """One pod had all of the load for a window; then it is shared evenly with others, which are measured only 8 s later."""
    for waited in range(9):
        old = row(30 * (30 - waited) + 30 * waited / (1 + new))
        young = [pod(f"new-{at}", born=True, known=float(waited)) for at in range(new)]
        assert number(ask(RATE, pod("a", old, age=0.0), *young)) == pytest.approx(30.0)


def test_a_total_does_not_dip_while_young_pods_are_measured_later_than_the_others() -> None:
    """Four pods share 30 a second since 6 s; the three young ones were last measured 3 s ago."""
    old = pod("a", row(30 * 24 + 7.5 * 6), age=0.0)
    young = [pod(f"new-{at}", row(7.5 * 3), age=3.0, young=True) for at in range(3)]
    assert number(ask(RATE, old, *young)) == pytest.approx(30.0)


def test_an_idle_fleet_with_a_ready_pod_without_a_sample_says_zero_and_not_idle() -> None:
    assert ask(RATE, pod("a", row()), pod("b", born=True, known=5.0)) == Value(0.0, 1.0, 30)


def test_an_unmeasured_pod_of_a_workload_that_serves_something_else_is_not_counted() -> None:
    fleet = pod("a", row(30)), pod("b", {"n": row(30)}, workload="v"), pod("c", born=True, workload="v")
    assert ask(RATE, *fleet, selector="model=m") == Value(1.0, 1.0, 30)


def test_an_unmeasured_pod_is_told_in_the_trace_as_counted() -> None:
    wanted = SIGNALS[RATE]
    fleet = pod("a", row(30)), pod("b", born=True, known=15.0)
    answer = evaluate(wanted, fleet, EVERYTHING, Settings(), NOW, explain=True)
    assert [(line["pod"], line["standing"], line["counted"]) for line in answer.trace] == [
        ("a", "answered", True),
        ("b", "new", True),
    ]


def test_a_pod_that_is_ready_and_born_a_window_ago_is_missing() -> None:
    answer = ask(RATE, pod("a", row(30)), pod("b", born=True, known=41.0))
    assert answer == NoData(
        Reason.NOT_ANSWERING, "pod b does not answer scrapes (connection refused or unreachable)"
    )


def test_a_pod_that_answers_counts_ready_or_not() -> None:
    """Loading any model makes a whole Triton not ready while its queue is full."""
    assert number(ask(RATE, pod("a", row(30)), pod("b", row(60), ready=False))) == 3.0


@pytest.mark.parametrize("phase", [Phase.TERMINATING, Phase.STOPPED])
@pytest.mark.parametrize(("age", "fading"), [(0.0, 10.0), (15.0, 5.0), (30.0, 0.0), (60.0, 0.0)])
def test_a_pod_that_left_fades_from_a_total_as_its_window_slides_out(
    phase: Phase, age: float, fading: float
) -> None:
    """What it did in the window was done: others take over its load no faster than their own windows fill."""
    leaving = pod("b", row(300), phase=phase, age=age, failure="timed out")
    assert ask(RATE, pod("a", row(30)), leaving) == Value(1.0 + fading, 1.0, 30)


@pytest.mark.parametrize("phase", [Phase.TERMINATING, Phase.STOPPED])
def test_a_pod_that_left_leaves_both_sides_of_a_ratio(phase: Phase) -> None:
    leaving = pod("b", row(300, queue_ms=900), phase=phase, failure="timed out")
    assert ask(QUEUE_SIGNAL, pod("a", row(30, queue_ms=2)), leaving) == Value(2.0, 1.0, 30)


def test_a_fleet_whose_busy_pod_just_crashed_is_not_idle() -> None:
    crashed = pod("b", row(300), phase=Phase.STOPPED, age=3.0)
    assert ask(RATE, pod("a", row()), crashed) == Value(9.0, 1.0, 30)


def test_a_fleet_whose_only_pod_just_crashed_is_no_data() -> None:
    assert isinstance(ask(RATE, pod("a", row(300), phase=Phase.STOPPED, age=3.0)), NoData)


def test_a_whole_fleet_on_its_way_out_is_no_data() -> None:
    answer = ask(RATE, pod("a", row(30), phase=Phase.TERMINATING))
    assert answer == NoData(Reason.NO_TARGETS, "no Triton pod here matches 'everything'")


def test_a_fleet_that_only_starts_is_no_data() -> None:
    answer = ask(RATE, pod("a", phase=Phase.STARTING, ready=False, born=True))
    assert answer == NoData(Reason.STARTING, "every pod that matches is starting: a has not answered yet")


def test_a_silent_pod_of_another_workload_that_never_answered_is_not_missed() -> None:
    """Others of its workload answer and do not serve what was asked for."""
    fleet = pod("a", row(30)), pod("b", {"n": row(30)}, workload="v"), pod("c", workload="v")
    assert ask(RATE, *fleet, selector="model=m") == Value(1.0, 1.0, 30)


_LOADS = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(0, 50), st.integers(0, 300), st.sampled_from("abc")),
    min_size=1,
    max_size=8,
)


@given(_LOADS, st.data())
def test_a_partial_outage_never_lowers_a_total(
    loads: Sequence[tuple[int, int, int, str]], data: st.DataObject
) -> None:
    """Whichever pods stop answering, the total is not below what it is when all answer."""
    lost = data.draw(st.sets(st.sampled_from(range(len(loads)))))

    def fleet(gone: Collection[int]) -> list[PodState]:
        windows = [
            {model: row(requests, pending=pending, compute_s=seconds)}
            for requests, pending, seconds, model in loads
        ]
        return [
            silent(f"p{at}", rows) if at in gone else pod(f"p{at}", rows) for at, rows in enumerate(windows)
        ]

    for signal in TOTALS:
        for selector in ("", "model=a", "model!=a"):
            whole = ask(signal, *fleet(()), selector=selector)
            partial = ask(signal, *fleet(lost), selector=selector)
            if isinstance(whole, Value):
                assert number(partial) >= whole.value - 1e-9


@given(_LOADS, st.floats(0, 100))
def test_a_message_is_the_same_while_its_cause_is(
    loads: Sequence[tuple[int, int, int, str]], later: float
) -> None:
    """It lands in the HPA's status: no age or count in it, whatever moved since."""
    fleet = [silent(f"p{at}", {model: row(n)}, age=11.0) for at, (n, _, _, model) in enumerate(loads)]
    moved = [silent(f"p{at}", {model: row(n + 1)}, age=12.0) for at, (n, _, _, model) in enumerate(loads)]
    for signal in MODEL_SIGNALS:
        first = ask(signal, *fleet)
        assert isinstance(first, NoData)
        assert (ask(signal, *moved, later=later), len(first.message) <= 300) == (first, True)


def test_a_message_fits_whatever_the_names() -> None:
    long = pod("p" * 253, {"m" * 253: row(0, pending=None)}, age=1.0)
    answer = ask(PENDING_SIGNAL, long)
    assert isinstance(answer, NoData)
    assert len(answer.message) == 300


def test_ages_are_counted_from_now() -> None:
    assert NOW == 1000.0
    assert ask(RATE, pod("a", row(30)), later=9.0) == Value(1.0, 10.0, 30)
