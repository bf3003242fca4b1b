"""Windows over gateways' raw samples: resets, births, restarts, departures, several Prometheus servers."""

from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.gateways.window import (
    Instance,
    Replica,
    Scrapes,
    Standing,
    Target,
    TargetSeries,
    TargetWindow,
    covered,
    increase,
    instance_windows,
    target_windows,
)

TRITON = Target("inference", "triton", "triton")
A: Instance = ("envoy", "a")
B: Instance = ("envoy", "b")
ONE: Replica = ("",)
SECONDS = 30.0
FRESH = 11.0
TIMES = [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0]
AT = 41.0


def series(
    instance: tuple[str, ...],
    samples: Sequence[tuple[float, float]],
    code: str = "200",
    replica: tuple[str, ...] = ONE,
) -> TargetSeries:
    return TargetSeries(TRITON, instance, replica, samples, code)


def rate(
    scrapes: Scrapes,
    found: Sequence[TargetSeries],
    kept: frozenset[Instance] = frozenset(),
    earlier: frozenset[Instance] = frozenset(),
) -> float:
    windows = instance_windows(scrapes, kept, earlier, AT, SECONDS, FRESH)
    return target_windows(windows, found, [TRITON])[TRITON].rate


def counted(times: Sequence[float], per_second: float, start: float = 100.0) -> list[tuple[float, float]]:
    return [(time, start + per_second * time) for time in times]


def test_a_steady_counter_gives_its_rate_whatever_the_second_of_the_look() -> None:
    scrapes: Scrapes = {(A, ONE): TIMES}
    found = [series(A, counted(TIMES, 2.0))]
    rates = [
        target_windows(
            instance_windows(scrapes, frozenset(), frozenset(), at, SECONDS, FRESH), found, [TRITON]
        )[TRITON].rate
        for at in (40.0, 42.5, 50.9)
    ]
    assert rates == pytest.approx([2.0] * 3)


def test_the_first_request_counts_on_a_gateway_that_was_scraped_before() -> None:
    """With PromQL's increase it would be lost, and a fleet at zero would not wake."""
    scrapes: Scrapes = {(A, ONE): TIMES}
    assert rate(scrapes, [series(A, [(40.0, 1.0)], "503")]) == pytest.approx(1 / 30)
    assert rate(scrapes, [series(A, [(35.0, 1.0), (40.0, 1.0)], "503")]) == pytest.approx(1 / 30)


def test_a_new_code_beside_old_ones_counts_from_zero() -> None:
    old = [(time, 50.0) for time in TIMES]
    assert rate({(A, ONE): TIMES}, [series(A, old), series(A, [(40.0, 3.0)], "503")]) == pytest.approx(0.1)


def test_what_was_there_at_the_first_scrape_has_a_past_that_nobody_knows() -> None:
    """A gateway that Prometheus found a moment ago: its million requests were not made in this window."""
    young = [30.0, 35.0, 40.0]
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): young}
    found = [series(A, [(time, 7.0) for time in TIMES]), series(B, counted(young, 3.0, 1e6))]
    assert rate(scrapes, found) == pytest.approx(3.0)


def test_a_gateway_that_began_in_the_window_did_no_more_before_its_first_scrape_than_it_shows() -> None:
    born = [30.0, 35.0, 40.0]
    found = [series(B, [(30.0, 20.0), (35.0, 35.0), (40.0, 50.0)])]
    assert rate({(A, ONE): TIMES, (B, ONE): born}, found) == pytest.approx(50 / 30)


def test_a_gateway_that_replaces_the_only_one_leaves_no_gap_that_looks_idle() -> None:
    """Ten requests a second: the old one's last scrape was at 10, and the new one, born at 12, has served 260 by 38."""
    old = [-5.0, 0.0, 5.0, 10.0]
    gone = series(A, counted(old, 10.0))

    def told(*scraped: float, at: float) -> TargetWindow:
        scrapes: Scrapes = {(A, ONE): old, (B, ONE): scraped}
        windows = instance_windows(scrapes, frozenset(), frozenset(), at, SECONDS, FRESH)
        found = [gone, series(B, [(time, 10.0 * (time - 12)) for time in scraped])]
        return target_windows(windows, found, [TRITON])[TRITON]

    once = told(38.0, at=41.0)
    assert once.untold is not None
    assert once.untold.instance == B
    twice = told(38.0, 43.0, at=44.0)
    assert twice.rate == pytest.approx(10.0)
    assert twice.untold is None


