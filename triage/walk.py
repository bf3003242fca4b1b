"""The walk: from a tree and a case to a leaf, with the path, how sure it is, and what speaks against it. Pure.

Unknown never picks a branch for good: it goes where the tree says, and what is found there is at most as sure as the gap allows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from triage.answers import Answer, View, answer, rests_on_text
from triage.claims import Claim
from triage.shown import SHOWN
from triage.tree import AnyTest, Confidence, Explore, Leaf, Test, Tree

BANDS: tuple[Confidence, ...] = get_args(Confidence)
"""From the surest."""


@dataclass(frozen=True, slots=True)
class Step:
    node: str
    ask: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Checked:
    check: str
    says: str
    answer: Answer
    test: AnyTest | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    leaf: Leaf
    confidence: Confidence
    path: tuple[Step, ...]
    requires: tuple[Checked, ...]
    against: tuple[Checked, ...]
    gaps: tuple[str, ...]
    """What keeps it from being surer, in words."""
    shows: tuple[Checked, ...] = ()
    """What decides nothing, and is told beside it."""


def walk(tree: Tree, view: View) -> list[Verdict]:
    """Every leaf that the evidence leads to, the surest first; more than one only where an answer was unknown and the tree
    explores both ways."""
    verdicts = [_judge(tree, view, leaf, path, cap) for leaf, path, cap in reach(tree, _asking(view))]
    verdicts.sort(key=lambda verdict: BANDS.index(verdict.confidence))
    surest = {verdict.leaf.id: verdict for verdict in reversed(verdicts)}
    return [verdict for verdict in verdicts if surest[verdict.leaf.id] is verdict]


Ask = Callable[[AnyTest], Answer]


def reach(tree: Tree, ask: Ask) -> Iterator[tuple[Leaf, tuple[Step, ...], Confidence]]:
    """Every leaf that the answers lead to, with the way there and how sure it may be at most."""
    return _reach(tree, ask, tree.start, (), "confirmed", {})


def _reach(
    tree: Tree, ask: Ask, place: str, path: tuple[Step, ...], cap: Confidence, reached: dict[str, int]
) -> Iterator[tuple[Leaf, tuple[Step, ...], Confidence]]:
    if reached.get(place, len(BANDS)) <= BANDS.index(
        cap
    ):  # explored ways meet here; walked again only if surer
        return
    reached[place] = BANDS.index(cap)
    node = tree.node(place)
    if node is None:
        yield tree.leaf(place), path, cap
        return
    found = ask(node.test)
    path = (*path, Step(node.id, node.ask, found))
    if found.value == "unknown" and isinstance(node.unknown, Explore):
        cap = lower(cap, node.unknown.cap)
    for target in node.ways(found.value):
        yield from _reach(tree, ask, target, path, cap, reached)


def _asking(view: View) -> Ask:
    def ask(test: AnyTest) -> Answer:
        if not isinstance(test, Test):
            raise TypeError(f"a test of kind {test.kind} is for latency, and was asked of a load")
        return (SHOWN.get(test.kind) or answer)(test, view)

    return ask


def _judge(tree: Tree, view: View, leaf: Leaf, path: tuple[Step, ...], cap: Confidence) -> Verdict:
    ask = _asking(view)
    requires = tuple(checked(tree, ask, name) for name in leaf.requires)
    against = tuple(
        c for c in (checked(tree, ask, name) for name in leaf.contradicted_by) if c.answer.value == "yes"
    )
    confidence, gaps = rate(
        leaf,
        view.root,
        requires,
        against,
        by_text=rests_on_text(view),
        whole_server=view.model is None and (view.case.no_server or view.case.no_repository),
    )
    shows = tuple(checked(tree, ask, name) for name in leaf.shows)
    return Verdict(leaf, lower(confidence, cap), path, requires, against, gaps, shows)


def rate(
    leaf: Leaf,
    root: Claim | None,
    requires: Sequence[Checked],
    against: Sequence[Checked],
    *,
    by_text: bool = False,
    whole_server: bool = False,
) -> tuple[Confidence, tuple[str, ...]]:
    """The word for how sure a leaf is, by rule, and the gaps that lowered it.

    confirmed: everything it requires is seen. likely: one gap. possible: two or more, and whatever rests on a line that proves
    little. A line that is not Triton's own or that does not name the model is a gap each; so is each contradiction. So a log
    alone, which is one source, reaches likely by Triton's own line and never more; by_text: that all is well is said in no such
    line. whole_server: the server gave up starting, or cannot read a repository, so a line needs to name no model."""
    if leaf.category == "cannot_tell":
        return "cannot_tell", ()
    gaps = [f"not seen: {c.says}" for c in requires if c.answer.value != "yes"]
    if root is not None and root.category == leaf.category:
        if root.signature.role == "hint":
            gaps += ["the telling line fits this cause and does not prove it", "no line names the mechanism"]
        if root.by:
            gaps.append(f"these are the words of container {root.by}, and not Triton's")
        elif not root.own:
            gaps.append("the telling line is text without Triton's source file: anything may have printed it")
        if not root.sure and not whole_server:
            gaps.append("the telling line does not name the model; it stands within its load")
        if root.aside:
            gaps.append(f"container {root.by} said it and did not fail of it")
    elif by_text and leaf.category == "not_a_load_failure":
        gaps.append("the lines that say so have no source file of Triton's: anything may have printed them")
    gaps += [f"against it: {c.answer.because}" for c in against]
    return BANDS[min(len(gaps), 2)], tuple(gaps)


def lower(one: Confidence, other: Confidence) -> Confidence:
    """The less sure of both."""
    return BANDS[max(BANDS.index(one), BANDS.index(other))]


def checked(tree: Tree, ask: Ask, name: str) -> Checked:
    check = tree.check(name)
    return Checked(check.id, check.says, ask(check.test), check.test)
