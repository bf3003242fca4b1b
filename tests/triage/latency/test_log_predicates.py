"""What the servers' logs add to a leaf's checks, and that they neither make a verdict alone nor rule one out by their silence."""

from datetime import UTC, datetime

import msgspec
import pytest

from tests.triage.latency.evidence import (
    Part,
    at_step,
    evidence,
    incident,
    log,
    nothing_of,
    placed,
    rules,
    served,
    stepped,
    triton,
)
from triage.answers import Answer
from triage.cluster_views import PodPlacement
from triage.evidence import Evidence, LogExcerpt
from triage.latency.answers import answer
from triage.latency.kinds import Change
from triage.latency.predicates import PREDICATES
from triage.latency.walk import walk

BEGAN = at_step(80)
SLOW = served(infer=stepped(8.0, 30.0))
FAILS: list[Part] = [
    served(rate=stepped(20.0, 0.2), infer=stepped(8.0, 30.0)),
    triton("failure", stepped(0.0, 10.0), pod="a", model="m"),
]
DEAD = "python_be.cc:1321] Stub process 'm_0_0' is not healthy."
ARENA = "bfc_arena.cc:376] Failed to allocate memory for requested buffer of size 268435456"


def line(at: float, said: str, level: str = "I") -> str:
    moment = datetime.fromtimestamp(at, UTC).strftime("%m%d %H:%M:%S.%f")
    return f"{level}{moment} 1 {said}"


def loaded(begin: float, end: float, model: str = "n") -> Evidence:
    return log(
        line(begin, f"model_lifecycle.cc:472] loading: {model}:1"),
        line(end, f"model_lifecycle.cc:839] successfully loaded '{model}'"),
        fetched_at="2026-11-18T12:30:00Z",
    )


def asked(name: str, *parts: Part) -> Answer:
    return PREDICATES[name](incident(*parts, model="m"))


def said(level: str, what: str, at: float = BEGAN) -> Evidence:
    return log(line(at, what, level), fetched_at="2026-11-18T12:30:00Z")


def test_where_the_counters_give_no_reason_a_log_says_that_the_backend_fails() -> None:
    assert asked("backend_fails", FAILS).value == "unknown"
    told = asked("backend_fails", FAILS, said("E", DEAD))
    assert (told.value, told.because, told.evidence) == (
        "yes",
        "Triton's log: the process of m_0_0 is dead in a",
        ("log:a/triton",),
    )


def test_a_log_does_not_contradict_the_counters() -> None:
    rejected = triton("failure", stepped(0.0, 10.0), pod="a", model="m", reason="REJECTED")
    parts = (served(rate=stepped(20.0, 0.2), infer=stepped(8.0, 30.0)), rejected)
    assert asked("backend_fails", *parts, said("E", DEAD)).value == "no"


def test_a_dead_process_of_another_model_or_of_an_hour_ago_is_none_of_this_models() -> None:
    other = served(model="n")
    of_other = said("E", DEAD.replace("m_0_0", "n_0_0"))
    assert asked("backend_fails", FAILS, other, of_other).value == "unknown"
    assert asked("backend_fails", FAILS, said("E", DEAD, BEGAN - 3600)).value == "unknown"


def test_a_failed_allocation_makes_likely_what_no_gpu_metric_shows_and_never_confirms_it() -> None:
    backend = triton("failure", stepped(0.0, 10.0), pod="a", model="m", reason="BACKEND")
    failing = (served(rate=stepped(20.0, 0.2), infer=stepped(8.0, 30.0)), backend)
    assert asked("memory_fails", *failing).value == "unknown"
    found = walk(rules().tree, incident(*failing, said("E", ARENA), model="m"))
    word = {c.leaf.id: c.confidence for c in found.candidates}
    assert word["gpu_memory_exhausted"] == "likely"


def test_a_log_alone_makes_no_verdict() -> None:
    found = walk(rules().tree, incident(said("E", DEAD), loaded(BEGAN, BEGAN + 9), model="m"))
    assert found.candidates[0].leaf.category == "cannot_tell"


LOADING = Change(kind="change", what=("load", "unload"), within="1m")


@pytest.mark.parametrize(
    ("parts", "value"),
    [
        ([loaded(BEGAN - 200, BEGAN + 5)], "yes"),
        ([loaded(BEGAN - 10, BEGAN + 40)], "yes"),
        ([loaded(BEGAN - 300, BEGAN - 200)], "no"),
        ([], "unknown"),
        ([nothing_of("log/a", "forbidden")], "unknown"),
        ([loaded(BEGAN - 300, BEGAN - 200), nothing_of("log/others", "truncated")], "unknown"),
    ],
    ids=["ends in it", "begins with it", "over before", "no log", "forbidden", "others unread"],
)
def test_a_load_counts_while_it_lasts_and_that_there_was_none_only_the_logs_of_all_pods_can_say(
    parts: list[Evidence], value: str
) -> None:
    assert answer(LOADING, incident(SLOW, parts, model="m")).value == value


def test_a_log_that_was_cut_may_have_lost_a_load() -> None:
    told = loaded(BEGAN - 300, BEGAN - 200)
    assert isinstance(told.facts, LogExcerpt)
    cut = msgspec.structs.replace(told, facts=msgspec.structs.replace(told.facts, cut=True))
    found = answer(LOADING, incident(SLOW, cut, model="m"))
    assert (found.value, found.because) == ("unknown", "log:a/triton: not read to its end")


@pytest.mark.parametrize(("seconds", "value"), [(10.0, "yes"), (1190.0, "no")])
def test_it_may_outlast_the_load_that_it_began_with(seconds: float, value: str) -> None:
    """Twenty minutes that began with a load of ten seconds are not that load's."""
    assert asked("outlasts_loads", SLOW, loaded(BEGAN, BEGAN + seconds)).value == value


def test_what_outlasts_a_load_that_no_log_tells_of_is_unknown() -> None:
    assert asked("outlasts_loads", SLOW).value == "unknown"
    ready = placed(PodPlacement("a", ready=True))
    empty = evidence("log:a/triton", "log", LogExcerpt((), 0, 0), subject="a")
    assert asked("outlasts_loads", SLOW, ready, empty).value == "unknown"
