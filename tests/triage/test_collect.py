"""Every question costs at most its own deadline, and nothing that it does costs another question its answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from triage.collect import BY_ANOTHER, Found, Question, collect
from triage.evidence import Asked, Evidence, Missing, ModelConfig, Readiness, Snapshot
from triage.seal import Seal
from triage.tree import parse_tree

TREE = """
tree: small
about: A test.
budget: 200ms
probes:
  slow: {asks: What stays., deadline: 10s}
  quick: {asks: What stays., deadline: 30ms}
  gone: {asks: What expires., deadline: 10s, expires: true}
start: seen
nodes:
  - {id: seen, ask: Any?, test: {kind: seen, reads: [slow, quick, gone]}, yes: end, no: end, unknown: end}
leaves:
  - id: end
    category: cannot_tell
    title: the end
    means: Nothing.
    actions: [{do: Look., undo: nothing, blast_radius: none, verify: look, not_if: never}]
    sources: [here]
"""
READY = Readiness(200)


class Plain:
    """Takes nothing out."""

    masked = 0

    def line(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


class Starred(Plain):
    """Takes the word secret out, and cannot bear some others."""

    def line(self, text: str) -> str:
        self.masked += text.count("secret")
        return text.replace("secret", "***")

    def value(self, value: Any) -> Any:
        match value:
            case str():
                if "unbearable" in value:
                    raise RecursionError(value)
                return self.line(value)
            case dict():
                return {key: self.value(inner) for key, inner in value.items()}
            case list():
                return [self.value(inner) for inner in value]
        return value


def question(name: str, ask: Callable[[], Awaitable[Found]], probe: str = "slow", **more: Any) -> Question:
    async def asked(seal: Seal) -> Found:
        return await ask()

    return Question(name, probe, f"source {name}", f"GET {name}", f"get {name}", asked, **more)


async def ready() -> Found:
    return Found(READY)


async def hang() -> Found:
    await asyncio.Event().wait()
    raise AssertionError


def failing(error: BaseException) -> Callable[[], Awaitable[Found]]:
    async def ask() -> Found:
        raise error

    return ask


async def snapshot(*questions: Question, redactor: Callable[[], Plain] = Plain) -> Snapshot:
    return await collect(
        questions, Asked(tree="small"), parse_tree(TREE, "small.yaml"), lambda: Seal(redactor())
    )


async def answers(*questions: Question, redactor: Callable[[], Plain] = Plain) -> dict[str, object]:
    """By question: the facts, or why there are none."""
    found = (await snapshot(*questions, redactor=redactor)).evidence
    return {evidence.id: evidence.facts or evidence.missing for evidence in found}


async def test_an_answer_says_what_was_asked_of_whom_and_how_to_ask_it_by_hand() -> None:
    (got,) = (await snapshot(question("a", ready, subject="pod-1"))).evidence
    assert got == Evidence(
        id="a",
        probe="slow",
        source="source a",
        query="GET a",
        command="get a",
        fetched_at=got.fetched_at,
        subject="pod-1",
        facts=READY,
        sha256=got.sha256,
    )


async def test_a_question_that_hangs_costs_its_own_deadline_and_no_other_answer() -> None:
    got = await answers(question("a", hang, "quick", on_timeout="look at it"), question("b", ready))
    assert got == {"b": READY, "a": Missing("timeout", "no answer within 0.03 s", "look at it")}


async def test_all_questions_together_cost_the_budget_however_long_their_deadlines_are() -> None:
    began = time.monotonic()
    got = await answers(*(question(f"q{n}", hang) for n in range(50)))
    assert all(isinstance(missing, Missing) and missing.reason == "timeout" for missing in got.values())
    assert (len(got), time.monotonic() - began < 5) == (50, True)


async def test_a_question_may_be_given_more_patience_than_its_probe_has() -> None:
    async def late() -> Found:
        await asyncio.sleep(0.06)
        return Found(READY)

    assert await answers(question("a", late, "quick", patience=10.0)) == {"a": READY}


UNTHOUGHT = "this is a mistake of triton-triage: please report it; the other sources were asked all the same"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (RecursionError(), "RecursionError"),
        (TimeoutError("the peer's own"), "TimeoutError: the peer's own"),
        (ExceptionGroup("two", [ValueError("1")]), "ExceptionGroup: two (1 sub-exception)"),
        (asyncio.CancelledError(), "CancelledError"),
        (ValueError("x" * 1000), "ValueError: " + "x" * 488),
    ],
)
async def test_a_question_that_raises_is_missing_evidence_and_costs_no_other_answer(
    error: BaseException, said: str
) -> None:
    got = await answers(question("a", failing(error)), question("b", ready))
    assert got == {"a": Missing("parse_error", said, UNTHOUGHT), "b": READY}


async def test_what_an_unexpected_error_says_is_redacted() -> None:
    got = await answers(question("a", failing(ValueError("secret"))), redactor=Starred)
    assert got == {"a": Missing("parse_error", "ValueError: ***", UNTHOUGHT)}


async def test_what_cannot_be_redacted_is_not_shown_and_costs_no_other_answer() -> None:
    async def ask() -> Found:
        return Found(ModelConfig("unbearable"))

    got = await answers(question("a", ask), question("b", ready), redactor=Starred)
    said = "the answer could not be redacted (RecursionError), so it is not shown"
    assert got == {"a": Missing("parse_error", said, UNTHOUGHT), "b": READY}


async def test_what_was_masked_in_an_answer_that_came_too_late_is_not_counted() -> None:
    async def ask(seal: Seal) -> Found:
        seal.line("secret")
        return await hang()

    late = Question("a", "quick", "s", "q", "c", ask)
    kept = question("b", failing(ValueError("secret")))
    got = (await snapshot(late, kept, redactor=Starred)).evidence
    assert {evidence.id: evidence.masked for evidence in got} == {"a": 0, "b": 1}


async def test_what_expires_is_asked_first() -> None:
    begun: list[str] = []

    def noting(name: str) -> Callable[[], Awaitable[Found]]:
        async def ask() -> Found:
            begun.append(name)
            return Found(READY)

        return ask

    await answers(
        question("stays", noting("stays")),
        question("expires", noting("expires"), "gone"),
        question("stays too", noting("stays too"), "quick"),
    )
    assert begun == ["expires", "stays", "stays too"]


async def test_an_answer_may_raise_questions_and_a_missing_one_too() -> None:
    follow_up = question("b", ready, subject="pod-1")

    async def ask() -> Found:
        return Found(Missing("forbidden", "no", "ask"), [follow_up])

    assert await answers(question("a", ask)) == {"a": Missing("forbidden", "no", "ask"), "b": READY}


async def test_what_was_asked_only_to_know_what_to_ask_is_no_evidence_and_leaves_its_name_to_what_it_raises() -> (
    None
):
    async def ask() -> Found:
        return Found(BY_ANOTHER, [question("a", ready), question("b", ready)])

    assert await answers(question("a", ask)) == {"a": READY, "b": READY}


async def test_the_same_question_is_asked_once_so_that_answers_cannot_raise_questions_for_ever() -> None:
    async def again() -> Found:
        return Found(READY, [question("a", again), question("b", again)])

    assert await answers(question("a", again)) == {"a": READY, "b": READY}


async def test_a_question_raised_when_the_time_is_over_is_not_asked() -> None:
    async def ask() -> Found:
        time.sleep(0.25)  # noqa: ASYNC251 - it holds the loop, as a large answer does
        return Found(READY, [question("b", ready)])

    said = "the time for all questions together was over before this one could be asked"
    remedy = "ask again, or give the source by hand"
    assert await answers(question("a", ask)) == {"a": READY, "b": Missing("timeout", said, remedy)}


async def test_what_the_tree_has_no_probe_for_is_not_asked() -> None:
    """A tree of one's own need not ask everything."""

    async def ask() -> Found:
        return Found(READY, [question("c", hang, "config")])

    assert await answers(question("a", ask), question("b", hang, "metadata")) == {"a": READY}


async def test_evidence_stands_in_the_same_order_whoever_answered_first() -> None:
    """By pod, then as the tree names the probes, then by id: a report does not depend on the network's mood."""
    got = await snapshot(
        question("z", ready, "gone"),
        question("b", ready, subject="pod-1"),
        question("y", ready),
        question("a", ready, subject="pod-1"),
        question("x", ready, "quick"),
    )
    assert [evidence.id for evidence in got.evidence] == ["y", "x", "z", "a", "b"]


async def test_cancelling_it_ends_it_and_is_no_missing_evidence() -> None:
    started = asyncio.Event()

    async def ask() -> Found:
        started.set()
        return await hang()

    task = asyncio.create_task(snapshot(question("a", ask)))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