def test_a_gateway_that_was_scraped_once_counts_as_the_others_and_no_more_than_it_shows() -> None:
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): [40.0]}
    busy = series(A, counted(TIMES, 2.0))
    assert rate(scrapes, [busy, series(B, [(40.0, 1e6)])]) == pytest.approx(4.0)
    assert rate(scrapes, [busy, series(B, [(40.0, 15.0)])]) == pytest.approx(2.5)


def test_a_restarted_gateway_counts_from_zero() -> None:
    samples = [(time, 1000.0) for time in TIMES[:6]] + [(30.0, 4.0), (35.0, 5.0), (40.0, 9.0)]
    assert rate({(A, ONE): TIMES}, [series(A, samples)]) == pytest.approx(9 / 30)


def test_series_that_a_restart_took_come_back_from_zero() -> None:
    """The restarted process shows no series until its first request."""
    samples = [(time, 1000.0) for time in TIMES[:5]] + [(40.0, 2.0)]
    assert rate({(A, ONE): TIMES}, [series(A, samples)]) == pytest.approx(2 / 30)


def test_counters_that_go_on_under_other_labels_are_no_new_ones() -> None:
    """Prometheus was given one more label for its target: a gateway's million requests were not made in this window, nor do the
    buckets hold them."""
    scrapes: Scrapes = {(A, ONE): TIMES}
    steady = counted(TIMES, 2.0, 1e6)
    new_method = [(30.0, 3.0), (35.0, 3.0), (40.0, 3.0)]
    assert rate(scrapes, [series(A, steady[:6]), series(A, steady[6:])]) == pytest.approx(60 / 30)
    assert rate(
        scrapes, [series(A, steady[:6]), series(A, steady[6:]), series(A, new_method)]
    ) == pytest.approx(63 / 30)
    windows = instance_windows(scrapes, frozenset(), frozenset(), AT, SECONDS, FRESH)
    buckets = [TargetSeries(TRITON, A, ONE, part, bound=inf) for part in (steady[:6], steady[6:])]
    (histogram,) = target_windows(windows, buckets, [TRITON])[TRITON].histograms
    assert histogram == pytest.approx({inf: 60 / 30})


def test_counters_that_begin_lower_or_later_than_others_end_count_from_zero() -> None:
    """A process of another name on the same address, and one whose first request came some scrapes after the other had gone."""
    scrapes: Scrapes = {(A, ONE): TIMES}
    old = [(time, 9.0) for time in TIMES[:6]]
    assert rate(scrapes, [series(A, old), series(A, [(30.0, 4.0), (40.0, 6.0)])]) == pytest.approx(6 / 30)
    assert rate(scrapes, [series(A, old), series(A, [(40.0, 9.0)])]) == pytest.approx(9 / 30)


def test_flat_counters_and_no_series_are_zero_and_only_the_latter_are_not_seen() -> None:
    scrapes: Scrapes = {(A, ONE): TIMES}
    windows = instance_windows(scrapes, frozenset(), frozenset(), AT, SECONDS, FRESH)
    flat = target_windows(windows, [series(A, [(time, 5.0) for time in TIMES])], [TRITON])[TRITON]
    none = target_windows(windows, [], [TRITON])[TRITON]
    assert (flat.rate, flat.seen, none.rate, none.seen) == (0.0, True, 0.0, False)


@pytest.mark.parametrize(
    ("scraped", "shown", "seen"),
    [(TIMES, TIMES[:5], True), (TIMES, TIMES[:2], False), (TIMES[:5], TIMES[:5], False)],
    ids=["in the window", "before it", "by one that departed"],
)
def test_a_target_is_seen_where_a_gateway_that_is_there_shows_it_in_the_window(
    scraped: Sequence[float], shown: Sequence[float], seen: bool
) -> None:
    scrapes: Scrapes = {(A, ONE): scraped, (B, ONE): TIMES}
    windows = instance_windows(scrapes, frozenset(), frozenset(), AT, SECONDS, FRESH)
    told = target_windows(windows, [series(A, [(time, 5.0) for time in shown])], [TRITON])[TRITON]
    assert told.seen == seen


