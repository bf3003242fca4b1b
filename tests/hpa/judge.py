"""Each sync of the real controller beside `decide` on the same inputs. Pure.

Where an input is known only to be one of a few (pods whose readiness had just changed, an age so near the edge of a window that
what bounds the controller's clock does not tell its side), all of them are followed. If they come to the same outcome, it is
compared; if not, the sync is not compared but counted, and what the controller did says which of them to follow on. An outcome
that none of them comes to is a disagreement."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from telemetry.hpa import Decision, Reading, Readings
from telemetry.hpa_behavior import State, StepKind
from telemetry.hpa_spec import HpaSpec
from tests.hpa.stage import Played, ReadyChange
from tests.hpa.syncs import Sync
from tests.hpa.told import limited

Decide = Callable[[HpaSpec, State, Readings, float], tuple[State, Decision]]
CACHE_SECONDS: Final = 1.0
"""The controller's cache of pods has a change this long after it was made, at the latest."""
_MOST_STATES: Final = 64
_KINDS: Final = ("recommendations", "scale_ups", "scale_downs")
"""Of entries in a history: each may lie on another side of an edge, also two of one sync."""
OPEN: Final = "inputs that allow two outcomes"
TOO_MANY: Final = "too many histories fit"
AFTER: Final = "after a sync that could not be followed"


@dataclass(frozen=True)
class Outcome:
    """What is compared; None where this sync does not show it."""

    replicas: int
    asked: bool
    held: bool | None
    limited: str | None
    scaled_to_zero: bool


@dataclass(frozen=True)
class Disagreement:
    scenario: str
    sync: int
    controller: Outcome
    ours: tuple[Outcome, ...]
    steps: tuple[str, ...]
    seen: Sync

    def __str__(self) -> str:
        steps = "\n    ".join(self.steps)
        ours = "\n    or ".join(map(str, self.ours))
        return f"{self.scenario}, sync {self.sync}: controller {self.controller}\n    ours {ours}\n    {steps}\n    {self.seen}"


@dataclass
class Verdicts:
    compared: int = 0
    shown: Counter[str] = field(default_factory=Counter)
    """What the compared syncs were about: how many had each."""
    skipped: Counter[str] = field(default_factory=Counter)
    disagreements: list[Disagreement] = field(default_factory=list)

    def add(self, other: "Verdicts") -> None:
        self.compared += other.compared
        self.shown += other.shown
        self.skipped += other.skipped
        self.disagreements += other.disagreements


def judge(played: Played, syncs: Sequence[Sync], decide: Decide) -> Verdicts:
    verdicts = Verdicts()
    states = {_first_state(played.spec, syncs[0], decide)} if syncs else set()
    latest: dict[float, float] = {}
    """Of a time in a history, which is the earliest that fits, the latest that does."""
    if syncs:
        latest[syncs[0].began] = syncs[0].pods_read[0]
    for number, sync in enumerate(syncs):
        if sync.unreadable:
            verdicts.skipped[sync.unreadable] += 1
            verdicts.skipped[AFTER] += len(syncs) - number - 1
            return verdicts
        seen = _seen(sync)
        found = [
            (_outcome(state, decision, seen), state, decision)
            for before in states
            for readings in _readings(played, sync)
            for state, decision in _decided(played.spec, before, readings, sync, latest, decide)
        ]
        ours = {outcome for outcome, _, _ in found}
        if seen not in ours:
            steps = tuple(f"{step.kind}: {step.why}" for step in found[0][2].steps)
            verdicts.disagreements.append(
                Disagreement(played.scenario.name, number, seen, tuple(sorted(ours, key=repr)), steps, sync)
            )
            verdicts.skipped[AFTER] += len(syncs) - number - 1
            return verdicts
        if len(ours) == 1:
            verdicts.compared += 1
            verdicts.shown.update(_shown(sync, found[0][2]))
        else:
            verdicts.skipped[OPEN] += 1
        states = {state for outcome, state, _ in found if outcome == seen}
        latest[sync.clock[0]] = sync.clock[1]
        latest.setdefault(*sync.written)
        if len(states) > _MOST_STATES:
            verdicts.skipped[TOO_MANY] += len(syncs) - number - 1
            return verdicts
    return verdicts


def _first_state(spec: HpaSpec, sync: Sync, decide: Decide) -> State:
    """With the first recommendation, made as soon as the scale was read: asking for metrics may take long."""
    if not sync.readings:
        return State()
    nothing_yet = tuple(Reading(error="not asked yet") for _ in spec.metrics)
    readings = Readings(sync.spec_replicas, sync.status_replicas, None, nothing_yet)
    return decide(spec, State(), readings, sync.began)[0]


