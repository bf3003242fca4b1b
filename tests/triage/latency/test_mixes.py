"""Another model that takes the hardware, and requests that became larger: what shows it, and what only looks alike."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    evidence,
    gateway,
    incident,
    platform,
    rules,
    served,
    settings,
    snapshot,
    steady,
    stepped,
    triton,
)
from triage.latency.facts import ModelStatistics, Statistics
from triage.latency.figures import figures
from triage.latency.predicates import PREDICATES
from triage.latency.predicates.mixes import another_model_grew, hardware_full
from triage.latency.predicates.sizes import requests_are_larger, sizes_explain_it, sizes_seen
from triage.report import Report
from triage.report_of import report_of

SLOWED: list[Part] = [
    served("m", infer=stepped(10, 20)),
    settings("m", instances=2, instance_kinds=("KIND_CPU",)),
]
"""Twice as slow, with as many requests as before: 0.2 executions at once, then 0.4."""
FULL = triton("node_cpu_busy", stepped(0.4, 0.97), pod="a")


def other(
    before: float | None, during: float, infer: tuple[float, float] = (50, 100), pod: str = "a"
) -> Part:
    """Another model's requests a second, and its own time."""
    return served("other", rate=[*steady(before, 80), *steady(during, 40)], infer=stepped(*infer), pod=pod)


@pytest.mark.parametrize(
    ("parts", "model"),
    [
        ([other(2, 20)], "other"),
        ([other(2, 20), served("third", rate=stepped(1, 5), infer=stepped(50, 100))], "other"),
        ([other(None, 20)], "other"),
        (
            [other(20, 20)],
            None,
        ),  # it is a victim as well: its time of computing doubled, its requests did not
        ([other(0.1, 0.3)], None),  # it grew, and wants nearly nothing
        ([other(2, 20, pod="z")], None),  # it is served by other pods
        ([settings("m", parts=("other",)), other(2, 20)], None),  # it is a part of this one
        ([settings("other", parts=("m",)), other(2, 20)], None),  # it calls this one
        ([], None),
    ],
    ids=["grew", "grew most", "is new", "victim", "small", "other pods", "part", "caller", "alone"],
)
def test_the_other_model_is_one_that_is_asked_for_more_on_the_same_servers(
    parts: list[Part], model: str | None
) -> None:
    slowed = [
        one
        for one in SLOWED
        if not any(part == settings("m", parts=("other",)) for part in parts) or one is SLOWED[0]
    ]
    told = incident(*slowed, *parts, model="m")
    assert figures(told).get("other_model") == model
    assert another_model_grew(told).value == ("yes" if model else "no")


def test_larger_requests_of_the_other_model_count_as_more() -> None:
    inferences = [
        triton("inferences", stepped(4, 32), pod="a", model="other"),
        triton("inferences", steady(20, 120), pod="a", model="m"),
    ]
    told = incident(*SLOWED, other(4, 4, infer=(20, 320)), *inferences, model="m")
    assert figures(told)["other_model_load"] == "from 4 inferences/s to 32 inferences/s"


def test_a_model_that_grew_less_than_this_one_is_not_the_cause() -> None:
    mine = served("m", rate=stepped(20, 80), infer=stepped(10, 20))
    told = incident(*mine, other(2, 4), model="m")
    assert another_model_grew(told).value == "no"


def test_requests_that_share_an_execution_share_its_time() -> None:
    """Thirty a second in batches of thirty want one execution a second."""
    batches = triton("executions", stepped(2, 1), pod="a", model="other")
    told = incident(*SLOWED, other(2, 30, infer=(10, 20)), batches, model="m")
    assert another_model_grew(told).value == "no"


