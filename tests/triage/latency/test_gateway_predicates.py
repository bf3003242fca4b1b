"""What only the gateway sees: said only where both sides are known, before and while it lasts."""

import pytest

from tests.triage.latency.evidence import (
    Part,
    gateway,
    incident,
    nothing_of,
    served,
    stepped,
    triton,
)
from triage.latency.predicates.failing import (
    behind_the_gateway,
    gateway_adds_it,
    gateway_sees_errors,
    triton_answers_them_all,
)

SLOW: list[Part] = [served(infer=stepped(8, 30))]


def answers(before: float | None, during: float | None, code: str = "5xx") -> Part:
    return gateway("gateway_requests", stepped(before, during), code=code)


def fails(before: float, during: float) -> Part:
    return triton("failure", stepped(before, during), pod="a", model="m")


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([answers(1, 5), fails(0, 1)], "yes", "the gateway answers 5 errors/s (1 before), Triton counts 1 failures/s"),
        ([answers(1, 5), fails(0, 5)], "no", "the gateway answers 5 errors/s (1 before), Triton counts 5 failures/s"),
        ([answers(1, 5), nothing_of("triton/failure", "no_series")], "yes",
         "the gateway answers 5 errors/s (1 before), Triton counts 0 failures/s"),
        ([answers(1, 5), nothing_of("triton/failure")], "unknown",
         "the gateway answers 5 errors/s (1 before); how many requests fail in Triton is not known:"
         " source of triton/failure: timeout"),
        ([answers(0, 0), nothing_of("triton/failure")], "no", "the gateway answers 0 errors/s (0 before)"),
        ([], "unknown", "no source tells the requests at the gateway"),
    ],
    ids=["unseen", "counted", "never failed", "not known", "no errors", "no gateway"],
)  # fmt: skip
def test_errors_that_triton_does_not_count_are_told_only_where_its_count_is_known(
    parts: list[Part], value: str, because: str
) -> None:
    answer = gateway_sees_errors(incident(*SLOW, *parts))
    assert (answer.value, answer.because) == (value, because)


@pytest.mark.parametrize(
    ("parts", "value", "because"),
    [
        ([answers(20, 20, "2xx")], "yes", "of the requests at the gateway Triton answers 100% as well as before"),
        ([answers(20, 40, "2xx")], "no", "of the requests at the gateway Triton answers 50% as well as before"),
        ([answers(None, 5, "2xx")], "unknown",
         "what part of the requests at the gateway Triton answered before it began is not known"),
        ([answers(20, 0, "2xx")], "unknown", "no requests come to the gateway"),
        ([], "unknown", "no source tells the requests at the gateway"),
    ],
    ids=["all", "half", "nothing before", "nobody comes", "no gateway"],
)  # fmt: skip
def test_what_triton_answers_is_compared_with_what_it_answered_before(
    parts: list[Part], value: str, because: str
) -> None:
    answer = triton_answers_them_all(incident(*SLOW, *parts))
    assert (answer.value, answer.because) == (value, because)


def test_a_triton_that_answered_nothing_before_is_no_measure_of_now() -> None:
    parts = [served("m", infer=stepped(8, 30)), answers(20, 20, "2xx")]
    idle = served("m", rate=[0.0] * 80 + [20.0] * 40, infer=8.0)
    assert triton_answers_them_all(incident(*parts)).value == "yes"
    assert (
        triton_answers_them_all(incident(*idle, gateway("gateway_p99", stepped(10, 100)), parts[1])).value
        == "unknown"
    )


@pytest.mark.parametrize(
    ("upstream", "adds", "behind"),
    [((10, 12), "yes", "no"), ((8, 95), "no", "yes"), ((10, 110), "unknown", "unknown")],
    ids=["its own", "behind it", "one series for both"],
)
def test_where_callers_wait_is_told_by_two_series_and_not_by_one_twice(
    upstream: tuple[float, float], adds: str, behind: str
) -> None:
    told = incident(
        *SLOW,
        gateway("gateway_p99", stepped(10, 110)),
        gateway("gateway_upstream_p99", stepped(*upstream)),
    )
    answers = gateway_adds_it(told), behind_the_gateway(told)
    assert [one.value for one in answers] == [adds, behind]
    assert all(("one series tells both" in one.because) == (adds == "unknown") for one in answers)