def _shown(sync: Sync, decision: Decision) -> set[str]:
    shown = {str(step.kind) for step in decision.steps}
    if sync.spec_replicas == 0 and sync.replicas > 0:
        shown.add("from zero")
    if sync.spec_replicas > 0 and sync.replicas == 0:
        shown.add("to zero")
    if sync.replicas != sync.spec_replicas:
        shown.add("scaled up" if sync.replicas > sync.spec_replicas else "scaled down")
    return shown


def _seen(sync: Sync) -> Outcome:
    """What the controller did, as the scale and the HPA's conditions say."""
    asked = sync.readings is not None
    inactive = sync.conditions.get("ScalingActive", ("", ""))[0] == "False"
    disabled = not asked and sync.spec_replicas == 0
    held = inactive if asked or disabled else None
    return Outcome(
        replicas=sync.replicas,
        asked=asked,
        held=held,
        limited=sync.conditions["ScalingLimited"][1] if asked and not held else None,
        scaled_to_zero=sync.conditions.get("ScaledToZero", ("", ""))[0] == "True",
    )


def _outcome(state: State, decision: Decision, seen: Outcome) -> Outcome:
    """The same of a decision, as far as the sync shows it."""
    of_metrics = (StepKind.PROPOSED, StepKind.WITHIN_TOLERANCE, StepKind.INVALID)
    return Outcome(
        replicas=decision.replicas,
        asked=any(step.kind in of_metrics for step in decision.steps),
        held=None if seen.held is None else decision.held,
        limited=None if seen.limited is None or decision.held else limited(decision),
        scaled_to_zero=state.scaled_to_zero,
    )


def _readings(played: Played, sync: Sync) -> Iterator[Readings]:
    metrics = sync.readings or tuple(Reading(error="not asked") for _ in played.spec.metrics)
    for ready in _ready(played, sync.pods_read):
        yield Readings(sync.spec_replicas, sync.status_replicas, ready, metrics)


def _ready(played: Played, read: tuple[float, float]) -> list[int | None]:
    """Every number of ready pods that the controller's cache may have shown then."""
    if played.scenario.pods == 0:
        return [None]
    ready = played.scenario.moments[0].ready
    maybe: set[int] = set()
    for change in played.ready:
        if change.ended + CACHE_SECONDS < read[0]:
            ready = change.after
        elif change.began <= read[1]:
            maybe |= _between(change)
    return [*sorted({ready, *maybe})]


def _between(change: ReadyChange) -> set[int]:
    low, high = sorted((change.before, change.after))
    return set(range(low, high + 1))


def _decided(
    spec: HpaSpec,
    before: State,
    readings: Readings,
    sync: Sync,
    latest: Mapping[float, float],
    decide: Decide,
) -> Iterator[tuple[State, Decision]]:
    """`decide` once, or, where times in the history may lie on either side of an edge, once for each side of each."""
    early, late = sync.clock
    entries = [
        (kind, index, each.at) for kind in _KINDS for index, each in enumerate(getattr(before, kind) or ())
    ]
    open_ones = [entry for entry in entries if _at_an_edge(spec, early - latest[entry[2]], late - entry[2])]
    back = {latest[at]: at for _, _, at in open_ones} | {at - (late - early): at for _, _, at in open_ones}
    for sides in itertools.product((True, False), repeat=len(open_ones)):
        state = before
        for (kind, index, at), young in zip(open_ones, sides, strict=True):
            # As young as the entry can be now, or as old.
            state = _with_time(state, kind, index, latest[at] if young else at - (late - early))
        state, decision = decide(spec, state, readings, early)
        yield _with_written(_with_times(state, back), sync), decision


def _with_time(state: State, kind: str, index: int, at: float) -> State:
    entries = list(getattr(state, kind))
    entries[index] = entries[index]._replace(at=at)
    changed: dict[str, Any] = {kind: tuple(entries)}
    return replace(state, **changed)


def _with_times(state: State, times: Mapping[float, float]) -> State:
    for kind in _KINDS:
        for index, each in enumerate(getattr(state, kind) or ()):
            if each.at in times:
                state = _with_time(state, kind, index, times[each.at])
    return state


def _with_written(state: State, sync: Sync) -> State:
    """The controller keeps a scale event as of when the scale was written; `decide` has one time for all that it does."""
    for kind in ("scale_ups", "scale_downs"):
        for index, each in enumerate(getattr(state, kind)):
            if each.at == sync.clock[0]:
                state = _with_time(state, kind, index, sync.written[0])
    return state


def _at_an_edge(spec: HpaSpec, youngest: float, oldest: float) -> bool:
    edges = {spec.downscale_stabilization_seconds}
    if spec.behavior is not None:
        both = (spec.behavior.scale_up, spec.behavior.scale_down)
        edges = {rules.stabilization_window_seconds for rules in both}
        edges |= {policy.period_seconds for rules in both for policy in rules.policies}
    return any(youngest <= edge <= oldest for edge in edges)
