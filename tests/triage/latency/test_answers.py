"""Each kind of test: what makes it yes, what makes it no, and what nobody can know."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    gateway,
    happened,
    incident,
    nothing_of,
    placed,
    platform,
    recorded,
    rollouts,
    served,
    settings,
    steady,
    stepped,
    triton,
)
from triage.answers import Answer
from triage.cluster_views import PodPlacement, Revision
from triage.latency.answers import answer
from triage.latency.kinds import (
    Answered,
    By,
    Change,
    ChangeKind,
    LatencyTests,
    Level,
    Setting,
    Shift,
    Skew,
    Split,
)
from triage.latency.kinds import Part as PartTest

SLOW = served(infer=stepped(8, 80))
BEGAN = at_step(80)


def asked(test: LatencyTests, *parts: Part, model: str = "m") -> Answer:
    return answer(test, incident(*parts, model=model))


def test_a_source_answered_or_says_why_it_did_not() -> None:
    test = Answered(kind="answered", probes=("triton", "capture"))
    assert asked(test, SLOW).value == "yes"
    gone = asked(test, nothing_of("triton/success", "forbidden"))
    assert (gone.value, gone.because, gone.evidence) == (
        "no",
        "source of triton/success: forbidden",
        ("triton/success",),
    )
    assert asked(test).because == "triton: nothing was given to ask"


@pytest.mark.parametrize(
    ("throttled", "up", "down", "flat"),
    [
        (stepped(0.1, 0.3), "yes", "no", "no"),
        (stepped(0.3, 0.1), "no", "yes", "no"),
        (stepped(0.2, 0.21), "no", "no", "yes"),
        ([*steady(0.1, 80), *steady(None, 40)], "unknown", "unknown", "unknown"),
        ([*steady(None, 80), *steady(0.1, 40)], "unknown", "unknown", "unknown"),
        (None, "unknown", "unknown", "unknown"),
    ],
    ids=["rose", "fell", "stayed", "ended", "began", "not asked"],
)
def test_a_quantity_shifted_or_did_not_or_was_not_seen_on_both_sides(
    throttled: list[float | None] | None, up: str, down: str, flat: str
) -> None:
    seen = [platform("cpu_throttled", throttled, pod="a")] if throttled else []
    found = {
        to: asked(Shift(kind="shift", quantity="throttled", to=to), SLOW, seen)
        for to in ("up", "down", "flat")
    }
    assert {to: one.value for to, one in found.items()} == {"up": up, "down": down, "flat": flat}
    assert all(one.because for one in found.values())


def test_a_shift_says_from_what_to_what_and_by_which_evidence() -> None:
    found = asked(Shift(kind="shift", quantity="infer", to="up"), SLOW)
    assert (found.because, found.evidence) == (
        "time in the model per request: 8 ms before, 80 ms during",
        ("triton/infer_time", "triton/success"),
    )
    found = asked(Shift(kind="shift", quantity="infer", to="up", of="others"), SLOW, served("n"))
    assert (found.value, found.because) == (
        "no",
        "time in the model per request of the other models: 8 ms before, 8 ms during",
    )


def test_a_difference_below_the_least_one_is_none() -> None:
    tiny = [*SLOW, platform("cpu_throttled", stepped(0.001, 0.01), pod="a")]
    assert asked(Shift(kind="shift", quantity="throttled", to="up"), tiny).value == "yes"
    assert asked(Shift(kind="shift", quantity="throttled", to="up", least=0.02), tiny).value == "no"


@pytest.mark.parametrize(
    ("bound", "value", "said"),
    [
        ({"over": 0.5}, "yes", "median 90 %, over 50 %"),
        ({"over": 0.95}, "no", "median 90 %, not over 95 %"),
        ({"over": 0.9}, "no", "median 90 %, not over 90 %"),
        ({"under": 0.95}, "yes", "median 90 %, under 95 %"),
        ({"under": 0.5}, "no", "median 90 %, not under 50 %"),
        ({"under": 0.5, "when": "before"}, "yes", "median 10 %, under 50 %"),
        ({"over": 0.5, "stat": "min", "when": "ever"}, "no", "min 10 %, not over 50 %"),
        ({"over": 0.5, "stat": "max", "when": "ever"}, "yes", "max 90 %, over 50 %"),
    ],
)
def test_a_level_is_over_or_under_a_value(bound: dict[str, float], value: str, said: str) -> None:
    test = Level.model_validate({"kind": "level", "quantity": "kv_cache", **bound})
    found = asked(test, SLOW, platform("kv_cache_used", stepped(0.1, 0.9), pod="a", model="m"))
    assert (found.value, found.because) == (value, f"share of the KV cache in use: {said}")


def test_a_level_that_nobody_measured_is_unknown() -> None:
    test = Level(kind="level", quantity="kv_cache", over=0.5)
    assert asked(test, SLOW).because == "no source tells the share of the key-value cache in use"
    ended = platform("kv_cache_used", [*steady(0.9, 80), *steady(None, 40)], pod="a", model="m")
    found = asked(test, SLOW, ended)
    assert (found.value, found.because) == (
        "unknown",
        "the share of the KV cache in use was not measured during",
    )


def test_a_part_is_most_of_the_increase_or_not() -> None:
    both = served(queue=stepped(1, 10), infer=stepped(8, 80))
    assert [
        asked(PartTest(kind="part", quantity=q, over=0.3), both).value for q in ("infer", "queue", "residual")
    ] == ["yes", "no", "no"]
    assert asked(PartTest(kind="part", quantity="queue", over=0.3), both).because == (
        "time in the queue per request is 11% of the increase: 1 ms before, 10 ms during"
    )


def test_a_part_is_unknown_where_it_was_not_measured_and_no_where_nothing_increased() -> None:
    test = PartTest(kind="part", quantity="queue", over=0.3)
    assert asked(test, SLOW, nothing_of("triton/queue_time")).value == "unknown"
    calm = [*served(), gateway("gateway_p99", stepped(20, 200))]
    found = asked(test, calm)
    assert (found.value, found.because) == (
        "no",
        "time in Triton per request did not rise: 10 ms before, 10 ms during",
    )


def split(moved: str, by: By = "pod") -> Split:
    return Split.model_validate({"kind": "split", "quantity": "infer", "by": by, "moved": moved})


@pytest.mark.parametrize(
    ("parts", "some", "every"),
    [
        ([served(infer=stepped(8, 80)), served(pod="b")], "yes", "no"),
        ([served(infer=stepped(8, 80)), served(pod="b", infer=stepped(8, 80))], "no", "yes"),
        ([served(queue=stepped(1, 80)), served(pod="b")], "no", "no"),
        ([served(infer=stepped(8, 80))], "unknown", "unknown"),
        (
            [served(infer=stepped(8, 80)), served(pod="b", rate=[*steady(20, 80), *steady(None, 40)])],
            "unknown",
            "unknown",
        ),
    ],
    ids=["one of two", "both", "none", "only one pod", "the other has no points"],
)
def test_some_pods_moved_or_all_or_none(parts: list[Part], some: str, every: str) -> None:
    assert (asked(split("some"), parts).value, asked(split("all"), parts).value) == (some, every)


def test_a_pod_that_was_not_there_before_is_compared_with_what_the_others_did() -> None:
    young = [*steady(None, 80), *steady(20, 40)]
    slow = [served(infer=8.0, queue=stepped(1, 20)), served(pod="b", rate=young, infer=steady(80, 120))]
    found = asked(split("some"), slow)
    assert (found.value, found.because) == (
        "yes",
        "time in the model per request moved in b, and not in a",
    )
    fast = [served(infer=8.0, queue=stepped(1, 20)), served(pod="b", rate=young)]
    assert asked(split("some"), fast).value == "no"


def test_a_pod_of_one_or_two_points_moved_neither_way() -> None:
    seen_once = [*steady(None, 118), *steady(20, 2)]
    parts = [served(infer=8.0, queue=stepped(1, 20)), served(pod="b", rate=seen_once, infer=steady(80, 120))]
    assert asked(split("some"), parts).value == "unknown"


def test_what_cannot_be_told_apart_is_no_split() -> None:
    found = asked(split("some", by="node"), SLOW)
    assert (found.value, found.because) == (
        "unknown",
        "time in the model per request: no source tells one node from another",
    )


def skewed(*rates: float | list[float | None]) -> Answer:
    pods = [
        served(pod=pod, rate=rate, infer=stepped(8, 80)) for pod, rate in zip("abcd", rates, strict=False)
    ]
    return asked(Skew(kind="skew", quantity="throughput", by="pod", over=2), pods)


def test_some_pods_get_far_more_than_the_median_one() -> None:
    assert [skewed(20.0, 20.0, 100.0).value, skewed(20.0, 25.0, 30.0).value] == ["yes", "no"]
    assert skewed(20.0, 20.0, 100.0).because == (
        "requests that ended well: 100 requests/s in c, 20 requests/s in the median pod"
    )


def test_of_one_pod_or_one_that_just_came_nothing_is_skewed() -> None:
    just_came = [*steady(None, 117), *steady(0.5, 3)]
    assert [skewed(20.0).value, skewed(20.0, just_came).value] == ["unknown", "unknown"]


def change(*what: ChangeKind, within: float = 600) -> Change:
    return Change.model_validate({"kind": "change", "what": what, "within": f"{within:g}s"})


@pytest.mark.parametrize(
    ("at", "value"),
    [(BEGAN - 300, "yes"), (BEGAN, "yes"), (BEGAN - 900, "no"), (BEGAN + 300, "no")],
    ids=["before it", "as it began", "long before", "after"],
)
def test_a_rollout_counts_where_it_came_shortly_before_the_onset(at: float, value: str) -> None:
    found = asked(change("rollout"), SLOW, rollouts(Revision(1, "a", 0.0), Revision(2, "b", at)))
    assert found.value == value
    assert found.because == (
        "deployment/llm revision 2"
        if value == "yes"
        else "no rollout was seen between 10 min before it and its begin"
    )


def test_no_change_is_said_only_where_somebody_could_have_told_of_one() -> None:
    """Triton's metrics show pods and versions that begin; no rollout, no end of a container, no readiness."""
    kinds: tuple[ChangeKind, ...] = ("rollout", "restart", "readiness", "repository", "unload")
    assert {kind: asked(change(kind), SLOW).value for kind in kinds} == dict.fromkeys(kinds, "unknown")
    assert asked(change("scale"), SLOW).value == "no"
    assert asked(change("restart"), SLOW, placed(PodPlacement("a", ready=True))).value == "no"
    assert asked(change("rollout"), SLOW, nothing_of("rollouts", "forbidden")).because == (
        "source of rollouts: forbidden"
    )


