"""Requests that wait beside idle instances: no scheduler that leaves none idle can show that."""

import pytest

from tests.triage.latency.evidence import Part, incident, served, settings, steady, stepped, triton
from triage.latency.predicates import PREDICATES
from triage.latency.predicates.queueing import waits_beside_idle

SOME: list[Part] = [
    served(rate=20.0, queue=stepped(1, 900), infer=20.0),
    triton("executions", steady(20, 120), pod="a", model="m"),
]
"""0.4 executions at once."""


def least(during: float | None) -> Part:
    return triton("pending_least", [*steady(0, 80), *steady(during, 40)], pod="a", model="m")


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ([settings(instances=2), least(9)], "yes"),
        ([settings(instances=2), least(0)], "no"),  # bursts: the queue is empty now and then
        ([settings(instances=1, max_batch_size=1), served(pod="b", rate=28.0, infer=20.0), least(9)], "yes"),
        ([settings(instances=2), least(None)], "unknown"),
        ([least(9)], "unknown"),
    ],
    ids=["beside idle", "bursts", "one pod of two", "not measured", "instances not known"],
)
def test_what_waits_at_every_scrape_beside_idle_instances_is_told(parts: list[Part], value: str) -> None:
    assert waits_beside_idle(incident(SOME, *parts, model="m")).value == value


def test_what_waits_while_all_instances_are_busy_is_a_queue() -> None:
    full: list[Part] = [
        served(rate=95.0, queue=stepped(1, 900), infer=20.0),
        triton("executions", steady(95, 120), pod="a", model="m"),
    ]
    assert waits_beside_idle(incident(full, settings(instances=2), least(9), model="m")).value == "no"


def test_a_drift_is_not_ruled_out_where_it_cannot_be_looked_at() -> None:
    told = incident(SOME, triton("pending", stepped(0, 9), pod="a", model="m"), model="m")
    assert PREDICATES["drifts"](told).value == "unknown"
