"""When a shift began: on single traces, over seeded trials, and where there was none."""

import math
from collections.abc import Sequence
from random import Random
from statistics import median
from time import process_time

import pytest

from tests.triage.latency.traces import NOISES, START, gaps, ramped, seen, stepped
from triage.latency.onset import Found, NoOnset, find_onset
from triage.latency.segments import Criteria
from triage.latency.trace import Trace
from triage.latency.transition import Moment


def minutes(*runs: tuple[int, float | None]) -> Trace:
    """Each run is of so many minutes at one value, with a ripple of four per cent on it."""
    values = [value for count, value in runs for value in [value] * count]
    ripple = (1.0, 1.02, 0.98, 1.01, 0.99)
    return Trace(
        START, 60.0, [None if value is None else value * ripple[n % 5] for n, value in enumerate(values)]
    )


def found(trace: Trace, smear: float = 0.0, criteria: Criteria | None = None) -> Found:
    answer = find_onset(trace, smear, 7, criteria)
    assert isinstance(answer, Found), answer
    return answer


def minute(time: float) -> float:
    return (time - START) / 60


def test_a_step_lies_between_the_last_point_before_and_the_first_after() -> None:
    answer = found(minutes((60, 10.0), (20, 40.0)))
    assert answer.onset == Moment(START + 59 * 60, START + 59.5 * 60, START + 60 * 60)
    assert (answer.ended, answer.gradual) == (None, False)
    assert [answer.before, answer.during, answer.ratio] == pytest.approx([10, 40, 4], rel=0.02)


def test_a_level_that_only_ripples_has_no_onset() -> None:
    assert find_onset(minutes((80, 10.0)), 0, 7) == NoOnset("no_shift")


@pytest.mark.parametrize(("after", "expected"), [(12.0, NoOnset), (13.5, Found)])
def test_a_shift_of_less_than_the_asked_ratio_is_none(after: float, expected: type) -> None:
    assert isinstance(find_onset(minutes((60, 10.0), (20, after)), 0, 7), expected)


@pytest.mark.parametrize(("points", "expected"), [(3, NoOnset), (4, Found)])
def test_three_high_points_are_a_burst_and_four_a_shift(points: int, expected: type) -> None:
    assert isinstance(find_onset(minutes((60, 10.0), (points, 40.0)), 0, 7), expected)


def test_eleven_points_are_too_few_to_tell() -> None:
    assert find_onset(minutes((8, 10.0), (3, 40.0)), 0, 7) == NoOnset("too_few_points")
    assert isinstance(find_onset(minutes((8, 10.0), (4, 40.0)), 0, 7), Found)


def test_nothing_found_among_many_gaps_is_not_known_to_be_nothing() -> None:
    assert find_onset(minutes((20, 10.0), (30, None), (30, 10.0)), 0, 7) == NoOnset("too_many_missing")


def test_an_onset_within_a_gap_may_be_anywhere_in_it() -> None:
    answer = found(minutes((40, 10.0), (10, None), (30, 40.0)))
    assert (minute(answer.onset.earliest), minute(answer.onset.latest)) == (39, 50)


def test_throughput_that_stops_has_an_onset_though_zero_has_no_logarithm() -> None:
    answer = found(minutes((60, 120.0), (10, 0.0)))
    assert minute(answer.onset.at) == 59.5
    assert (answer.during, answer.ratio) == (0.0, 0.0)


def test_failures_from_nothing_have_an_onset_and_no_ratio() -> None:
    answer = found(minutes((60, 0.0), (10, 3.0)))
    assert (minute(answer.onset.at), answer.before, answer.ratio) == (59.5, 0.0, None)


def test_a_spike_that_has_ended_has_both_times() -> None:
    answer = found(minutes((60, 10.0), (12, 40.0), (20, 10.0)))
    assert answer.ended
    assert (minute(answer.onset.at), minute(answer.ended.at)) == (59.5, 71.5)
    assert answer.during == pytest.approx(40)


def test_a_rise_that_has_come_down_by_a_third_has_not_ended() -> None:
    answer = found(minutes((60, 10.0), (20, 90.0), (20, 45.0)))
    assert (minute(answer.onset.at), answer.ended) == (59.5, None)


