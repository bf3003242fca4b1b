"""Of each pod the newest evidence."""

from dataclasses import replace
from typing import Final

import pytest

from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.target import Phase, PodKey, Target
from telemetry.two_sources import (
    CONTRADICTED,
    NOT_COMPARED,
    PROMETHEUS,
    SCRAPE,
    Ages,
    Compared,
    choose_pods,
)
from telemetry.window import PodWindow

NOW: Final = 1000.0
AGES: Final = Ages(scrape=10.0, prometheus=56.0)
KEY: Final = PodKey("prod", "triton-0", "uid")
TARGET: Final = Target(KEY, "http://a:8002/metrics", "http://a:8000", Phase.RUNNING, ready=True)


def seen(
    age: float | None, *, failure: str | None = None, full: bool = True, phase: Phase = Phase.RUNNING
) -> PodState:
    windows = {} if age is None else {30.0: PodWindow(NOW - age, full, {})}
    return PodState(replace(TARGET, phase=phase), NOW - 500, windows, failure)


def chosen(scraped: PodState, told: PodState, compared: Compared = NOT_COMPARED) -> PodState:
    (pod,) = choose_pods([scraped], [told], {KEY: compared}, AGES, NOW)
    return pod


TIMED_OUT: Final = "timed out"
NOT_THERE: Final = "Prometheus has no fresh sample of it"


@pytest.mark.parametrize(
    ("what", "scraped", "told", "source", "failure"),
    [
        ("both answer", seen(2), seen(20), SCRAPE, None),
        ("Prometheus is away", seen(2), seen(40, failure=NOT_THERE), SCRAPE, None),
        ("Prometheus never knew it", seen(2), seen(None, failure=NOT_THERE), SCRAPE, None),
        ("no way to the pod", seen(None, failure=TIMED_OUT), seen(20), PROMETHEUS, None),
        ("the way to it was cut a while ago", seen(300, failure=TIMED_OUT), seen(20), PROMETHEUS, None),
        ("seen since it fell silent", seen(7, failure=TIMED_OUT), seen(3), PROMETHEUS, None),
        ("silent, and not seen since", seen(7, failure=TIMED_OUT), seen(20), SCRAPE, TIMED_OUT),
        (
            "just started, with a past that only Prometheus knows",
            seen(1, full=False),
            seen(20),
            PROMETHEUS,
            None,
        ),
        (
            "seen by nobody",
            seen(7, failure=TIMED_OUT),
            seen(30, failure=NOT_THERE),
            SCRAPE,
            f"{TIMED_OUT}; {NOT_THERE}",
        ),
        (
            "seen by Prometheus last",
            seen(300, failure=TIMED_OUT),
            seen(30, failure=NOT_THERE),
            PROMETHEUS,
            f"{NOT_THERE}; scrapes: {TIMED_OUT}",
        ),
        ("too old in Prometheus", seen(300, failure=TIMED_OUT), seen(57), PROMETHEUS, None),
        ("warming up in both", seen(1, full=False), seen(20, full=False), SCRAPE, None),
        (
            "warming up, and not in Prometheus",
            seen(1, full=False),
            seen(None, failure=NOT_THERE),
            SCRAPE,
            None,
        ),
    ],
)
def test_the_newest_evidence_counts(
    what: str, scraped: PodState, told: PodState, source: str, failure: str | None
) -> None:
    pod = chosen(scraped, told)
    assert (pod.source, pod.failure) == (source, failure), what
    assert pod.windows == (scraped if source == SCRAPE else told).windows
    assert pod.max_age == AGES.of(source)


def test_a_source_that_contradicts_what_was_scraped_does_not_stand_in() -> None:
    apart = Compared(0.7, contradicted=True)
    pod = chosen(seen(7, failure=TIMED_OUT), seen(3), apart)
    assert (pod.source, pod.failure, pod.difference) == (SCRAPE, f"{TIMED_OUT}; {CONTRADICTED}", 0.7)
    pod = chosen(seen(2), seen(3), apart)
    assert (pod.source, pod.failure, pod.difference) == (SCRAPE, None, 0.7)


def test_what_either_could_read_of_the_models_is_known() -> None:
    scraped = replace(seen(2), models={"a": ModelFacts(decoupled=True)})
    told = replace(seen(20), models={"a": ModelFacts(), "b": ModelFacts()})
    assert chosen(scraped, told).models == {"a": ModelFacts(decoupled=True), "b": ModelFacts()}


def test_what_a_pod_did_before_it_left_counts_once() -> None:
    leaving = seen(4, phase=Phase.TERMINATING)
    pods = list(choose_pods([leaving], [seen(20, phase=Phase.TERMINATING)], {}, AGES, NOW))
    assert [(pod.source, pod.windows) for pod in pods] == [(SCRAPE, leaving.windows)]


def test_what_only_prometheus_saw_of_a_pod_that_left_counts() -> None:
    told = seen(9, phase=Phase.TERMINATING)
    pods = list(choose_pods([seen(300, phase=Phase.TERMINATING)], [told], {}, AGES, NOW))
    assert [(pod.source, pod.windows) for pod in pods] == [(PROMETHEUS, told.windows)]


def test_a_container_that_began_again_stands_beside_what_the_last_one_did() -> None:
    stopped = seen(5, phase=Phase.STOPPED)
    pods = list(choose_pods([seen(1), stopped], [seen(20), seen(21, phase=Phase.STOPPED)], {}, AGES, NOW))
    assert [(pod.target.phase, pod.source) for pod in pods] == [
        (Phase.RUNNING, SCRAPE),
        (Phase.STOPPED, SCRAPE),
    ]


def test_a_pod_that_one_source_has_not_met_yet_is_the_others() -> None:
    assert [p.source for p in choose_pods([seen(1)], [], {}, AGES, NOW)] == [SCRAPE]
    assert [p.source for p in choose_pods([], [seen(1)], {}, AGES, NOW)] == [PROMETHEUS]