CPU, GPU = settings("m", instance_kinds=("KIND_CPU",)), settings("m", instance_kinds=("KIND_GPU",))


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ([CPU, FULL], "yes"),
        ([CPU, triton("node_cpu_busy", stepped(0.4, 0.6), pod="a")], "no"),
        ([CPU, platform("node_cpu_used", stepped(0.4, 0.9), node="n")], "yes"),
        ([CPU, platform("cpu_used", stepped(1, 3.9), pod="a"), platform("cpu_limit", steady(4, 120), pod="a")], "yes"),
        ([CPU, platform("cpu_used", stepped(1, 2), pod="a"), platform("cpu_limit", steady(4, 120), pod="a")], "unknown"),
        ([CPU, platform("cpu_throttled", stepped(0, 0.3), pod="a")], "yes"),
        ([CPU], "unknown"),
        ([GPU, triton("gpu_busy", stepped(0.4, 0.99), pod="a", gpu="g")], "yes"),
        ([GPU, FULL], "unknown"),
        ([GPU, triton("gpu_busy", stepped(0.4, 0.5), pod="a", gpu="g"), FULL], "no"),
        ([FULL], "yes"),
        ([], "unknown"),
    ],
    ids=["host", "host has room", "node", "limit", "limit has room, host unknown", "quota", "nothing", "gpu", "gpu unknown",
         "gpu has room", "kind unknown", "nothing at all"],
)  # fmt: skip
def test_hardware_is_full_where_what_the_model_runs_on_is(parts: list[Part], value: str) -> None:
    assert hardware_full(incident(served("m", infer=stepped(10, 20)), *parts, model="m")).value == value


def reported(*parts: Part) -> Report:
    return report_of(snapshot(*parts, model="m", namespace="prod", target="deploy/web"), rules())


def test_the_report_says_which_model_and_from_how_much_to_how_much() -> None:
    report = reported(*SLOWED, other(2, 20), FULL)
    assert (report.verdict.category, report.verdict.confidence) == ("model_mix", "confirmed")
    assert report.actions[0].do.startswith(
        "Cap other at the gateway: it went from 2 requests/s to 20 requests/s."
    )


def test_another_model_is_not_blamed_where_the_hardware_has_room_or_is_not_seen() -> None:
    room = reported(*SLOWED, other(2, 20), triton("node_cpu_busy", stepped(0.2, 0.4), pod="a"))
    assert "model_mix" not in {room.verdict.category, *(one.category for one in room.alternatives)}
    unseen = reported(*SLOWED, other(2, 20))
    assert (unseen.verdict.category, unseen.verdict.confidence) != ("model_mix", "confirmed")


def test_a_gpu_that_this_models_own_servers_fill_is_not_shared_with_strangers() -> None:
    gpu = [triton("gpu_busy", stepped(0.3, 0.99), pod="a", gpu="g")]
    clock = platform("gpu_clock", steady(1400, 120), pod="a", gpu="g")
    parts: list[Part] = [served("m", infer=stepped(10, 20), version="1"), GPU, gpu, clock]
    assert reported(*parts, other(2, 20)).verdict.category == "model_mix"
    executions = triton("executions", steady(20, 120), pod="a", model="m")
    alone = reported(*parts, executions)
    assert alone.verdict.category == "gpu_shared"


def sized(before: float, during: float, infer: tuple[float, float]) -> list[Part]:
    return [
        served("m", infer=stepped(*infer)),
        triton("inferences", stepped(20 * before, 20 * during), pod="a", model="m"),
        triton("executions", steady(20, 120), pod="a", model="m"),
    ]


def bytes_of(before: float, during: float) -> list[Part]:
    return [
        gateway("gateway_request_bytes", stepped(20 * before, 20 * during)),
        gateway("gateway_requests", steady(20, 120), code="2xx"),
    ]


@pytest.mark.parametrize(
    ("parts", "larger", "explained"),
    [
        (sized(1, 4, (10, 38)), "yes", "yes"),
        (sized(1, 4, (10, 25)), "yes", "yes"),  # some of an execution's time does not depend on its size
        (sized(1, 1.5, (10, 40)), "yes", "no"),
        ([*sized(1, 1, (10, 40)), *bytes_of(2000, 8000)], "yes", "yes"),
        ([*sized(1, 1, (10, 40)), *bytes_of(2000, 2000)], "no", "no"),
        (sized(1, 1, (10, 40)), "unknown", "unknown"),
        ([served("m", infer=stepped(10, 40))], "unknown", "unknown"),
    ],
    ids=["more inferences", "a fixed part", "longer than larger", "more bytes", "as large", "one each, no gateway", "unseen"],
)  # fmt: skip
def test_requests_are_larger_by_inferences_or_else_by_bytes(
    parts: list[Part], larger: str, explained: str
) -> None:
    told = incident(*parts, model="m")
    assert (requests_are_larger(told).value, sizes_explain_it(told).value) == (larger, explained)


