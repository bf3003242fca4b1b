"""Who and what is named beside the cause: the pod that took the node's CPU, the pod on the same GPU, the other model, the sizes."""

import random
from dataclasses import replace
from functools import cache

import pytest

from tests.accuracy.judge import rules
from tests.fleetsim.causes_of_mixes import users_of_both, with_another_model
from tests.fleetsim.drawing import Play, asked_model, at_onset, capacity, draw_setup
from tests.fleetsim.fleet import Fleet
from tests.fleetsim.incidents import CAUSES, incident, play_out
from tests.fleetsim.incidents import Incident as Played
from tests.fleetsim.models import Request
from tests.fleetsim.observe import observe
from tests.fleetsim.setup import Stream
from triage.latency.figures import figures
from triage.latency.incident import Incident
from triage.report import Report
from triage.report_of import report_of


def drawn(cause: str, notes: str) -> int:
    """The first seed whose case is of that kind."""
    return next(seed for seed in range(50) if notes in CAUSES[cause](random.Random(f"{cause} {seed}")).notes)


@cache
def played(cause: str, seed: int) -> Played:
    return incident(cause, seed, past=())


def told(cause: str, notes: str) -> Report:
    return report_of(played(cause, drawn(cause, notes)).snapshot, rules())


def test_the_pod_that_took_the_nodes_cpu_is_named() -> None:
    report = told("noisy_neighbour", "more work than cores")
    assert report.verdict.category == "noisy_neighbour"
    assert "data/batch-6b4c7d8f9c-" in report.actions[0].do
    assert "data/batch-6b4c7d8f9c-" in report.why[-1].text


def test_no_pod_is_blamed_for_what_the_hypervisor_took() -> None:
    report = told("noisy_neighbour", "stolen")
    assert "data/batch" not in report.actions[0].do


def test_the_pod_on_the_same_gpu_is_named() -> None:
    snapshot = played("gpu_shared", 0).snapshot
    found = figures(Incident(snapshot, rules().measures, rules().quantities))
    assert found["gpu_neighbour"] == "data/notebook-0"


def test_the_caller_that_sends_the_added_requests_is_named() -> None:
    """Two workloads send; only the smaller one sends more."""
    setup = draw_setup(
        random.Random("callers"), gpu=True, batching=False, grows=True, autoscaler=None, swing=0.0
    )
    most = 1.3 * capacity(setup)

    def users(fleet: Fleet) -> list[Stream]:
        batch = lambda now: most - 0.8 * setup.rate if fleet.struck else 0.2 * setup.rate  # noqa: E731
        web = lambda now: 0.8 * fleet.usual_rate(now)  # noqa: E731
        return [Stream(setup.model, web, caller="web"), Stream(setup.model, batch, caller="batch-scorer")]

    report = judged(Play(replace(setup, users=users), lambda fleet: None))
    assert report.verdict.category in ("overload", "too_few_instances")
    assert [action.do for action in report.actions if "prod/batch-scorer" in action.do]
    assert any("from prod/batch-scorer" in fact.text for fact in report.why)


def judged(play: Play) -> Report:
    return report_of(observe(play_out(play), []), rules())


@pytest.mark.parametrize("cause", ["model_mix", "larger_requests"])
def test_a_mix_that_changed_is_named_with_its_numbers(cause: str) -> None:
    report = report_of(played(cause, 1).snapshot, rules())
    assert (report.verdict.category, report.verdict.confidence) == (cause, "confirmed")
    told = {
        "model_mix": "Cap captioner at the gateway: it went from ",
        "larger_requests": "requests went from 1 ",
    }
    assert told[cause] in report.actions[0].do


def test_another_models_traffic_is_not_blamed_where_the_hardware_has_room() -> None:
    """It grows as much, on four times the cores, and a slower version comes at the same time."""
    rng = random.Random("room")
    setup = draw_setup(rng, gpu=False, batching=False, busy=(0.2, 0.35), pods=(2, 4), instances=(1, 2))
    setup, other = with_another_model(setup, rng, crowd=0.5)
    mine = asked_model(setup)
    slower = replace(mine.service, base_ms=mine.service.base_ms * 2)
    new = replace(mine, version="2", service=slower)
    users = users_of_both(setup, other, 0.1, 0.9)
    fault = at_onset(lambda fleet: fleet.reconfigure(new, "version 2 added"))
    report = judged(Play(replace(setup, users=users), fault))
    assert (report.verdict.category, report.verdict.confidence) == ("slower_version", "confirmed")
    assert "model_mix" not in {each.category for each in report.alternatives}


def test_larger_requests_are_not_blamed_for_more_than_they_explain() -> None:
    """Each has half as much again in it, and a version that takes three times as long comes at the same time."""
    rng = random.Random("larger")
    setup = draw_setup(rng, gpu=True, batching=False, busy=(0.1, 0.15), pods=(2, 4))
    mine = replace(asked_model(setup), max_batch_size=8)
    slower = replace(mine.service, base_ms=mine.service.base_ms * 3)
    new = replace(mine, version="2", service=slower)

    def users(fleet: Fleet) -> list[Stream]:
        def shape(request: Request, dice: random.Random) -> None:
            request.items = dice.choice((1, 2)) if fleet.struck else 1

        return [Stream(setup.model, fleet.usual_rate, shape)]

    setup = replace(setup, users=users, template=replace(setup.template, models=(mine,)))
    report = judged(Play(setup, at_onset(lambda fleet: fleet.reconfigure(new, "version 2 added"))))
    assert report.verdict.category == "slower_version"
    assert "larger_requests" not in {each.category for each in report.alternatives}
