"""When a peer that does not answer is asked again."""

import pytest

from telemetry.circuit import Circuit


@pytest.mark.parametrize(
    ("failures", "wait"), [(0, 15), (1, 15), (2, 15), (3, 30), (4, 60), (5, 60), (1000, 60)]
)
def test_it_opens_after_three_failures_and_then_tries_once_a_minute_at_least(
    failures: int, wait: float
) -> None:
    circuit = Circuit(15.0)
    for _ in range(failures):
        circuit.failed()
    assert circuit.wait(0.0) == wait
    assert circuit.wait(0.999) >= (wait / 2 if failures else wait)


def test_those_who_lost_the_same_peer_at_the_same_moment_do_not_come_back_together() -> None:
    circuit = Circuit(15.0)
    assert circuit.wait(0.9) == 15.0, "in step as long as it answers: each tick then sees each sample once"
    circuit.failed()
    assert circuit.wait(0.9) < circuit.wait(0.1) < 15.0


def test_one_answer_closes_it() -> None:
    circuit = Circuit(15.0, failures=9)
    circuit.succeeded()
    assert circuit.wait(0.5) == 15.0
