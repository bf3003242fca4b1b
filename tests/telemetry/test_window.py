"""What a pod's counters say over a window: never more than what happened, and never less for want of looking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.exposition import SeriesTable, parse_exposition
from telemetry.window import Families, PodHistory, RowKey, RowWindow
from tests.telemetry.timeline import (
    COMPUTE,
    FAILURE,
    MEMORY,
    P99,
    PENDING,
    SUCCESS,
    WINDOW,
    M,
    Pod,
    model,
    rate,
)


def steady(start: float, end: float, *, success: float = 0.0, per_second: float = 1.0) -> dict[float, str]:
    """Pages every 5 s of a model that completes `per_second` requests."""
    seconds = range(int(start), int(end) + 1, 5)
    return {float(at): model(success + per_second * (at - start), pending=0) for at in seconds}


def test_a_window_is_the_increase_between_the_samples_that_bound_it() -> None:
    window = Pod().scrapes(steady(0, 60, success=1000, per_second=2))
    assert window.full
    assert window.rows == {M: RowWindow(30.0, {SUCCESS: 60.0}, {PENDING: 0.0}, {PENDING: 0.0})}


def test_a_pod_with_an_unknown_past_is_not_full_until_its_window_is_covered() -> None:
    pod = Pod()
    full = [pod.scrape(at, page).full for at, page in steady(100, 130, success=7).items()]
    assert full == [False, False, False, False, False, False, True]


def test_a_pod_whose_counters_are_all_zero_at_first_sight_has_no_past() -> None:
    window = Pod().scrapes({100.0: model(0, pending=0), 105.0: model(6, pending=0)})
    assert window.full
    assert window.rows[M] == RowWindow(30.0, {SUCCESS: 6.0}, {PENDING: 0.0}, {PENDING: 0.0})


def test_one_counter_above_zero_at_first_sight_is_a_past() -> None:
    assert not Pod().scrape(100.0, model(0, failure=1, pending=0)).full


def test_a_pod_born_in_sight_counts_from_its_first_sample() -> None:
    window = Pod(born_at=90.0).scrape(100.0, model(12, pending=0))
    assert window.full
    assert window.rows[M] == RowWindow(30.0, {SUCCESS: 12.0}, {PENDING: 0.0}, {PENDING: 0.0})


@pytest.mark.parametrize("found_after", [1.0, 5.0, 8.0, 17.0, 29.0, 33.0])
def test_what_a_new_pod_did_before_it_was_found_leaves_the_window_when_it_was_done(
    found_after: float,
) -> None:
    """At work at an even pace since second 100: no window says more than it does in one, nor less once it has lived for one."""
    pod = Pod(born_at=90.0)
    at = 100.0 + found_after
    while at < 200.0:
        window = pod.scrape(at, model(20 * (at - 100), pending=1), serving_since=100.0)
        lived = min(at - 100.0, WINDOW)
        assert window.rows[M].increase[SUCCESS] / window.rows[M].seconds == pytest.approx(
            20 * lived / WINDOW, abs=20 * 2.5 / WINDOW
        )
        at += 5.0


@pytest.mark.parametrize("loading", [10.0, 50.0, 600.0])
def test_the_time_that_a_new_pod_took_to_start_does_not_dilute_its_rate(loading: float) -> None:
    """Pending, pulling and loading take minutes, in which no request can complete."""
    pod = Pod(born_at=0.0)
    window = pod.scrapes(steady(loading, loading + 15, per_second=20))
    assert (window.full, rate(window.rows[M])) == (True, 10.0)  # 15 s of work in a window of 30 s


def test_a_new_pod_that_first_answers_when_it_has_long_been_at_work_has_an_unknown_past() -> None:
    """Its counters began at zero in sight, but when they grew nobody saw: the window is not full, and not a lifetime."""
    pod = Pod(born_at=0.0)
    first = pod.scrape(600.0, model(60_000, pending=0))
    assert (first.full, first.rows[M].increase) == (False, {SUCCESS: 0.0})
    assert rate(pod.scrapes(steady(605, 635, success=60_000, per_second=20)).rows[M]) == 20.0


def test_a_restart_of_the_process_begins_every_counter_at_zero() -> None:
    """Also a counter that has grown past its old value since: its neighbours fell."""
    pod = Pod()
    window = pod.scrapes(
        {0.0: model(100, compute=50, pending=0), 30.0: model(3, compute=60, pending=0)},
    )
    assert window.rows[M].increase == {SUCCESS: 3.0, COMPUTE: 60.0}


def test_a_reload_begins_all_counters_again_but_failures() -> None:
    pod = Pod()
    window = pod.scrapes(
        {0.0: model(100, failure=7, pending=0), 30.0: model(4, failure=9, pending=0)},
    )
    assert window.rows[M].increase == {SUCCESS: 4.0, FAILURE: 2.0}


def test_a_reload_with_a_scrape_between_unload_and_load_counts_failures_once() -> None:
    pod = Pod()
    window = pod.scrapes(
        {
            0.0: model(100, failure=7, pending=0),
            5.0: model(failure=7),
            10.0: model(150, failure=8, pending=0),
        },
    )
    assert window.rows[M].increase == {SUCCESS: 150.0, FAILURE: 1.0}


def test_a_neighbour_of_a_reloaded_model_goes_on() -> None:
    pod = Pod()
    window = pod.scrapes(
        {0.0: model(100) + model(100, name="n"), 30.0: model(1) + model(101, name="n")},
    )
    assert {key.model: row.increase for key, row in window.rows.items()} == {
        "m": {SUCCESS: 1.0},
        "n": {SUCCESS: 1.0},
    }


def test_what_an_unload_leaves_behind_is_not_a_model() -> None:
    """Triton keeps the failure counter of an unloaded model for ever: the row shows that, and no success."""
    pod = Pod()
    pod.scrapes({0.0: model(100, failure=2, pending=0), 5.0: model(103, failure=2, pending=0)})
    fading = pod.scrape(10.0, model(failure=2))
    assert fading.rows[M].increase == {SUCCESS: 3.0, FAILURE: 0.0}
    left = pod.scrapes({at: model(failure=2) for at in (15.0, 20.0, 25.0, 30.0, 35.0, 40.0)})
    assert left.rows[M].increase == {FAILURE: 0.0}


def test_a_vanished_model_fades_with_its_window_and_is_forgotten() -> None:
    pod = Pod()
    pod.scrapes({0.0: model(100, compute=0, pending=2), 5.0: model(103, compute=0, pending=2)})
    fading = pod.scrape(10.0)
    assert fading.rows[M] == RowWindow(10.0, {SUCCESS: 3.0, COMPUTE: 0.0}, {PENDING: 1.0}, {PENDING: 2.0})
    assert pod.scrapes(dict.fromkeys((15.0, 20.0, 25.0, 30.0, 35.0), "\n")).rows == {}
    assert pod.history._rows == {}


@pytest.mark.parametrize("gone", [10, 25, 30, 35, 45, 60, 75])
def test_a_model_that_comes_back_did_no_less_than_nothing(gone: int) -> None:
    """Forgotten after a window, and loaded again while older samples still tell of what it did before."""
    pod = Pod()
    stays = model(0, name="n")
    pod.scrapes({at: page + stays for at, page in steady(0, 60, success=100).items()})
    pod.scrapes({float(at): stays for at in range(65, 60 + gone, 5)})
    for late in range(0, 30, 5):
        row = pod.scrape(60.0 + gone + late, model(8 + late, pending=0), stays).rows[M]
        before = max(0, 30 - gone - late)  # one a second, as far as it still lies in the window
        assert row.increase[SUCCESS] == before + 8 + late


def test_a_model_loaded_on_a_known_pod_counts_from_zero() -> None:
    pod = Pod()
    pod.scrapes(steady(0, 60, success=10))
    window = pod.scrape(65.0, model(70, pending=0), model(8, name="new", pending=0))
    assert window.rows[RowKey("new", "1", "")].increase == {SUCCESS: 8.0}


def test_a_series_that_appears_with_its_first_failure_counts_from_zero() -> None:
    pod = Pod()
    window = pod.scrapes({0.0: model(100), 30.0: model(100, failure=2)})
    assert window.rows[M].increase == {SUCCESS: 0.0, FAILURE: 2.0}


def test_gpu_labelled_twins_are_one_row() -> None:
    """Traffic is on the labelled twin, pending on the other; quantiles are not summed but the larger is taken. The pod is one
    scrape old: three waited for a sixth of the window."""
    gpu = ',gpu_uuid="GPU-1"'
    summary = f'{P99}{{model="m",version="1",quantile="0.99"%s}} %s\n'
    page = (
        model(0, pending=3)
        + model(40, more=gpu)
        + summary % ("", "Nan")
        + summary % (gpu, "1500")
        + f'{MEMORY}{{gpu_uuid="GPU-1"}} 5\n'
    )
    window = Pod(born_at=0.0).scrape(5.0, page)
    assert window.rows == {
        M: RowWindow(30.0, {SUCCESS: 40.0}, {PENDING: 0.5}, {PENDING: 3.0, f"{P99}{{0.99}}": 1500.0}),
        RowKey("", "", "GPU-1"): RowWindow(30.0, {}, {MEMORY: 5.0}, {MEMORY: 5.0}),
    }


@pytest.mark.parametrize("family", [SUCCESS, PENDING, P99])
def test_a_series_shown_twice_spoils_its_own_page_and_no_other(family: str) -> None:
    """A gauge would be summed with its double as if both were twins of two GPUs."""
    pod = Pod()
    pod.scrapes({0: model(10, pending=3), 5: model(20, pending=3)})
    with pytest.raises(ValueError, match="shows a series twice"):
        pod.scrape(10, f'{family}{{model="m",version="1",quantile="0.99"}} 1\n' * 2)
    window = pod.scrapes({at: model(at * 4, pending=3) for at in range(15, 60, 5)})
    assert (window.rows[M].increase[SUCCESS], window.rows[M].last[PENDING]) == (120.0, 3.0)


@pytest.mark.parametrize("shown", ["NaN", "Nan", "-1", "+Inf"])
def test_a_gauge_that_is_no_amount_is_missing_not_zero(shown: str) -> None:
    page = model(0, pending=0).replace(
        f'{PENDING}{{model="m",version="1"}} 0', f'{PENDING}{{model="m",version="1"}} {shown}'
    )
    assert shown in page
    assert PENDING not in Pod().scrape(100.0, page).rows[M].mean


@pytest.mark.parametrize("shown", ["-1", "-Inf", "+Inf"])
def test_a_quantile_that_is_no_duration_is_missing(shown: str) -> None:
    window = Pod().scrape(100.0, model(0), f'{P99}{{model="m",version="1",quantile="0.99"}} {shown}\n')
    assert window.rows[M].last == {}


def test_after_a_silence_longer_than_two_windows_the_past_is_unknown() -> None:
    pod = Pod()
    pod.scrapes(steady(0, 60))
    window = pod.scrape(121.0, model(5000, pending=0))
    assert (window.full, window.rows[M].increase) == (False, {SUCCESS: 0.0})


def test_what_a_pod_did_before_a_silence_is_a_floor_until_the_window_lies_after_it() -> None:
    """Frozen with its clients waiting, it computes nothing; thawed, its counters say so, and that is no evidence of less load."""
    pod = Pod()
    before = pod.scrapes(steady(0, 60, per_second=4)).rows[M]
    thawed = {float(at): model(240, pending=0) for at in range(100, 135, 5)}
    floors = [pod.scrape(at, page).rows[M].floor for at, page in thawed.items()]
    assert floors == [before] * 6 + [None]


def test_one_missed_scrape_is_no_silence() -> None:
    pod = Pod()
    pod.scrapes(steady(0, 60))
    assert pod.scrape(70.0, model(70, pending=0)).rows[M].floor is None


def test_a_shorter_silence_is_one_long_window() -> None:
    pod = Pod()
    pod.scrapes(steady(0, 60))
    window = pod.scrape(110.0, model(110, pending=0))
    assert (window.full, window.rows[M].increase, window.rows[M].seconds) == (True, {SUCCESS: 50.0}, 50.0)


def test_a_pod_with_new_models_at_every_scrape_is_refused_until_the_old_ones_left() -> None:
    """A row lives for a window after it was last shown, so pages of few models can be too many."""
    pod = Pod()

    def many(page: int) -> str:
        return "".join(model(1, name=f"page{page}model{n}") for n in range(600))

    pod.scrapes({0: model(1), 5: many(1), 10: many(2), 15: many(3)})
    for at in range(20, 76, 5):
        with pytest.raises(ValueError, match="more than 2000 model versions"):
            pod.scrape(at, many(at))
    assert len(pod.scrape(76, many(4)).rows) == 600


@pytest.mark.parametrize("value", ["NaN", "Nan", "+Inf", "-1"])
def test_a_counter_that_is_no_count_spoils_its_own_page_and_no_other(value: str) -> None:
    pod = Pod()
    pod.scrapes({0: model(10), 5: model(20)})
    with pytest.raises(ValueError, match="NaN, infinite or negative"):
        pod.scrape(10, f'{SUCCESS}{{model="m",version="1"}} {value}\n')
    window = pod.scrapes({at: model(at * 4) for at in range(15, 60, 5)})
    assert window.rows[M].increase[SUCCESS] == 120.0


@pytest.mark.parametrize("bound", ["abc", "", "NaN", "-Inf", "{5", "5}"])
def test_a_bucket_whose_bound_is_no_number_spoils_its_own_page(bound: str) -> None:
    history = PodHistory(
        Families(frozenset(), frozenset(), frozenset(), frozenset({"h_bucket"})), [WINDOW], 5.0
    )
    page = parse_exposition(f'h_bucket{{model="m",version="1",le="{bound}"}} 1\n', SeriesTable())
    with pytest.raises(ValueError, match="bound is no number"):
        history.add(10, page)


def test_memory_stays_bounded() -> None:
    pod = Pod()
    for at in range(0, 5000, 5):
        pod.scrape(at, model(at, pending=0), model(1, name=f"m{at}", pending=0))
    assert len(pod.history._samples) <= 8
    assert len(pod.history._rows) <= 9


# Stalls: counters move only when a request completes, so time without completions while requests wait proves nothing.


def test_while_requests_wait_and_none_completes_the_last_increases_stand() -> None:
    pod = Pod()
    pod.scrapes(steady(0, 60))
    window = pod.scrapes({float(at): model(60, pending=4) for at in range(65, 121, 5)})
    assert window.rows[M] == RowWindow(30.0, {SUCCESS: 30.0}, {PENDING: 4.0}, {PENDING: 4.0}, 55.0)


def test_when_nothing_waits_the_increases_fade_with_the_window() -> None:
    """The case that must not be held: an idle model."""
    pod = Pod()
    pod.scrapes(steady(0, 60))
    window = pod.scrapes({float(at): model(60, pending=0) for at in range(65, 96, 5)})
    assert window.rows[M] == RowWindow(30.0, {SUCCESS: 0.0}, {PENDING: 0.0}, {PENDING: 0.0})


def test_requests_that_went_from_waiting_into_a_hung_execution_are_still_there() -> None:
    """The gauge falls to zero, and no request completed: what was seen waiting has not left the server."""
    pod = Pod()
    pod.scrapes(steady(0, 60, per_second=0))
    pod.scrape(65.0, model(0, pending=6))
    window = pod.scrapes({float(at): model(0, pending=0) for at in range(70, 131, 5)})
    assert window.rows[M] == RowWindow(30.0, {SUCCESS: 0.0}, {PENDING: 1.0}, {PENDING: 0.0}, 65.0)


def test_a_slow_model_is_not_forgotten_between_its_completions() -> None:
    """Four requests every 40 s, more waiting: never flat, though the window is 30 s."""
    pod = Pod()
    rates = []
    for at in range(0, 400, 5):
        window = pod.scrape(at, model(4 * (at // 40), pending=4))
        rates.append(window.rows[M].increase[SUCCESS])
    assert set(rates[8:]) == {4.0}


def test_a_completion_ends_the_stall() -> None:
    pod = Pod()
    pod.scrapes(steady(0, 60))
    pod.scrapes({65.0: model(60, pending=4), 70.0: model(60, pending=4)})
    window = pod.scrape(75.0, model(64, pending=0))
    assert (window.rows[M].increase, window.rows[M].stalled_seconds) == ({SUCCESS: 19.0}, 0.0)


@pytest.mark.parametrize("after", [model(0, pending=0), model(failure=0), "\n"])
def test_a_restart_or_an_unload_ends_the_stall(after: str) -> None:
    """A hung server that was killed and started again holds nothing: what waited is gone with it."""
    pod = Pod()
    pod.scrapes(steady(0, 60, success=1))
    pod.scrape(65.0, model(61, failure=0, pending=4))
    window = pod.scrapes({float(at): after for at in range(70, 131, 5)})
    assert [row for row in window.rows.values() if row.stalled_seconds or not row.flat] == []


def test_a_row_that_was_stalled_when_first_seen_has_no_increases_to_keep() -> None:
    """Its past is unknown and nothing moved since: no seconds, so that nobody can take a rate of zero from it."""
    window = Pod().scrapes({float(at): model(60, pending=4) for at in range(0, 61, 5)})
    assert window.rows[M] == RowWindow(0.0, {SUCCESS: 0.0}, {PENDING: 4.0}, {PENDING: 4.0}, 60.0)


# For any history: the increase is what happened between the bounding scrapes, less what a restart hid.

_STEPS = st.lists(
    st.tuples(
        st.integers(1, 20),  # seconds until the next scrape
        st.integers(0, 9),  # completions before a restart in that time, or all of them
        st.none() | st.integers(0, 9),  # completions after a restart in that time; None: no restart
        st.booleans(),  # the scrape succeeds
    ),
    min_size=1,
    max_size=40,
)


@given(_STEPS, st.booleans())
def test_an_increase_is_what_happened_between_its_bounds_less_what_a_restart_hid(
    steps: list[tuple[int, int, int | None, bool]], born_in_sight: bool
) -> None:
    pod = Pod(born_at=0.0 if born_in_sight else None)
    at, counter, happened = 0.0, 0 if born_in_sight else 17, 0
    certain = 0  # what no restart can have hidden
    seen: list[tuple[float, int, int]] = [(0.0, 0, 0)] if born_in_sight else []
    last_counter = 0
    for seconds, before, after, succeeds in steps:
        at += seconds
        happened += before + (after or 0)
        counter = counter + before if after is None else after
        if not succeeds:
            continue
        certain += max(counter - last_counter, 0) if counter >= last_counter else counter
        last_counter = counter
        window = pod.scrape(at, model(counter, compute=counter * 1000, pending=0))
        if seen and at - seen[-1][0] > 2 * WINDOW:
            seen = []
        row = window.rows[M]
        seen.append((at, happened, certain))
        spans = [(happened - h, certain - c) for _, h, c in seen]
        assert row.increase[SUCCESS] >= 0
        assert row.increase[SUCCESS] * 1000 == row.increase[COMPUTE]
        assert any(row.increase[SUCCESS] <= truth for truth, _ in spans)
        assert any(row.increase[SUCCESS] == sure <= truth for truth, sure in spans)
        if window.full and row.seconds:
            assert row.seconds >= WINDOW - 2.5
