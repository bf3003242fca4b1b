"""Of each pod the newest evidence, where each of two sources has some: its own page as scraped, or as Prometheus has it.

A pod that does not answer scrapes is seen as soon as Prometheus has a sample of it from after its last answer: it lives, and the
way to it is cut. Until then nobody knows more than that it does not answer. What was learnt of a pod that left counts once.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Final

from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.target import Phase, PodKey

SCRAPE: Final = "scrape"
PROMETHEUS: Final = "prometheus"
CONTRADICTED: Final = "Prometheus shows other counters than it did itself"


@dataclass(frozen=True, slots=True)
class Ages:
    """Seconds for which a pod's last sample stands, by source."""

    scrape: float
    prometheus: float

    def of(self, source: str) -> float:
        return self.scrape if source == SCRAPE else self.prometheus


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison of both sources' counters found of one pod."""

    difference: float | None
    """0 to 1; None: not compared."""
    contradicted: bool


NOT_COMPARED: Final = Compared(None, contradicted=False)


@dataclass(slots=True)
class _Seen:
    """A pod as one source has it: as it is now, and what its earlier containers and itself left."""

    current: PodState | None = None
    left: list[PodState] = field(default_factory=list)


def choose_pods(
    scraped: Iterable[PodState],
    told: Iterable[PodState],
    compared: Mapping[PodKey, Compared],
    ages: Ages,
    now: float,
) -> Iterator[PodState]:
    """A namespace's pods as both sources have them. `now` in monotonic seconds."""
    ours, theirs = _by_pod(scraped), _by_pod(told)
    nothing = _Seen()
    for key in dict.fromkeys((*ours, *theirs)):
        here, there = ours.get(key, nothing), theirs.get(key, nothing)
        found = compared.get(key, NOT_COMPARED)
        if here.current is not None and there.current is not None:
            yield choose(here.current, there.current, found, ages, now)
        elif here.current is not None:
            yield _of(here.current, SCRAPE, ages, found)
        elif there.current is not None:
            yield _of(there.current, PROMETHEUS, ages, found)
        if _last(there.left) > _last(here.left):
            yield from (_of(state, PROMETHEUS, ages, found) for state in there.left)
        else:
            yield from (_of(state, SCRAPE, ages, found) for state in here.left)


def choose(scraped: PodState, told: PodState, compared: Compared, ages: Ages, now: float) -> PodState:
    """A pod that both know, by the one whose evidence is newer; scraped where both have some."""
    models = {**told.models, **scraped.models} if told.models else scraped.models
    if _usable(scraped, ages.scrape, now):
        return _of(scraped, SCRAPE, ages, compared, models)
    newer = _at(told) >= (_at(scraped) if _full(scraped) else -inf)
    if newer and not compared.contradicted and _usable(told, ages.prometheus, now):
        return _of(told, PROMETHEUS, ages, compared, models)
    if compared.contradicted:
        told = replace(told, windows={}, failure=CONTRADICTED)
    if (_full(told), _at(told)) > (_full(scraped), _at(scraped)):
        failure = _join(told.failure, scraped.failure and f"scrapes: {scraped.failure}")
        return _of(replace(told, failure=failure), PROMETHEUS, ages, compared, models)
    failure = _join(scraped.failure, told.failure)
    return _of(replace(scraped, failure=failure), SCRAPE, ages, compared, models)


def _join(failure: str | None, other: str | None) -> str | None:
    """What ails both; a source that answers and knows too little yet ails nothing."""
    return f"{failure}; {other}" if failure and other else failure


def _by_pod(states: Iterable[PodState]) -> dict[PodKey, _Seen]:
    seen: dict[PodKey, _Seen] = {}
    for state in states:
        pod = seen.setdefault(state.target.key, _Seen())
        if state.target.phase in (Phase.STARTING, Phase.RUNNING):
            pod.current = state
        else:
            pod.left.append(state)
    return seen


def _of(
    state: PodState,
    source: str,
    ages: Ages,
    compared: Compared,
    models: Mapping[str, ModelFacts] | None = None,
) -> PodState:
    known = state.models if models is None else models
    return PodState(
        state.target,
        state.known_since,
        state.windows,
        state.failure,
        known,
        source,
        ages.of(source),
        compared.difference,
    )


def _usable(state: PodState, max_age: float, now: float) -> bool:
    return state.failure is None and _full(state) and now - _at(state) <= max_age


def _full(state: PodState) -> bool:
    return bool(state.windows) and all(window.full for window in state.windows.values())


def _at(state: PodState) -> float:
    """Monotonic second of the last sample."""
    return max((window.at for window in state.windows.values()), default=-inf)


def _last(states: Iterable[PodState]) -> float:
    return max(map(_at, states), default=-inf)
