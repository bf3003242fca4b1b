"""A decision tree as data: questions with a test and three branches, leaves with what they rest on and what to do.

Files are `rules/trees/*.yaml`. What a test means is in `triage/answers.py`; this file only says what may be written, and
refuses a tree with a branch that leads nowhere, a leaf that nothing reaches, a probe that nothing uses or a name that is not
there."""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from telemetry.durations import Seconds
from telemetry.located_yaml import InvalidFileError, parse_located
from triage.latency.kinds import LatencyTests
from triage.signatures import CATEGORIES, at_row

Id = Annotated[str, Field(pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$", max_length=80)]
Confidence = Literal["confirmed", "likely", "possible", "cannot_tell"]

TestKind = Literal[
    "seen",
    "failed",
    "unfinished",
    "root",
    "serves",
    "loaded_after",
    "second_source",
    "healthy",
    "said_beside",
    "shared_memory",
    "probe_time",
    "gpus_asked",
    "memory_limit",
    "quiet",
    "at_work",
    "node",
    "gpu_memory",
    "gpu_memory_held",
    "gpu_errors",
    "in_order",
    "read_in_part",
    "alone",
]

PLACEHOLDERS = ("model", "version", "namespace", "workload", "pod", "container", "triton")
LOAD_PLACEHOLDERS = (
    "image",
    "stop_rollout",
    "resume_rollout",
    "undo_rollout",
    "who_serves",
    "fate",
    "previous_revision",
    "new_revision",
    "changed",
    "reloaded",
    "good_version",
    "bad_version_entry",
    "repository",
    "pattern",
    "mutable",
    "baked",
    "gpu_empty",
    "gpu_others",
    "gpu_others_who",
    "gpu_own",
    "gpu_own_who",
)
"""What a load failure may fill in besides, each in `triage/load_figures.py`."""
LATENCY_PLACEHOLDERS = (
    "node",
    "gpu",
    "part",
    "revision",
    "replicas",
    "replicas_needed",
    "hpa",
    "hpa_max",
    "hpa_patch",
    "delay",
    "delay_needed",
    "neighbour",
    "gpu_neighbour",
    "caller",
    "caller_load",
    "larger_by",
    "slow_gpu",
    "gpu_node",
    "other_model",
    "other_model_load",
    "warm_path",
    "freeze",
    "undo_rollout",
    "old_version",
    "new_version",
    "max_in_flight",
    "latency_query",
)
"""What a latency incident may fill in besides, each in `triage/latency/figures.py`."""
ALL_PLACEHOLDERS = tuple(dict.fromkeys((*PLACEHOLDERS, *LOAD_PLACEHOLDERS, *LATENCY_PLACEHOLDERS)))
_MOST = 300
"""Nodes, leaves and checks of one tree: a person reads it, and the walk goes as deep as its nodes."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Test(_Row):
    """A question to the evidence of some probes. `category` belongs to kind root."""

    __test__ = False  # pytest: not a test of ours

    kind: TestKind
    reads: tuple[str, ...] = Field(min_length=1)
    """The probes whose evidence may answer it."""
    category: str | None = None
    signature: str | None = None
    """With a category: this row of the signatures alone."""

    @model_validator(mode="after")
    def _category_where_it_belongs(self) -> Self:
        if (self.kind == "root") != (self.category is not None):
            raise ValueError("'category' belongs to kind 'root', and only there")
        if self.signature is not None and self.category is None:
            raise ValueError("'signature' belongs to kind 'root', beside its category")
        if self.category is not None and self.category not in CATEGORIES:
            raise ValueError(f"{self.category!r} is no category; known: {', '.join(CATEGORIES)}")
        return self


AnyTest = Annotated[Test | LatencyTests, Field(discriminator="kind")]
"""Of either kind of tree: loads are asked about by texts and states, latency by quantities over time."""
Ways = Id | tuple[Id, ...]
"""Where an answer leads: to one place, or to several that are all looked at."""


class Explore(_Row):
    """Both ways are walked; nothing found there is surer than `cap`."""

    explore: tuple[Id, ...] = Field(min_length=2, max_length=_MOST)
    cap: Confidence


def _yes_and_no(value: object) -> object:
    """YAML 1.1 reads the bare keys `yes` and `no` as booleans."""
    if isinstance(value, dict):
        return {
            {True: "yes", False: "no"}.get(key, key) if isinstance(key, bool) else key: inner
            for key, inner in value.items()
        }
    return value


class Node(_Row):
    id: Id
    ask: str = Field(min_length=1)
    test: AnyTest
    yes: Ways
    no: Ways
    unknown: Ways | Explore

    def ways(self, value: str) -> tuple[str, ...]:
        """Where this answer leads."""
        way: Ways | Explore = {"yes": self.yes, "no": self.no, "unknown": self.unknown}[value]
        if isinstance(way, Explore):
            return way.explore
        return (way,) if isinstance(way, str) else way

    def targets(self) -> Iterator[str]:
        for value in ("yes", "no", "unknown"):
            yield from self.ways(value)


class Check(_Row):
    """A test that no branch hangs on: what a leaf rests on, or what speaks against it."""

    id: Id
    says: str = Field(min_length=1)
    """The sentence for the report when the answer is yes."""
    test: AnyTest


class Action(_Row):
    """A mitigation, as an instruction to a person. `{model}`, `{version}`, `{namespace}`, `{workload}`, `{pod}`, `{container}`
    and `{triton}` are filled in where they are known; an action whose command names something unknown loses the command."""

    do: str = Field(min_length=1)
    command: str = ""
    undo: str = Field(min_length=1)
    blast_radius: str = Field(min_length=1)
    verify: str = Field(min_length=1)
    not_if: str = Field(min_length=1)
    needs: tuple[str, ...] = ()
    """Placeholders: shown only where all of them are known."""
    lacks: tuple[str, ...] = ()
    """Placeholders: shown only where none of them is known."""

    def fits(self, known: Collection[str]) -> bool:
        """Whether it is shown where these placeholders are known."""
        return all(name in known for name in self.needs) and not any(name in known for name in self.lacks)

    @model_validator(mode="after")
    def _placeholders_are_known(self) -> Self:
        for name in (*self.needs, *self.lacks):
            if name not in ALL_PLACEHOLDERS:
                raise ValueError(f"{name!r} is never filled in; known: {', '.join(ALL_PLACEHOLDERS)}")
        for text in (self.do, self.command, self.undo, self.blast_radius, self.verify, self.not_if):
            for name in re.findall(r"\{(\w+)\}", text):
                if name not in ALL_PLACEHOLDERS:
                    raise ValueError(f"{{{name}}} is never filled in; known: {', '.join(ALL_PLACEHOLDERS)}")
        before = ""
        for part in re.split(r"(\{\w+\})", self.command):
            if part.startswith("{") and (before.count("'") % 2 or before.count('"') % 2):
                raise ValueError(
                    f"{part} stands between quotes, and is quoted by itself; take it out of them"
                )
            before += part
        return self


class SharedAction(Action):
    """A mitigation of several leaves, before or after their own."""

    id: Id
    place: Literal["first", "last"]
    only: tuple[Id, ...] = ()
    """The leaves that it goes with; none: all but `but`."""
    but: tuple[Id, ...] = ()
    reads: tuple[str, ...] = ()
    """The probes whose evidence fills it in."""
    sources: tuple[str, ...] = Field(min_length=1)

    def goes_with(self, leaf: str) -> bool:
        return leaf in self.only if self.only else leaf not in self.but


class Leaf(_Row):
    id: Id
    category: str
    """One of the categories of the signatures, or cannot_tell."""
    title: str = Field(min_length=1)
    """What it is called in a sentence: `the repository's layout`."""
    means: str = Field(min_length=1)
    mechanism: tuple[Id, ...] = ()
    """Checks that show how it comes about: one that is no rules the leaf out, one that is unknown leaves it possible at most. The
    first is the most telling: where that is unknown, the leaf is named beside a verdict and never as it."""
    excludes: tuple[Id, ...] = ()
    """Checks that must be answered no: one that is yes rules the leaf out, one that is unknown leaves it possible at most."""
    requires: tuple[Id, ...] = ()
    """Checks that must be yes before the verdict may be confirmed."""
    contradicted_by: tuple[Id, ...] = ()
    """Checks that, if yes, lower the verdict by one word each."""
    shows: tuple[Id, ...] = ()
    """Checks that decide nothing: where they are yes, the report tells them after what the verdict rests on; where they are
    unknown, it says that they could not be seen."""
    over: tuple[Id, ...] = ()
    """Leaves that are its consequence where both fit: this one is nearer the root."""
    first: bool = False
    """It answers the page by itself, and stands before any cause that fits as well."""
    gives_way: bool = False
    """It stands behind any other cause that fits as boldly and does not follow from it."""
    separate: Mapping[Id, str] = {}
    """What would tell it from another leaf that fits as well."""
    actions: tuple[Action, ...] = Field(min_length=1)
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _category_is_known(self) -> Self:
        if self.category not in ("cannot_tell", self.id) and self.category not in CATEGORIES:
            raise ValueError(f"{self.category!r} is no category; known: cannot_tell, {', '.join(CATEGORIES)}")
        return self

    @model_validator(mode="after")
    def _always_says_what_to_do(self) -> Self:
        asked = sorted({name for action in self.actions for name in (*action.needs, *action.lacks)})
        for count in range(len(asked) + 1):
            for known in combinations(asked, count):
                if not any(action.fits(known) for action in self.actions):
                    there = (
                        f"where {', '.join(known)} is known" if known else f"where {asked[0]} is not known"
                    )
                    raise ValueError(f"no action is left {there}; give one without 'needs'")
        return self

    @property
    def checks(self) -> tuple[str, ...]:
        """Every check that it names."""
        return (*self.mechanism, *self.excludes, *self.requires, *self.contradicted_by, *self.shows)


class Probe(_Row):
    asks: str = Field(min_length=1)
    deadline: Seconds
    expires: bool = False
    """What it reads is gone soon: asked first."""


class Tree(_Row):
    tree: Id
    about: str = Field(min_length=1)
    budget: Seconds
    """Longest time for all probes together."""
    probes: Mapping[str, Probe]
    start: Id
    nodes: tuple[Annotated[Node, BeforeValidator(_yes_and_no)], ...] = Field(min_length=1, max_length=_MOST)
    checks: tuple[Check, ...] = Field(default=(), max_length=_MOST)
    leaves: tuple[Leaf, ...] = Field(min_length=1, max_length=_MOST)
    shared: tuple[SharedAction, ...] = Field(default=(), max_length=_MOST)

    def actions(self, leaf: Leaf) -> tuple[Action, ...]:
        """The leaf's own, and those that it shares with others before and after."""
        shared = [action for action in self.shared if action.goes_with(leaf.id)]
        first = [action for action in shared if action.place == "first"]
        return (*first, *leaf.actions, *(action for action in shared if action.place == "last"))

    def node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.id == name), None)

    def leaf(self, name: str) -> Leaf:
        return next(leaf for leaf in self.leaves if leaf.id == name)

    def check(self, name: str) -> Check:
        return next(check for check in self.checks if check.id == name)