def test_larger_requests_are_the_verdict_with_their_numbers() -> None:
    report = reported(*sized(1, 4, (10, 38)))
    assert (report.verdict.category, report.verdict.confidence) == ("larger_requests", "confirmed")
    assert "requests went from 1 inferences to 4 inferences" in report.actions[0].do
    by_bytes = reported(*sized(1, 1, (10, 38)), *bytes_of(2000, 8000))
    assert (by_bytes.verdict.category, by_bytes.verdict.confidence) == ("larger_requests", "likely")
    assert "requests went from 1.95 KiB to 7.81 KiB" in by_bytes.actions[0].do


def test_heavy_requests_among_light_ones_are_told_by_the_gateways_median_where_summaries_are_off() -> None:
    """Half of the requests come back as soon as before, so the mean rose by the others."""
    seen = evidence("statistics:a", "statistics", Statistics(30.0, (), ()))
    heavy = [*sized(1, 1, (10, 38)), *bytes_of(2000, 8000), settings("m"), seen]
    tail = gateway("gateway_p99", stepped(20, 300))
    mixed = reported(*heavy, tail, gateway("gateway_p50", steady(12, 120)))
    assert mixed.verdict.category == "mixed_request_sizes"
    larger = reported(*heavy, tail, gateway("gateway_p50", stepped(12, 40)))
    assert larger.verdict.category == "larger_requests"


def test_some_pods_alone_are_no_heavy_requests() -> None:
    parts = [served("m", pod="a", infer=stepped(10, 80)), served("m", pod="b", infer=steady(10, 120))]
    told = incident(*parts, gateway("gateway_p50", steady(12, 120)), model="m")
    assert PREDICATES["infer_tail_alone"](told).value == "unknown"


def test_what_triton_hides_of_shapes_is_said() -> None:
    hidden = sizes_seen(incident(*sized(1, 1, (10, 40)), model="m"))
    assert hidden.value == "unknown"
    assert hidden.because.startswith(
        "Triton exports no shapes: scrape a gateway that counts the bytes of requests"
    )
    report = reported(*sized(1, 1, (10, 40)))
    assert "how large requests are" in {one.what for one in report.unseen}


def test_executions_by_the_statistics_api_are_told_too() -> None:
    was, now = ModelStatistics("m", "1", 10, 10, 0, 0.0), ModelStatistics("m", "1", 10, 40, 0, 0.0)
    statistics = evidence("statistics:a", "statistics", Statistics(30.0, (was,), (now,)))
    seen = sizes_seen(incident(*sized(1, 4, (10, 38)), statistics, model="m"))
    assert seen.because == (
        "inferences per request 1 inferences before, 4 inferences during; "
        "an execution had 1 inferences on average before the first look, and 4 inferences since"
    )
    assert seen.evidence == ("triton/inferences", "triton/success", "statistics:a")


def test_a_model_that_ends_other_numbers_of_requests_is_no_part_of_this_one() -> None:
    """The crowded model is slower as well, and is not called: asked about the one that grew, it is no bottleneck."""
    grown = reported_on("other", *SLOWED, other(2, 20))
    assert "pipeline_bottleneck" not in {
        grown.verdict.category,
        *(one.category for one in grown.alternatives),
    }
    called = reported_on("other", *SLOWED, other(10, 10), settings("other"))
    assert called.verdict.category == "pipeline_bottleneck"


def test_a_model_that_is_slower_as_well_is_no_verdict_where_nothing_tells_what_calls_what() -> None:
    """A GPU that is slowed makes all models on it slower together: so it looked with sources that came too late to tell."""
    untold = reported_on("other", *SLOWED, other(10, 10))
    assert untold.verdict.category == "cannot_tell"


def reported_on(model: str, *parts: Part) -> Report:
    return report_of(snapshot(*parts, model=model), rules())