def test_two_prometheus_servers_tell_a_request_once() -> None:
    first: Replica = ("eu-0",)
    second: Replica = ("eu-1",)
    later = [time + 2.0 for time in TIMES[:-1]]
    scrapes: Scrapes = {(A, first): TIMES, (A, second): later}
    found = [
        series(A, counted(TIMES, 2.0), replica=first),
        series(A, counted(later, 2.0), replica=second),
    ]
    assert rate(scrapes, found) == pytest.approx(2.0)


def test_a_prometheus_server_that_just_began_is_not_read_beside_one_that_saw_the_window() -> None:
    first: Replica = ("eu-0",)
    second: Replica = ("eu-1",)
    scrapes: Scrapes = {(A, first): TIMES, (A, second): [38.0, 40.5]}
    found = [
        series(A, counted(TIMES, 2.0), replica=first),
        series(A, counted([38.0, 40.5], 2.0), replica=second),
    ]
    assert rate(scrapes, found) == pytest.approx(2.0)


def test_what_a_gateway_did_before_it_left_slides_out_of_the_window() -> None:
    left = TIMES[:5]  # its last scrape was at 20
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): left}
    found = [series(A, [(time, 5.0) for time in TIMES]), series(B, counted(left, 6.0))]
    assert rate(scrapes, found) == pytest.approx(
        6.0 * 10 / 30
    )  # from 10, the last scrape before the window, to 20


def test_a_gateway_that_fails_its_scrapes_never_lowers_the_rate() -> None:
    """It counts as the larger of its own last rate and the mean of the others."""
    lost = TIMES[:5]
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): [-20.0, -15.0, *lost]}
    for theirs, expected in ((6.0, 8.0), (1.0, 4.0)):
        found = [series(A, counted(TIMES, 2.0)), series(B, counted([-20.0, -15.0, *lost], theirs))]
        assert rate(scrapes, found, kept=frozenset([B])) == pytest.approx(expected)


def test_a_gateway_that_is_back_after_a_silence_counts_as_before_and_not_for_the_time_since_alone() -> None:
    """Its samples from before are out of reach."""
    back = [35.0, 40.0]
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): back}
    found = [series(A, [(time, 5.0) for time in TIMES]), series(B, counted(back, 6.0, 1e6))]
    assert rate(scrapes, found, earlier=frozenset([B])) == pytest.approx(6.0)


def test_a_gateway_that_is_back_tells_nothing_with_its_first_scrape() -> None:
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): [40.0]}
    windows = instance_windows(scrapes, frozenset(), frozenset([B]), AT, SECONDS, FRESH)
    told = target_windows(windows, [series(B, [(40.0, 1e6)])], [TRITON])[TRITON]
    other = target_windows(windows, [series(A, [(40.0, 1.0)])], [TRITON])[TRITON]
    assert told.untold is not None
    assert (told.untold.instance, other.untold) == (B, None)


def test_a_gateway_that_never_told_of_the_target_and_fails_its_scrapes_is_none_of_its_business() -> None:
    """Each sidecar of a mesh is a gateway, and any of them may come to its end."""
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): TIMES[:5]}
    windows = instance_windows(scrapes, frozenset([B]), frozenset(), AT, SECONDS, FRESH)
    told = target_windows(windows, [series(A, counted(TIMES, 2.0))], [TRITON])[TRITON]
    assert [share.window.instance for share in told.shares] == [A]
    assert told.oldest is not None
    assert told.oldest.newest == 40.0