def test_a_return_that_nothing_dates_may_have_come_before_it() -> None:
    back = rollouts(Revision(2, "b", 50.0), Revision(3, "a", 10.0, earlier_numbers=(1,)))
    found = asked(change("rollout"), SLOW, back)
    assert (found.value, found.because) == (
        "unknown",
        "deployment/llm was returned to revision 3, and nothing tells when",
    )


def test_a_change_of_the_model_in_question_comes_before_a_later_one_of_another() -> None:
    ours, theirs = recorded("m", BEGAN - 300, BEGAN - 280), recorded("n", BEGAN - 60, BEGAN - 30)
    loaded = triton("success", [*steady(None, 79), *steady(1, 41)], pod="a", model="n", version="2")
    test = change("repository", "load")
    assert asked(test, SLOW, ours, loaded).because == "m: config changed"
    assert asked(test, SLOW, theirs).because == "n: config changed"


def test_the_last_of_several_changes_is_told() -> None:
    test = change("rollout", "scale")
    early = happened("SuccessfulRescale", BEGAN - 500, message="New size: 2")
    late = rollouts(Revision(1, "a", 0.0), Revision(2, "b", BEGAN - 100))
    assert asked(test, SLOW, early, late).because == "deployment/llm revision 2"


def test_without_an_onset_no_change_came_before_it() -> None:
    found = asked(change("rollout"), served(), rollouts(Revision(1, "a", 0.0), Revision(2, "b", BEGAN)))
    assert (found.value, found.because) == (
        "unknown",
        "when it began is not known, so no rollout can be said to come before it",
    )


def test_a_setting_is_there_or_not_or_was_not_read() -> None:
    test = Setting(kind="setting", field="max_queue_delay_ms")
    found = asked(test, SLOW, settings(max_queue_delay_ms=2.5))
    assert (found.value, found.because, found.evidence) == (
        "yes",
        "m is configured with max queue delay ms 2.5",
        ("settings:m",),
    )
    assert asked(test, SLOW, settings()).value == "no"
    assert asked(test, SLOW).because == "settings: nothing was given to ask"
    assert asked(test, SLOW, settings("n")).because == "the configuration of m was not read"


def test_a_setting_shows_names_and_flags_as_they_are() -> None:
    told = settings(parts=("a", "b"), preserve_ordering=True)
    assert [
        asked(Setting.model_validate({"kind": "setting", "field": field}), SLOW, told).because
        for field in ("parts", "preserve_ordering")
    ] == ["m is configured with parts a, b", "m is configured with preserve ordering"]