def parse_tree(text: str, file: str) -> Tree:
    """The tree in this text. Raises InvalidFileError with every mistake."""
    tree = parse_located(Tree, text, file)
    problems = [at_row(file, text, name, message) for name, message in _mistakes(tree)]
    if problems:
        raise InvalidFileError(problems)
    return tree


def _mistakes(tree: Tree) -> Iterator[tuple[str, str]]:
    """(the id or key at fault, what is wrong)."""
    seen: set[str] = set()
    others = (*(check.id for check in tree.checks), *(action.id for action in tree.shared))
    for name in (*_places(tree), *others):
        if name in seen:
            yield (
                name,
                f"{name!r} is given twice; ids of nodes, checks, leaves and shared actions are one namespace",
            )
        seen.add(name)
    places = set(_places(tree))
    checks = {check.id for check in tree.checks}
    if tree.start not in places:
        yield "start", f"start: {tree.start!r} is no node; known: {', '.join(sorted(places))}"
    for node in tree.nodes:
        for target in node.targets():
            if target not in places:
                yield node.id, f"{node.id!r} leads to {target!r}, which is no node or leaf"
        if isinstance(node.unknown, Explore) and len({*node.unknown.explore}) < len(node.unknown.explore):
            yield node.id, f"{node.id!r} explores a way twice"
    for leaf in tree.leaves:
        for name in leaf.checks:
            if name not in checks:
                yield leaf.id, f"{leaf.id!r} names check {name!r}, which is not there"
        for name in (*leaf.over, *leaf.separate):
            if name not in {other.id for other in tree.leaves}:
                yield leaf.id, f"{leaf.id!r} names leaf {name!r}, which is not there"
    for action in tree.shared:
        for name in (*action.only, *action.but):
            if name not in {leaf.id for leaf in tree.leaves}:
                yield action.id, f"{action.id!r} names leaf {name!r}, which is not there"
        if action.only and action.but:
            yield action.id, f"{action.id!r} has 'only' and 'but': give one of them"
    yield from _unreached(tree)
    yield from _unused(tree)
    yield from _circles(tree)


