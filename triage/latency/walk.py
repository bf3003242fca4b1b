"""From the tree of latency and an incident to the leaves that fit, how sure each is, and what would tell them apart. Pure.

Several leaves may be reached: slow requests have more than one look. A leaf's mechanism decides whether it stays, what it requires
and what contradicts it decide the word."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from triage.answers import Answer
from triage.latency.answers import answer
from triage.latency.incident import Incident
from triage.tree import AnyTest, Confidence, Leaf, Test, Tree
from triage.walk import BANDS, Ask, Checked, Step, checked, lower, reach


@dataclass(frozen=True, slots=True)
class Candidate:
    leaf: Leaf
    confidence: Confidence
    mechanism: tuple[Checked, ...]
    excludes: tuple[Checked, ...]
    requires: tuple[Checked, ...]
    against: tuple[Checked, ...]
    gaps: tuple[str, ...]
    shows: tuple[Checked, ...] = ()
    """What more there is to tell of it; decides nothing."""
    consequence_of: str = ""
    """The leaf that this one follows from, where both fit."""
    opposed_by: str = ""
    """A surer leaf that is known by what speaks against this one."""
    rivals: tuple[str, ...] = ()
    """Leaves that it would follow from, and that no source tells of."""

    @property
    def lacks_evidence(self) -> bool:
        """Whether a part of its mechanism could not be looked at."""
        return any(check.answer.value == "unknown" for check in (*self.mechanism, *self.excludes))

    @property
    def faint(self) -> bool:
        """A part of its mechanism could not be looked at; or its cause could not, and it is itself not all there. Then it is named
        as what fits too, and never as the verdict."""
        absent = any(check.answer.value == "no" for check in self.requires)
        return self.lacks_evidence or (bool(self.rivals) and (absent or not self.bold))

    @property
    def bold(self) -> bool:
        return BANDS.index(self.confidence) <= BANDS.index("likely")

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, bool, bool, int, int, int]:
        """Smaller is nearer the cause: what answers the page by itself; what is bold; a cause before its consequence, and what
        nothing surer speaks against; what gives way to any named cause last; then the surest, with the fewest gaps, with most of
        its mechanism seen."""
        seen = sum(1 for check in self.mechanism if check.answer.value == "yes")
        return (
            self.faint,
            self.leaf.category == "cannot_tell",
            not self.leaf.first,
            not self.bold,
            bool(self.consequence_of or self.opposed_by),
            self.leaf.gives_way,
            BANDS.index(self.confidence),
            len(self.gaps),
            -seen,
        )


@dataclass(frozen=True, slots=True)
class Walk:
    candidates: Sequence[Candidate]
    """Those that fit, the likeliest first; never empty."""
    ruled_out: Sequence[tuple[Leaf, Checked]]
    """Leaves that were reached, and the part of their mechanism that is not there."""
    path: Sequence[Step]


def walk(tree: Tree, incident: Incident) -> Walk:
    """The leaves of the tree that fit the incident."""
    known: dict[AnyTest, Answer] = {}

    def ask(test: AnyTest) -> Answer:
        if isinstance(test, Test):
            raise TypeError(f"a test of kind {test.kind} is for a load, and was asked of latency")
        if test not in known:
            known[test] = answer(test, incident)
        return known[test]

    fitting: dict[str, Candidate] = {}
    ruled_out: dict[str, tuple[Leaf, Checked]] = {}
    path: dict[str, Step] = {}
    for leaf, way, cap in reach(tree, ask):  # a leaf comes again only where another way is surer
        path |= {step.node: step for step in way if step.node not in path}
        candidate = _judge(tree, ask, leaf, cap)
        missing = next((c for c in candidate.mechanism if c.answer.value == "no"), None)
        missing = missing or next((c for c in candidate.excludes if c.answer.value == "yes"), None)
        if missing is not None:
            ruled_out[leaf.id] = (leaf, missing)
        elif not leaf.mechanism or any(c.answer.value == "yes" for c in candidate.mechanism):
            fitting[leaf.id] = candidate
    judged = [_beside_rivals(candidate, [*fitting.values()]) for candidate in fitting.values()]
    if all(candidate.faint for candidate in judged):  # no way led to the leaf that says so
        leaf = next(leaf for leaf in tree.leaves if leaf.category == "cannot_tell")
        judged.append(_judge(tree, ask, leaf, "cannot_tell"))
    order = {leaf.id: number for number, leaf in enumerate(tree.leaves)}
    candidates = sorted(_root_first(judged), key=lambda c: (c.rank, order[c.leaf.id]))
    return Walk(candidates, [*ruled_out.values()], [*path.values()])


def _judge(tree: Tree, ask: Ask, leaf: Leaf, cap: Confidence) -> Candidate:
    """confirmed: its mechanism and all that it requires are seen and nothing contradicts; likely: one gap; possible: more, or a
    part of its mechanism that could not be looked at."""
    mechanism = tuple(checked(tree, ask, name) for name in leaf.mechanism)
    excludes = tuple(checked(tree, ask, name) for name in leaf.excludes)
    requires = tuple(checked(tree, ask, name) for name in leaf.requires)
    against = tuple(
        c for c in (checked(tree, ask, name) for name in leaf.contradicted_by) if c.answer.value == "yes"
    )
    shows = tuple(checked(tree, ask, name) for name in leaf.shows)
    if leaf.category == "cannot_tell":
        return Candidate(leaf, "cannot_tell", mechanism, excludes, requires, against, (), shows)
    unseen = [c for c in (*mechanism, *excludes) if c.answer.value == "unknown"]
    gaps = [f"not seen: whether {c.says}" for c in unseen]
    gaps += [f"not seen: {c.says}" for c in requires if c.answer.value != "yes"]
    gaps += [f"against it: {c.answer.because}" for c in against]
    word = BANDS[min(len(gaps), 2)]
    if unseen:
        word = lower(word, "possible")
    return Candidate(leaf, lower(word, cap), mechanism, excludes, requires, against, tuple(gaps), shows)


def _beside_rivals(one: Candidate, fitting: Sequence[Candidate]) -> Candidate:
    """Likely at most where there are leaves that would be its cause and that no source tells of: a part of their mechanism could
    not be looked at, and all that is known of them fits."""
    rivals = [other for other in fitting if _is_unseen_cause(other, one)]
    if not rivals or one.leaf.category == "cannot_tell":
        return one
    unseen = dict.fromkeys(_untold(other)[0].says for other in rivals)
    gaps = (*one.gaps, f"not seen: whether {', or '.join(unseen)}")
    word = lower(one.confidence, "likely")
    return replace(one, confidence=word, gaps=gaps, rivals=tuple(other.leaf.id for other in rivals))


def _untold(one: Candidate) -> list[Checked]:
    """The parts of its mechanism that no source tells of."""
    return [c for c in one.mechanism if c.answer.value == "unknown" and not c.answer.evidence]


def _is_unseen_cause(other: Candidate, one: Candidate) -> bool:
    if one.leaf.id not in other.leaf.over or other.leaf.id in one.leaf.over:
        return False
    return (
        bool(_untold(other))
        and not other.against
        and not any(check.answer.value == "no" for check in other.requires)
    )


def _root_first(fitting: list[Candidate]) -> list[Candidate]:
    """Marks what follows from another leaf that fits about as surely."""
    return [
        replace(
            candidate,
            consequence_of=next((o.leaf.id for o in fitting if _is_over(o, candidate)), ""),
            opposed_by=next((o.leaf.id for o in fitting if _speaks_against(o, candidate)), ""),
        )
        for candidate in fitting
    ]


def _speaks_against(one: Candidate, other: Candidate) -> bool:
    """Whether the one is surer, and known by what speaks against the other."""
    seen = {check.check for check in (*one.mechanism, *one.requires) if check.answer.value == "yes"}
    return _surer(one, other) and bool(seen & {check.check for check in other.against})


def _surer(one: Candidate, other: Candidate) -> bool:
    return BANDS.index(one.confidence) < BANDS.index(other.confidence)


def _is_over(one: Candidate, other: Candidate) -> bool:
    """Whether it is the cause of the other; where each may be the other's, the surer one is."""
    if other.leaf.id not in one.leaf.over or _speaks_against(other, one):
        return False
    if one.leaf.id in other.leaf.over:
        return _surer(one, other)
    return one.bold or not _surer(other, one)
