"""Which model, since when, and what moved: on evidence of which the truth is known."""

from random import Random

import pytest

from tests.triage.latency.evidence import (
    at_step,
    evidence,
    gateway,
    incident,
    lifetime,
    measured,
    nothing_of,
    platform,
    served,
    settings,
    steady,
    stepped,
    triton,
)
from triage.evidence import Evidence
from triage.latency.facts import Lifetime, Series
from triage.latency.history import Who
from triage.latency.incident import Movement


def test_the_model_that_was_asked_for_is_in_question() -> None:
    assert incident(served("slow", infer=stepped(8, 80)), served("n"), model="n").model == "n"


def test_else_the_model_whose_requests_take_more_time_than_before() -> None:
    told = incident(served("a", rate=100), served("slow", infer=stepped(8, 80)), served("z", rate=900))
    assert told.model == "slow"


def test_a_few_requests_that_got_far_slower_matter_less_than_many_that_got_slower() -> None:
    told = incident(
        served("few", rate=0.1, infer=stepped(8, 400)), served("many", rate=100, infer=stepped(8, 80))
    )
    assert told.model == "many"


def test_an_ensemble_comes_before_the_model_that_makes_it_slow() -> None:
    told = incident(
        served("part", infer=stepped(8, 80)),
        served("whole", queue=0.0, infer=8.0, rest=stepped(1, 60)),
        settings("whole", parts=("part",)),
    )
    assert told.model == "whole"
    by_counters_alone = incident(
        served("part", infer=stepped(8, 80)), served("whole", queue=0.0, infer=8.0, rest=stepped(1, 60))
    )
    assert by_counters_alone.model == "whole"


def test_an_ensemble_that_does_not_call_the_worst_model_does_not_come_before_it() -> None:
    told = incident(
        served("alone", infer=stepped(8, 80)),
        served("whole", queue=0.0, infer=8.0, rest=stepped(1, 60)),
        settings("whole", parts=("part",)),
    )
    assert told.model == "alone"


def test_an_ensemble_of_ensembles_comes_first_and_one_that_is_said_to_call_itself_ends() -> None:
    told = incident(
        served("part", infer=stepped(8, 80)),
        served("whole", queue=0.0, infer=8.0, rest=stepped(1, 60)),
        settings("whole", parts=("inner",)),
        settings("inner", parts=("whole", "inner", "part")),
    )
    assert told.model == "whole"


def test_a_model_that_answers_nothing_any_more_is_the_worst() -> None:
    pile: list[float | None] = [*steady(0, 80), *(float(n * 20) for n in range(40))]
    told = incident(
        served("hung", rate=[*steady(20, 80), *steady(0, 40)]),
        triton("pending", pile, pod="a", model="hung"),
        served("fine"),
        triton("pending", steady(0, 120), pod="a", model="fine"),
    )
    assert told.model == "hung"


def test_where_nothing_moved_the_busiest_model_is_in_question() -> None:
    assert incident(served("z", rate=1), served("busy", rate=50), served("a", rate=2)).model == "busy"


def test_without_any_model_nothing_is_in_question() -> None:
    told = incident(gateway("gateway_p99", stepped(20, 200)))
    assert (told.model, told.models, told.symptom) == ("", [], "gateway_tail")


def test_it_began_between_the_last_usual_point_and_the_first_slow_one() -> None:
    found = incident(served(infer=stepped(8, 80))).onset
    assert found is not None
    assert found.onset.earliest <= at_step(80) <= found.onset.latest
    assert found.onset.latest - found.onset.earliest <= 120


def close(infer: list[float | None]) -> list[Evidence]:
    """Scrape by scrape, at 20 requests a second."""
    times = [None if v is None else 20 * v for v in infer]
    told = {"success": steady(20, len(infer)), "request_time": times}
    return [measured(f"close/{name}", v, {"model": "m"}, step=15.0, smear=30.0) for name, v in told.items()]


def dated(*parts: Evidence) -> tuple[float, float, float]:
    """Seconds from the fortieth minute on: earliest, at and latest."""
    found = incident(served(infer=stepped(8, 80), smear=60.0), *parts, model="m").onset
    assert found is not None
    moment = found.onset
    return moment.earliest - at_step(80), moment.at - at_step(80), moment.latest - at_step(80)


def test_it_is_dated_scrape_by_scrape_where_that_is_known() -> None:
    earliest, _, latest = dated()
    sharper = dated(*close([*steady(10, 158), *steady(82, 82)]))  # half a minute before the fortieth
    assert latest - earliest > 1.5 * (sharper[2] - sharper[0])
    assert earliest <= sharper[0] <= -30 <= sharper[2] <= latest