def test_what_a_gateway_does_not_tell_is_kept_once_for_all_targets() -> None:
    """A mesh of 5,000 proxies and 100 workloads: half a million shares of nothing were 120 MB and 4 s each tick."""
    windows = instance_windows(
        {(A, ONE): TIMES, (B, ONE): TIMES}, frozenset(), frozenset(), AT, SECONDS, FRESH
    )
    others = [Target("inference", f"w{number}", f"w{number}") for number in range(20)]
    told = target_windows(windows, [series(A, counted(TIMES, 2.0))], [TRITON, *others])
    assert len({id(share) for window in told.values() for share in window.shares}) == 3
    assert all(len(window.shares) == 2 for window in told.values())


def test_a_stranger_is_the_same_one_in_whatever_order_its_series_come() -> None:
    windows = instance_windows({(A, ONE): TIMES}, frozenset(), frozenset(), AT, SECONDS, FRESH)
    others = [series(("envoy", name), counted(TIMES, 1.0)) for name in ("c", "b", "d")]
    for found in (others, others[::-1]):
        assert target_windows(windows, found, [TRITON])[TRITON].stranger == B


def test_histograms_of_the_same_bounds_are_one_and_others_stay_apart() -> None:
    """A question sorts what is left: one of 2,000 proxies' histograms took 140 ms of the event loop."""
    c: Instance = ("envoy", "c")
    windows = instance_windows(
        {(each, ONE): TIMES for each in (A, B, c)}, frozenset(), frozenset(), AT, SECONDS, FRESH
    )
    found = [
        TargetSeries(TRITON, instance, ONE, counted(TIMES, per_second), bound=bound)
        for instance, bounds in ((A, (10.0, inf)), (B, (10.0, inf)), (c, (50.0, inf)))
        for bound, per_second in zip(bounds, (1.0, 2.0), strict=True)
    ]
    told = target_windows(windows, found, [TRITON])[TRITON]
    assert told.histograms == [{10.0: 2.0, inf: 4.0}, {50.0: 1.0, inf: 2.0}]


def test_standings() -> None:
    scrapes: Scrapes = {(A, ONE): TIMES, (B, ONE): TIMES[:3]}
    alone = instance_windows(scrapes, frozenset(), frozenset(), AT, SECONDS, FRESH)
    failing = instance_windows(scrapes, frozenset([B]), frozenset(), AT, SECONDS, FRESH)
    assert [w.standing for w in alone] == [Standing.ANSWERED, Standing.DEPARTED]
    assert [w.standing for w in failing] == [Standing.ANSWERED, Standing.SILENT]


def test_a_window_is_covered_by_gateways_that_are_gone_by_now_too() -> None:
    """A rollout of the gateway replaces every instance."""
    assert covered({(A, ONE): TIMES[:4], (B, ONE): TIMES[4:]}, AT, SECONDS)
    assert not covered({(B, ONE): TIMES[4:]}, AT, SECONDS)


steps = st.lists(
    st.tuples(st.sampled_from(["rest", "work", "restart"]), st.integers(0, 50)), min_size=1, max_size=40
)


@given(steps, st.integers(0, 40))
def test_the_increase_is_what_was_done_between_two_scrapes(
    history: list[tuple[str, int]], begin: int
) -> None:
    """A process that works, restarts and shows its series from its first request on. Nothing is lost but what it did between its
    last scrape and a restart, and nothing is counted twice."""
    value, shown = 0, False
    scrapes: list[float] = []
    samples: list[tuple[float, float]] = []
    done: list[int] = []
    for second, (what, amount) in enumerate([("rest", 0), *history]):
        if what == "restart":
            value, shown = 0, False
        count = amount if what == "work" else 0
        value += count
        shown = shown or count > 0
        done.append(count)
        scrapes.append(float(second))
        if shown:
            samples.append((float(second), float(value)))
    first = min(begin, len(done) - 1)
    # A restart after which the counter is as large as before at once cannot be told from work: the rest is exact.
    expected, last, hidden = 0, None, False
    by_second = dict(samples)
    for second in range(len(done)):
        now = by_second.get(float(second))
        restarted = second > 0 and history[second - 1][0] == "restart"
        hidden = hidden or restarted
        if second > first and now is not None:
            if hidden and last is not None and now >= last:
                expected += int(now - last)
            else:
                expected += done[second]
        if now is not None:
            last, hidden = now, False
    assert increase(samples, float(first), scrapes[-1]) == pytest.approx(expected)
