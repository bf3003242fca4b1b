"""The case: how each model stands by each source, and which failure is the root of the others."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from tests.triage.snapshots import (
    GAVE_UP,
    RULES,
    SERVING,
    container,
    evidence,
    failed,
    index,
    loaded,
    loading,
    log,
    own,
    pod,
    previous_log,
    ready,
    unavailable,
    verdict,
)
from triage.case import Case, blamed_by, make_case, primary
from triage.evidence import EventView, Evidence, IndexRow, PodEvents

START = own("Pinned memory pool is created at '0x7f' with size 268435456", "I")


def case(*found: Evidence) -> Case:
    return make_case("", found, RULES.signatures)


def states(*found: Evidence) -> dict[str, dict[str, str]]:
    return {model.name: model.states for model in case(*found).models.values()}


def root(*found: Evidence) -> str | None:
    chosen = primary(case(*found))
    return chosen.name if chosen else None


def test_each_source_says_how_a_model_stands() -> None:
    told = states(
        log(loaded("a"), failed("b"), loading("c")),
        index(
            ready("a"),
            unavailable("b", "x"),
            IndexRow("c", "1", "LOADING"),
            unavailable("d", "unloaded"),
            IndexRow("e"),
        ),
    )
    assert told == {
        "a": {"log": "loaded", "index": "loaded"},
        "b": {"log": "failed", "index": "failed"},
        "c": {"log": "loading", "index": "loading"},
        "d": {"index": "unloaded"},
    }


def test_one_failed_version_makes_a_model_failed_and_a_ready_one_does_not_hide_it() -> None:
    rows = (ready("m"), IndexRow("m", "2", "UNAVAILABLE", "Internal: x"))
    assert states(index(*rows)) == states(index(*rows[::-1])) == {"m": {"index": "failed"}}


def test_a_model_that_failed_in_an_earlier_life_and_loads_now_is_loaded() -> None:
    assert states(previous_log(failed("m")), log(loaded("m"))) == {"m": {"log": "loaded"}}
    assert states(previous_log(own("no version of 'm'")), log(loaded("m"))) == {"m": {"log": "loaded"}}


def test_a_model_that_failed_in_an_earlier_life_and_is_not_seen_now_has_failed() -> None:
    assert states(previous_log(failed("m")), log("quiet")) == {"m": {"previous_log": "failed"}}
    assert states(previous_log(own("no version of 'm'")), log("quiet")) == {"m": {"previous_log": "failed"}}


def test_a_server_that_gave_up_in_an_earlier_life_and_serves_now_is_there() -> None:
    assert case(previous_log(GAVE_UP), log(SERVING)).no_server is False
    assert case(previous_log(GAVE_UP), log("starting")).no_server is True
    assert case(previous_log(SERVING), log(GAVE_UP)).no_server is True
    assert case(log(GAVE_UP, SERVING)).no_server is False
    assert case(log(SERVING, GAVE_UP)).no_server is True


def test_an_ensemble_blames_the_model_that_it_needs() -> None:
    """The parent fails first in the log, and the child is the root."""
    lines = (failed("parent", "'parent' needs 'child'"), failed("child", "device memory ran out"))
    found = case(log(*lines))
    chosen = primary(found)
    assert (chosen and chosen.name, blamed_by(found, "child")) == ("child", ["parent"])
    assert verdict(log(*lines)) == ("gpu_memory", "likely", "child")


def test_a_parent_is_its_own_root_where_the_child_loaded_or_is_not_seen() -> None:
    parent = failed("parent", "'parent' needs 'child'")
    assert root(log(parent, loaded("child"))) == "parent"
    assert root(log(parent)) == "parent"


def test_a_parent_speaks_where_no_line_says_why_the_child_failed() -> None:
    assert root(log(failed("parent", "'parent' needs 'child'"), failed("child"))) == "parent"


def test_models_that_blame_each_other_are_told_of_and_not_followed_forever() -> None:
    assert root(log(failed("a", "'a' needs 'b'"), failed("b", "'b' needs 'a'"))) == "b"
    assert root(log(failed("a", "'a' needs 'a'"))) == "a"


def test_blame_is_followed_as_deep_as_it_goes() -> None:
    lines = [failed(f"m{n}", f"'m{n}' needs 'm{n + 1}'") for n in range(1500)]
    assert root(log(*lines, failed("m1500", "device memory ran out"))) == "m1500"


def test_the_first_failure_with_a_reason_is_spoken_of_before_one_without() -> None:
    assert root(log(failed("a"), failed("b", "device memory ran out"))) == "b"
    assert root(log(failed("a"), failed("b"))) == "a"
    assert root(log(loaded("a"))) is None


def test_a_load_that_has_not_ended_is_spoken_of_where_a_line_says_why() -> None:
    assert root(log(loading("a"), own("device memory ran out"))) == "a"
    assert root(log(loading("a"), own("may be unreadable"))) is None


def test_a_claim_of_no_one_model_is_of_every_load_that_failed_after_it() -> None:
    found = case(log(loading("a"), loading("b"), own("device memory ran out"), failed("a"), failed("b")))
    assert {name: [c.sure for c in m.claims] for name, m in found.models.items()} == {
        "a": [False],
        "b": [False],
    }


def test_a_claim_stands_behind_no_load_that_had_failed_before_it() -> None:
    lines = (failed("a"), loading("b"), loading("c"), own("device memory ran out"), failed("b"), failed("c"))
    found = case(log(*lines)).models
    assert {name: len(model.claims) for name, model in found.items()} == {"a": 0, "b": 1, "c": 1}


def test_thousands_of_claims_and_failures_do_not_multiply() -> None:
    """1,000 lines that may be of any of 1,000 failed models are 1,000 claims, not a million."""
    lines = ["device memory ran out"] * 1000
    found = case(log(*lines, *(failed(f"m{n}") for n in range(1000))))
    assert sum(len(model.claims) for model in found.models.values()) == 1000


@given(
    st.lists(
        st.sampled_from(["loading", "loaded", "failed", "claim", "hint", "gave up", "blame"]), max_size=30
    )
)
def test_the_root_is_a_failing_model_with_a_reason_wherever_there_is_one(words: list[str]) -> None:
    says: dict[str, Callable[[str], str]] = {
        "loading": loading,
        "loaded": loaded,
        "failed": failed,
        "claim": lambda m: own(f"device memory ran out for '{m}'"),
        "hint": lambda m: own(f"'{m}' may be unreadable"),
        "gave up": lambda m: GAVE_UP,
        "blame": lambda m: own(f"'{m}' needs '{'abc'[(words.index('blame') + 1) % 3]}'"),
    }
    found = case(log(*(says[word]("abc"[place % 3]) for place, word in enumerate(words))))
    chosen = primary(found)
    reasons = [model.name for model in found.failing if model.root]
    assert (
        (chosen is not None and chosen.name in reasons)
        if reasons
        else (not found.failing or chosen in found.failing)
    )


def test_the_state_of_a_pod_is_a_claim_about_no_model() -> None:
    found = make_case(
        "web-1", (pod("web-1", container("terminated: OOMKilled, exit code 137")),), RULES.signatures
    )
    assert [(claim.signature.id, claim.model, claim.own) for claim in found.loose] == [("killed", None, True)]


def test_a_model_that_failed_in_an_earlier_life_and_is_not_spoken_of_in_the_one_that_serves_was_taken_out() -> (
    None
):
    crashed = [START, loading("m"), failed("m", "device memory ran out"), loaded("n"), GAVE_UP]
    assert states(log(*crashed, START, loaded("n"), SERVING)) == {"n": {"log": "loaded"}}
    assert verdict(log(*crashed, START, loaded("n"), SERVING)) == ("not_a_load_failure", "likely", None)
    assert verdict(log(*crashed, START, loaded("n"))) == ("gpu_memory", "likely", "m")
    assert verdict(log(*crashed, START, SERVING.partition("] ")[2])) == ("gpu_memory", "likely", "m")


def test_what_fails_again_in_the_life_that_serves_still_fails() -> None:
    unread = own("Poll failed for model directory 'm': device memory ran out")
    told = verdict(log(START, unread, GAVE_UP, START, unread, loaded("n"), SERVING))
    assert told == ("gpu_memory", "likely", "m")


def test_a_repository_that_an_earlier_life_could_not_read_is_no_fault_of_the_life_that_serves() -> None:
    unread = own("failed to poll model repository 's3://b': device memory ran out")
    assert verdict(log(START, unread, START, loaded("n"), SERVING))[0] == "not_a_load_failure"
    assert verdict(log(START, unread, loaded("n"), SERVING))[0] == "gpu_memory"


def test_an_event_from_before_the_containers_ran_is_overcome() -> None:
    told = EventView("2026-07-28T12:00:00Z", "FailedMount", "terminated: OOMKilled")
    mount = evidence("events:web-1", "events", PodEvents((told,)), pod="web-1")
    waiting = container("waiting: ContainerCreating")
    ended = "terminated: Error, exit code 1"
    init = container("running", name="fetch", init=True)
    assert verdict(mount)[0] == "host_resources"
    assert verdict(mount, pod("web-1", waiting, init))[0] == "host_resources"
    assert verdict(mount, pod("web-1", container("waiting: ContainerCreating", last_state=ended)))[0] == (
        "host_resources"
    )
    for overcome in (
        container("running"),
        container(ended, exit_code=1),
        container("waiting: CrashLoopBackOff: back-off", last_state=ended, exit_code=1),
    ):
        assert verdict(mount, pod("web-1", overcome))[0] == "cannot_tell"


def test_servers_that_share_a_log_are_told_apart_by_its_prefixes() -> None:
    """`kubectl logs -l app=triton --prefix` and `docker compose logs`: one replica fails, the other loads the same model."""
    sick = [START, loading("m"), failed("m", "device memory ran out"), GAVE_UP]
    well = [START, loading("m"), loaded("m"), SERVING]
    for one, other in (("[pod/t-0/triton] ", "[pod/t-1/triton] "), ("triton-a-1  | ", "triton-b-1  | ")):
        first, second = [one + line for line in sick], [other + line for line in well]
        mixed = [line for pair in zip(first, second, strict=True) for line in pair]
        for lines in (first + second, second + first, mixed):
            assert verdict(log(*lines)) == ("gpu_memory", "likely", "m"), lines
        assert verdict(log(*first, *(one + line for line in well)))[0] == "not_a_load_failure"
        assert verdict(log(*second, *(one + line for line in well)))[0] == "not_a_load_failure"