def test_scrapes_that_show_another_shift_or_none_do_not_date_it() -> None:
    assert dated(*close([*steady(10, 100), *steady(82, 140)])) == dated()
    assert dated(*close(steady(10, 240))) == dated()
    assert dated(*close(steady(None, 240))) == dated()


def test_the_first_symptom_that_shows_an_onset_dates_it() -> None:
    """Time in Triton did not move; the gateway's tail did, and so did failures, which come later in the order."""
    told = incident(
        served(),
        triton("failure", stepped(0.1, 5), pod="a", model="m"),
        gateway("gateway_p99", stepped(20, 200)),
    )
    assert told.symptom == "gateway_tail"
    assert incident(served(), triton("failure", stepped(0.1, 5), pod="a", model="m")).symptom == (
        "failure_share"
    )


def test_what_fell_is_no_symptom() -> None:
    told = incident(served(infer=stepped(80, 8)))
    assert (told.onset, told.symptom) == (None, "")
    assert "time in Triton per request: it did not rise by as much as is felt" in told.no_onset


def test_without_a_source_the_reason_for_no_onset_is_told() -> None:
    told = incident(nothing_of("triton/success"), nothing_of("triton/request_time", "forbidden"))
    assert told.no_onset.startswith("source of triton/request_time: forbidden; ")


def test_what_the_window_of_a_rate_smears_is_neither_before_nor_during() -> None:
    """Each value covers two minutes, so the four steps behind the change hold some of both."""
    ramp: list[float | None] = [*steady(8, 80), 26, 44, 62, *steady(80, 37)]
    told = incident(served(infer=ramp, smear=120.0))
    infer = told.read("infer")
    assert set(told.values(infer, "before")) == {8}
    assert set(told.values(infer, "during")) == {80}
    assert set(told.values(infer, "ever")) == {8, 26, 44, 62, 80}


def test_an_incident_that_is_over_is_compared_while_it_lasted() -> None:
    told = incident(served(infer=[*steady(8, 60), *steady(80, 30), *steady(8, 30)]))
    assert told.onset is not None
    assert told.onset.ended is not None
    moved = told.movement("infer")
    assert (moved.before, moved.during) == (8, 80)


def test_the_parts_of_the_increase_make_up_the_whole() -> None:
    random = Random(7)
    queue = [v * random.lognormvariate(0, 0.1) for v in (*[2.0] * 80, *[40.0] * 40)]
    infer = [v * random.lognormvariate(0, 0.1) for v in (*[8.0] * 80, *[30.0] * 40)]
    told = incident(served(queue=queue, infer=infer, rest=stepped(1, 5)))
    shares = {name: told.part(name)[0] for name in ("queue", "input", "infer", "output", "residual")}
    known = [share for share in shares.values() if share is not None]
    assert len(known) == 5
    assert sum(known) == pytest.approx(1, abs=0.05)
    assert shares["queue"] == pytest.approx(38 / 64, abs=0.05)
    assert shares["residual"] == pytest.approx(4 / 64, abs=0.03)


def test_a_part_of_no_increase_is_not_known() -> None:
    assert incident(served()).part("queue")[0] is None
    told = incident(served(infer=stepped(8, 80)), nothing_of("triton/queue_time"))
    assert told.part("queue")[0] is None


def test_too_few_points_are_unknown_and_never_no() -> None:
    """Throttling was measured at two points since it began: that it did not move is not known, nor that it did."""
    sparse = [*steady(0.01, 80), *steady(None, 38), 0.9, 0.9]
    told = incident(served(infer=stepped(8, 80)), platform("cpu_throttled", sparse, pod="a"))
    moved = told.movement("throttled")
    assert (moved.before, moved.during, moved.known) == (None, 0.9, False)
    assert {moved.up(1.3, 0), moved.down(1.3, 0), moved.flat(1.3, 0)} == {"unknown"}
    assert moved.missing == "too few points of the share of CPU periods in which the container was throttled"
    whole = incident(
        served(infer=stepped(8, 80)), platform("cpu_throttled", stepped(0.01, 0.9), pod="a")
    ).movement("throttled")
    assert (whole.up(1.3, 0), whole.down(1.3, 0), whole.flat(1.3, 0)) == ("yes", "no", "no")


@pytest.mark.parametrize(
    ("before", "during", "up", "down"),
    [
        (10, 13, "yes", "no"),
        (10, 12.9, "no", "no"),
        (13, 10, "no", "yes"),
        (0, 0, "no", "no"),
        (0, 5, "yes", "no"),
        (5, 0, "no", "yes"),
        (None, 5, "unknown", "unknown"),
        (5, None, "unknown", "unknown"),
    ],
)
def test_a_quantity_moved_by_the_ratio_or_not_or_nobody_knows(
    before: float | None, during: float | None, up: str, down: str
) -> None:
    row = incident().quantities["latency"]
    moved = Movement(row, before, during, ())
    assert (moved.up(1.3, 0.5), moved.down(1.3, 0.5)) == (up, down)
    assert moved.flat(1.3, 0.5) == ("unknown" if up == "unknown" else "no" if "yes" in (up, down) else "yes")


