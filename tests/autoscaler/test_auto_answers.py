"""Answers made of two sources: which answered, how far they are apart, and what is missing in both."""

from dataclasses import replace
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.answer import NoData, Reason, Value
from autoscaler.api.metrics import render_trace
from autoscaler.core import Autoscaler, View
from autoscaler.selection import Settings
from autoscaler.selector import EVERYTHING
from telemetry.pod_state import PodState
from telemetry.two_sources import PROMETHEUS, SCRAPE, Ages, Compared, choose_pods
from tests.autoscaler.fleet import NOW, RATE, SIGNALS, ask, pod, row

AGES: Final = Ages(scrape=10.0, prometheus=56.0)
SETTINGS: Final = Settings(max_age=10.0, source="auto")
NOT_THERE: Final = "Prometheus has no fresh sample of it"


def both(scraped: list[PodState], told: list[PodState], *, difference: float | None = None) -> list[PodState]:
    found = {state.target.key: Compared(difference, contradicted=False) for state in scraped}
    return list(choose_pods(scraped, told, found, AGES, NOW))


def answer(*pods: PodState) -> Value | NoData:
    return ask(RATE, *pods, settings=SETTINGS)


def test_where_all_pods_answer_the_scrapes_are_the_number() -> None:
    scraped = [pod("a", row(30)), pod("b", row(60))]
    told = [pod("a", row(27), age=20.0), pod("b", row(57), age=20.0)]
    labels = {
        "source": "scrape",
        "pods_from_prometheus": "0",
        "pods_compared": "2",
        "largest_difference": "0.004",
    }
    assert answer(*both(scraped, told, difference=0.004)) == Value(3.0, 1.0, 30, labels=labels)


def test_pods_that_scrapes_cannot_reach_are_read_from_prometheus() -> None:
    scraped = [pod("a", row(30)), pod("b", failure="timed out")]
    told = [pod("a", row(27), age=20.0), pod("b", row(57), age=40.0)]
    labels = {"source": "prometheus,scrape", "pods_from_prometheus": "1", "pods_compared": "0"}
    assert answer(*both(scraped, told)) == Value(1.0 + 1.9, 40.0, 30, labels=labels)


def test_a_pod_that_nobody_sees_is_missing_in_the_words_of_both() -> None:
    scraped = [pod("a", row(30)), pod("b", row(60), age=11.0, failure="timed out")]
    told = [pod("a", row(27), age=20.0), pod("b", row(60), age=30.0, failure=NOT_THERE)]
    assert answer(*both(scraped, told)) == NoData(
        Reason.NOT_ANSWERING, f"pod b does not answer scrapes (timed out; {NOT_THERE})"
    )


def test_each_source_has_its_own_age() -> None:
    """A sample of 50 s is no outage of a Prometheus, and stands as the pod's last contribution when it goes silent."""
    gone = [pod("a", row(30), age=300.0, failure="timed out")]
    assert isinstance(answer(*both(gone, [pod("a", row(60), age=50.0)])), Value)
    assert isinstance(answer(*both(gone, [pod("a", row(60), age=57.0)])), NoData)
    beside = [pod("b", row(30))]
    silent = answer(*both([*gone, *beside], [pod("a", row(60), age=50.0, failure=NOT_THERE)]))
    assert isinstance(silent, Value)
    assert silent.value == 3.0


_LOADS = st.lists(st.integers(0, 1000), min_size=1, max_size=6)


@given(_LOADS, st.data())
def test_an_outage_of_either_source_never_lowers_a_total(loads: list[int], data: st.DataObject) -> None:
    """Under a steady load; whichever pods each source loses, the total is no lower, or there is none."""
    names = [f"p{at}" for at in range(len(loads))]

    def fleet(source: str, age: float) -> list[PodState]:
        lost = data.draw(st.sets(st.sampled_from(names)), label=f"lost to {source}")
        aged = data.draw(st.floats(age, 100.0), label=f"since ({source})")
        return [
            pod(name, row(load), age=aged if name in lost else age, failure="away" if name in lost else None)
            for name, load in zip(names, loads, strict=True)
        ]

    found = answer(*both(fleet(SCRAPE, 1.0), fleet(PROMETHEUS, 20.0)))
    assert isinstance(found, NoData) or found.value >= sum(loads) / 30 - 1e-9


def test_an_explained_answer_tells_what_each_source_says_alone() -> None:
    scraped = [pod("a", row(30)), pod("b", failure="timed out")]
    told = [pod("a", row(27), age=20.0), pod("b", row(57), age=40.0)]
    views = {
        SCRAPE: View(lambda _: scraped, replace(SETTINGS, source=SCRAPE)),
        PROMETHEUS: View(lambda _: told, replace(SETTINGS, source=PROMETHEUS, max_age=56.0)),
    }
    autoscaler = Autoscaler(SIGNALS, lambda _: both(scraped, told), SETTINGS, lambda: NOW, alone=views)
    plain = autoscaler.answer("prod", RATE, EVERYTHING, explain=False)
    assert plain.alone == {}
    explained = autoscaler.answer("prod", RATE, EVERYTHING, explain=True)
    shown = msgspec.json.decode(render_trace("prod", RATE, EVERYTHING, explained))
    assert shown["sources"]["scrape"]["message"] == "pod b does not answer scrapes (timed out)"
    assert shown["sources"]["prometheus"]["value"] == pytest.approx(2.8)
    assert [(line["pod"], line["source"]) for line in shown["pods"]] == [("a", SCRAPE), ("b", PROMETHEUS)]
