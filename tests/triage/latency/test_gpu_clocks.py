"""Which GPU became slower or full, why and since when; and what is said where that is not known."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    incident,
    nothing_of,
    platform,
    served,
    steady,
    stepped,
)
from tests.triage.latency.gpus import (
    FELL,
    OURS,
    clock,
    gpu,
    held_down,
    holds,
    reason,
    told,
)
from triage.latency.figures import figures
from triage.latency.predicates.computing import gpu_busier
from triage.latency.predicates.failing import a_gpu_is_full
from triage.latency.predicates.gpus import a_clock_fell, gpu_held_down


def test_the_gpu_whose_clock_fell_is_named_with_the_time_though_the_mean_of_all_hardly_moved() -> None:
    answer = a_clock_fell(told(*FELL, *(clock(n, 1980, 1980) for n in range(3, 12))))
    assert (answer.value, answer.because) == (
        "yes",
        "GPU 1 of node n1 (GPU-1): 1980 MHz before, 900 MHz during, since 11:46:40",
    )
    assert figures(told(*FELL))["slow_gpu"] == "GPU 1 of node n1 (GPU-1)"
    assert figures(told(*FELL))["gpu_node"] == "n1"


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([*OURS, clock(1, 1980, 1980), clock(2, 1980, 1980)], "no", "the GPU's clock: 1980 MHz before, 1980 MHz during"),
        ([*OURS, clock(1, 1980, 900, at=100), clock(2, 1980, 1980)], "no", "the clock fell only when it was slow already: "),
        ([*OURS, clock(1, 1980, 1980), clock(2, 1980, 900)], "no", "the GPU's clock: "),  # b on it is as fast as it was
        ([*OURS, clock(1, 1980, 1980), holds(3, "c"), clock(3, 1980, 900)], "no", "the GPU's clock: "),  # c serves another
        ([clock(1, 1980, 900), clock(2, 1980, 1980)], "unknown", "the GPU's clock: "),  # whose they are, nobody tells
        ([clock(1, 1980, 900), clock(2, 1980, 800)], "yes", "GPU 1 of node n1"),  # all of the nodes'
        ([*OURS, clock(2, 1980, 1980)], "unknown",
         "the GPU's clock: 1980 MHz before, 1980 MHz during; of what a runs on, no source tells it"),
        ([clock(2, 1980, 1980)], "unknown", "the GPU's clock: 1980 MHz before, 1980 MHz during; of what a runs on"),  # on n1
        ([], "unknown", "no source tells the clock of the GPU's SMs"),
        ([nothing_of("platform/gpu_clock")], "unknown", "source of platform/gpu_clock: timeout"),
    ],
    ids=["none", "too late", "others' pods", "another model's", "whose", "all", "not of the slow pod",
         "not of its node", "not asked", "no answer"],
)  # fmt: skip
def test_a_clock_that_fell_counts_before_the_onset_and_under_pods_of_ours_that_became_slow(
    parts: list[Part], value: str, because: str
) -> None:
    answer = a_clock_fell(told(*parts))
    assert answer.value == value
    assert answer.because.startswith(because)


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([held_down(1, 0, 0.9), reason(1, "hw_thermal_slowdown", 0, 0.9), reason(1, "gpu_idle", 0.3, 0.1)], "yes",
         "GPU 1 of node n1 (GPU-1): 0 % before, 90 % during of the time (reasons: hw_thermal_slowdown 90 %)"),
        ([held_down(1, 0, 0.9)], "yes", "GPU 1 of node n1 (GPU-1): 0 % before, 90 % during of the time"),
        ([held_down(1, 0, 0), reason(1, "applications_clocks_setting", 0, 1)], "no",
         "share of time in which the GPU was throttled: 0 % before, 0 % during (reasons: applications_clocks_setting 100 %)"),
        ([held_down(2, 0, 0.9)], "unknown", "too few points of the share of time in which"),
        ([], "unknown", "no source tells the share of time in which power or heat held the GPU's clock down"),
    ],
    ids=["reasons", "no reasons", "a setting", "another GPU", "not asked"],
)  # fmt: skip
def test_what_held_the_clock_down_is_told_by_its_reason(parts: list[Part], value: str, because: str) -> None:
    answer = gpu_held_down(told(*FELL, *parts))
    assert answer.value == value
    assert answer.because.startswith(because)


def test_a_gpu_that_idles_since_its_pod_is_asked_for_nothing_made_no_request_slower() -> None:
    unasked = served(pod="a", rate=stepped(20, 0), infer=stepped(8, None))
    parts = [unasked, served(pod="b", infer=stepped(8, 30)), *OURS, clock(1, 1980, 210), clock(2, 1980, 1980)]
    assert a_clock_fell(incident(*parts, namespace="prod")).value == "no"


def test_that_no_gpu_was_throttled_is_not_said_for_the_one_of_the_slow_pod_that_nobody_tells_of() -> None:
    parts = [*OURS, clock(1, 1980, 1980), clock(2, 1980, 1980), held_down(2, 0, 0)]
    assert gpu_held_down(told(*parts)).value == "unknown"


def test_a_split_gpu_s_clock_is_of_the_whole_and_its_holders_are_the_instances() -> None:
    parts = [
        holds(1, "a", gpu_instance="7", mig_profile="1g.10gb"),
        holds(2, "b"),
        clock(1, 1980, 900),
        clock(2, 1980, 1980),
    ]
    assert a_clock_fell(told(*parts)).value == "yes"


def test_of_a_gpu_that_idled_before_it_is_not_said_that_no_source_tells_how_busy_it_is() -> None:
    answer = gpu_busier(told(platform("gpu_sm_busy", stepped(0, 0.9), **gpu(1))))
    assert answer.value == "unknown"
    assert answer.because.startswith("share of time in which the GPU's multiprocessors worked: 0")
    assert gpu_busier(told(platform("gpu_sm_busy", stepped(0.1, 0.9), **gpu(1)))).value == "yes"


def filled(number: int, share: float) -> list[Part]:
    parts = (("used", share), ("free", 1 - share))
    return [platform(f"gpu_device_memory_{name}", steady(part, 120), **gpu(number)) for name, part in parts]


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([*OURS, filled(1, 0.99), filled(2, 0.5)], "yes", "99% of the GPU's memory is in use in GPU 1 of node n1 (GPU-1)"),
        ([*OURS, filled(1, 0.5), filled(2, 0.5)], "no", "every GPU has memory left"),
        ([*OURS, filled(2, 0.5)], "unknown", "no source tells how full GPU 1 of node n1 (GPU-1) is while it lasts"),
        ([filled(1, 0.99), filled(2, 0.5)], "unknown",
         "memory is full in GPU 1 of node n1 (GPU-1); whose GPU that is, no source tells"),
        ([filled(1, 0.99), filled(2, 0.99)], "yes", "99% of the GPU's memory is in use in GPU 1 of node n1 (GPU-1)"),
        ([], "unknown", "no source tells the GPU memory in use"),
    ],
    ids=["full", "none", "one not told", "whose", "all of the nodes'", "not told"],
)  # fmt: skip
def test_that_no_gpu_is_full_is_said_only_where_each_is_known(
    parts: list[Part], value: str, because: str
) -> None:
    answer = a_gpu_is_full(told(*parts))
    assert (answer.value, answer.because) == (value, because)
    assert bool(answer.evidence) == (value != "unknown" or "whose" in because)