def _places(tree: Tree) -> list[str]:
    """Where a walk can stand: nodes and leaves."""
    return [node.id for node in tree.nodes] + [leaf.id for leaf in tree.leaves]


def _unreached(tree: Tree) -> Iterator[tuple[str, str]]:
    reached: set[str] = set()
    waiting = [tree.start]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        if node := tree.node(name):
            waiting += node.targets()
    for name in _places(tree):
        if name not in reached:
            yield name, f"nothing leads to {name!r}"
    named = {name for leaf in tree.leaves for name in leaf.checks}
    for check in tree.checks:
        if check.id not in named:
            yield check.id, f"no leaf names check {check.id!r}"


def _unused(tree: Tree) -> Iterator[tuple[str, str]]:
    used: set[str] = set()
    tests = [(node.id, node.test) for node in tree.nodes] + [(check.id, check.test) for check in tree.checks]
    # Quantities say themselves what they read: see triage/latency/rules.py.
    reads = [(name, test.reads) for name, test in tests if isinstance(test, Test)]
    for name, probes in (*reads, *((action.id, action.reads) for action in tree.shared)):
        for probe in probes:
            if probe not in tree.probes:
                yield name, f"{name!r} reads {probe!r}, which is no probe; known: {', '.join(tree.probes)}"
            used.add(probe)
    for probe in tree.probes if used else ():
        if probe not in used:
            yield probe, f"probe {probe!r} is read by no test"


def _circles(tree: Tree) -> Iterator[tuple[str, str]]:
    done: set[str] = set()

    def walk(name: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if name in above:
            yield name, f"{name!r} leads back to itself: {' -> '.join((*above[above.index(name) :], name))}"
        elif name not in done and (node := tree.node(name)):
            for target in node.targets():
                yield from walk(target, (*above, name))
            done.add(name)

    yield from walk(tree.start, ())