def test_the_newest_of_several_shifts_is_the_onset() -> None:
    assert minute(found(minutes((60, 10.0), (30, 20.0), (20, 80.0))).onset.at) == 89.5
    assert minute(found(minutes((60, 10.0), (12, 40.0), (50, 10.0), (8, 40.0))).onset.at) == 121.5


def test_what_comes_and_goes_all_the_time_is_no_onset() -> None:
    assert find_onset(minutes(*[(25, 10.0), (6, 40.0)] * 4), 0, 7) == NoOnset("no_shift")


def test_only_the_asked_direction_is_looked_for() -> None:
    fallen = minutes((60, 40.0), (20, 10.0))
    assert find_onset(fallen, 0, 7, Criteria(direction="rise")) == NoOnset("no_shift")
    assert minute(found(fallen, criteria=Criteria(direction="fall")).onset.at) == 59.5


def test_what_is_below_the_indifferent_value_does_not_shift() -> None:
    trace = minutes((60, 0.001), (20, 0.01))
    assert isinstance(find_onset(trace, 0, 7), Found)
    assert find_onset(trace, 0, 7, Criteria(indifferent=1.0)) == NoOnset("no_shift")


def test_a_shift_of_less_than_the_asked_difference_is_none() -> None:
    trace = minutes((60, 10.0), (20, 20.0))
    assert find_onset(trace, 0, 7, Criteria(difference=15.0)) == NoOnset("no_shift")
    assert isinstance(find_onset(trace, 0, 7, Criteria(difference=8.0)), Found)


@pytest.mark.parametrize("ratio", [1.5, 2.0, 4.0, 10.0, 0.25])
def test_the_window_of_a_rate_is_subtracted(ratio: float) -> None:
    """A five-minute rate crosses the middle of the logarithms at 1 / (1 + sqrt(ratio)) of its window after the step."""
    trace = seen(stepped(100 * 60, ratio), [0.0] * 165, smear=300)
    answer = found(trace, smear=300)
    assert minute(answer.onset.at) == pytest.approx(100, abs=0.6)
    assert minute(answer.onset.earliest) <= 100 <= minute(answer.onset.latest)
    assert not answer.gradual


def trials(
    noise: str, ratio: float, smear: float, count: int = 25
) -> Sequence[tuple[Found | NoOnset, float]]:
    """Found and true onsets; one point of ten is missing."""
    answers = []
    for seed in range(count):
        random = Random(f"{noise} {ratio} {seed}")
        at = random.uniform(60, 200) * 60
        trace = seen(
            stepped(at, ratio),
            NOISES[noise](random, 240 + round(smear / 60)),
            60,
            smear,
            gaps(random, 0.1),
        )
        answers.append((find_onset(trace, smear, seed), START + at))
    return answers


SAMPLE = (("lognormal", 0.0), ("autocorrelated", 120.0), ("bursts", 300.0))
"""The others take half a minute: `make accuracy` has them."""


@pytest.mark.parametrize(
    ("noise", "smear"),
    [
        pytest.param(noise, smear, marks=() if (noise, smear) in SAMPLE else pytest.mark.accuracy)
        for noise in ("lognormal", "autocorrelated", "bursts")
        for smear in (0.0, 120.0, 300.0)
    ],
)
def test_the_true_onset_lies_in_the_interval_and_the_estimate_within_a_step(noise: str, smear: float) -> None:
    """Ratios under four sigmas of the noise are left out: those are not found, by intent."""
    ratios = [2.0, 4.0, 10.0, 0.25] if noise == "lognormal" and not smear else [1.6, 2.0, 4.0, 10.0, 0.25]
    answers = [answer for ratio in ratios for answer in trials(noise, ratio, smear)]
    dated = [(answer.onset, true) for answer, true in answers if isinstance(answer, Found)]
    assert len(dated) >= 0.95 * len(answers)
    assert sum(onset.earliest <= true <= onset.latest for onset, true in dated) >= 0.9 * len(dated)
    assert median(abs(onset.at - true) for onset, true in dated) <= 60