def captured(*, infer: float = 80.0) -> list[Evidence]:
    times = {"success": 20.0, "request_time": 20 * (infer + 2), "queue_time": 20.0, "infer_time": 20 * infer}
    return [
        measured(f"capture/{name}", steady(value, 20), {"pod": "a", "model": "m"}, step=1.0)
        for name, value in times.items()
    ]


def test_no_is_said_only_of_what_the_points_exclude() -> None:
    """Both medians are a quarter above, and a rise by 1.3 is asked for: even points exclude it, points that scatter do not."""
    even = platform("cpu_used", stepped(1.0, 1.25), pod="a")
    wide = platform("cpu_used", [1.0] * 80 + [0.5 + 1.5 * k / 39 for k in range(40)], pod="a")
    slow = served(infer=stepped(8, 80))
    told = [incident(slow, one).movement("cpu_used", "all") for one in (even, wide)]
    assert [one.up(1.3, 0.0) for one in told] == ["no", "unknown"]
    assert [one.flat(1.3, 0.0) for one in told] == ["yes", "unknown"]


def test_with_a_capture_alone_the_servers_life_is_the_baseline() -> None:
    told = incident(
        *captured(), lifetime(success=1000, request_time=10_000, queue_time=1000, infer_time=8000)
    )
    assert told.onset is None
    moved = told.movement("infer")
    assert (moved.before, moved.during, moved.up(1.3, 0.5)) == (8, 80, "yes")
    assert "lifetime:a" in moved.evidence
    throughput = told.movement("throughput")  # a rate has no baseline in a total
    assert (throughput.before, throughput.during) == (None, 20)


def test_what_a_server_did_not_count_in_its_life_is_no_baseline_of_zero() -> None:
    told = incident(*captured(), lifetime(success=1000, request_time=10_000))
    moved = told.movement("infer")
    assert (moved.before, moved.up(1.3, 0.5)) == (None, "unknown")
    assert moved.missing != ""


def test_a_pod_is_compared_with_its_own_life_and_not_with_that_of_all() -> None:
    def life(pod: str, infer: float) -> Evidence:
        labels = {"pod": pod, "model": "m"}
        totals = {"success": (Series(labels, (100.0,)),), "infer_time": (Series(labels, (100 * infer,)),)}
        return evidence(f"lifetime:{pod}", "lifetime", Lifetime(totals))

    told = incident(
        *(
            measured(f"capture/{name}:{pod}", steady(value, 20), {"pod": pod, "model": "m"}, step=1.0)
            for name, value in {"success": 20.0, "infer_time": 200.0}.items()
            for pod in "ab"
        ),
        *(life("a", 5), life("b", 15)),
    )
    assert told.movement("infer").before == 10
    assert told.movement("infer", by="pod", group="b").before == 15


def test_a_capture_without_a_life_before_it_has_no_baseline() -> None:
    told = incident(*captured())
    assert told.movement("infer").up(1.3, 0.5) == "unknown"


def test_pods_are_those_that_answered_for_most_of_the_time() -> None:
    gone: list[float | None] = [*steady(20, 80), *steady(None, 40)]
    told = incident(served(pod="a", infer=stepped(8, 80)), served(pod="b", rate=gone))
    assert (told.pods("before"), told.pods("during")) == (["a", "b"], ["a"])


def test_an_earlier_day_is_seen_at_the_times_of_day_of_this_incident() -> None:
    day = 86_400.0
    told = incident(
        served(infer=stepped(8, 80)),
        measured("past/success/1d", steady(20, 120), {"model": "m"}, start=at_step(0) - day),
        measured("past/request_time/1d", stepped(200, 2000), {"model": "m"}, start=at_step(0) - day),
    )
    past = told.history.read("latency", Who("m", "model"), "1d").trace
    assert past is not None
    assert set(told.then(past, "1d")) == {100}


@pytest.mark.parametrize("probes", [("hpa",), ("hpa", "rollouts")])
def test_why_a_probe_brought_nothing_is_told(probes: tuple[str, ...]) -> None:
    assert incident().missing(*probes) == "hpa: nothing was given to ask"
    assert incident(nothing_of("hpa", "forbidden")).missing(*probes) == "source of hpa: forbidden"
    assert incident(settings()).missing("settings") == ""