@pytest.mark.parametrize(
    ("smear", "ratio", "length"), [(0.0, 4.0, 60), (0.0, 2.0, 30), (300.0, 4.0, 60), (300.0, 10.0, 90)]
)
def test_a_ramp_began_where_it_left_the_baseline(smear: float, ratio: float, length: float) -> None:
    """Minutes of lengths; the split of the levels, in the middle of the ramp, would be far too late."""
    found = []
    for seed in range(25):
        random = Random(seed)
        at = random.uniform(90, 140) * 60
        noise = [random.gauss(0, 0.1) for _ in range(240 + round(smear / 60))]
        answer = find_onset(
            seen(ramped(at, length * 60, ratio), noise, 60, smear, gaps(random, 0.05)), smear, seed
        )
        if isinstance(answer, Found):
            found.append((answer, START + at))
    assert len(found) >= 24
    assert sum(answer.gradual for answer, _ in found) >= 20
    assert sum(answer.onset.earliest <= true <= answer.onset.latest for answer, true in found) >= 0.8 * len(
        found
    )
    assert median(abs(answer.onset.at - true) for answer, true in found) <= 0.1 * length * 60


def test_a_step_is_not_gradual() -> None:
    answers = [answer for ratio in (2.0, 4.0) for answer, _ in trials("lognormal", ratio, 300)]
    assert sum(isinstance(answer, Found) and answer.gradual for answer in answers) <= 0.05 * len(answers)


@pytest.mark.parametrize("smear", [0.0, 300.0])
def test_at_most_two_of_a_hundred_quiet_traces_have_an_onset(smear: float) -> None:
    """Five hundred: stationary, autocorrelated, heavy-tailed, drifting over the day; dense, with gaps, and sparse."""
    onsets = []
    for seed in range(500 if smear == 0 else 250):
        random = Random(seed)
        noise = [*NOISES][seed % len(NOISES)]
        steps, missing = random.choice([60, 120, 240]), random.choice([0.0, 0.1, 0.6])
        values = NOISES[noise](random, steps + round(smear / 60))
        trace = seen(lambda _: 10.0, values, 60, smear, gaps(random, missing))
        if isinstance(find_onset(trace, smear, seed), Found):
            onsets.append((noise, seed))
    assert len(onsets) <= (10 if smear == 0 else 5), onsets


def test_rare_failures_at_random_have_no_onset() -> None:
    """Zero mostly, and here and there a failure: half a trace of zeros has a median absolute deviation of zero."""
    onsets = 0
    for seed in range(200):
        random = Random(seed)
        share = random.uniform(0.02, 0.6)
        trace = Trace(
            START, 60.0, [random.uniform(0.5, 2) if random.random() < share else 0.0 for _ in range(120)]
        )
        onsets += isinstance(find_onset(trace, 0, seed), Found)
    assert onsets <= 4


def test_the_same_trace_and_seed_give_the_same_answer() -> None:
    trace = seen(stepped(6000, 2.0), NOISES["bursts"](Random(1), 165), smear=300)
    assert find_onset(trace, 300, 5) == find_onset(trace, 300, 5)


def test_six_hours_of_minutes_take_milliseconds() -> None:
    trace = seen(stepped(250 * 60, 2.0), NOISES["bursts"](Random(1), 365), smear=300)
    began = process_time()
    find_onset(trace, 300, 5)
    assert process_time() - began < 0.5  # some 0.03; the room is for slow machines


def test_a_trace_bears_no_nan() -> None:
    with pytest.raises(ValueError, match="nan at its step 1"):
        Trace(START, 60.0, [1.0, math.nan])


def test_a_part_of_a_trace_has_the_steps_from_its_start_to_before_its_end() -> None:
    trace = Trace(0.0, 60.0, [1.0, None, 3.0, 4.0])
    assert trace.between(60, 180) == Trace(60.0, 60.0, (None, 3.0))
    assert trace.between(-500, 1) == Trace(0.0, 60.0, (1.0,))
    assert trace.between(500, 900).values == ()
    assert trace.coverage == 0.75


def test_a_high_quantile_of_a_window_moves_at_once_and_a_mean_takes_the_window() -> None:
    """Both step at minute 40 of an hour in the same way; the second is told to be a quantile."""
    trace = minutes((41, 10.0), (20, 80.0))
    mean = find_onset(trace, 240, 7)
    quantile = find_onset(trace, 240, 7, prompt=True)
    assert isinstance(mean, Found)
    assert isinstance(quantile, Found)
    assert quantile.onset.at - mean.onset.at > 40
    assert quantile.onset.earliest <= START + 40 * 60 <= quantile.onset.latest
