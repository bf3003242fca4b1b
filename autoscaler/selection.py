"""Which pods and model rows a question is about, and how each pod stands.

A pod *answered*, is *warming up* (its window is not covered yet), is *silent* (it should answer and does not), or is *new*
(nothing can have happened in it before it was ready, and no sample of it is there yet). It *departed* when it terminates or its
container stopped: it leaves ratios at once, and totals as its last window slides out, since what it did in the window was done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Literal

from autoscaler.alias import selectable_names
from autoscaler.selector import Operator, Requirement, Selector
from autoscaler.signal import Signal
from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.target import Phase, PodKey, Target, Workload
from telemetry.window import SUCCESS, PodWindow, RowKey, RowWindow

ROW_LABELS = ("model", "version")
POD_LABELS = ("workload", "node")
_EQUALITY = (Operator.EQUALS, Operator.DOUBLE_EQUALS, Operator.IN)


class Standing(StrEnum):
    ANSWERED = "answered"
    WARMING_UP = "warming_up"
    SILENT = "silent"
    NEW = "new"
    DEPARTED = "departed"


@dataclass(frozen=True, slots=True)
class SelectedPod:
    """A pod that the question is about, with the rows of it that count."""

    state: PodState
    standing: Standing
    age_seconds: float
    """Since the last sample, or since the pod should have given one."""
    window: PodWindow | None
    rows: Mapping[RowKey, RowWindow] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.state.target.key.pod


@dataclass(frozen=True, slots=True)
class Settings:
    """`max_age`: seconds for which a silent pod's last contribution stands. `coverage`: share of targets that a mean, ratio
    or quantile needs. `pod_labels`: pod labels that selectors may name. `models`: facts that people declared. `source`: where the
    pods' metrics were read, for the answer to say; empty where nobody asked."""

    max_age: float = 10.0
    coverage: float = 0.8
    pod_labels: tuple[str, ...] = ()
    models: Mapping[str, ModelFacts] = field(default_factory=dict)
    source: str = ""


class AmbiguousModel(Exception):
    """A value for `model` in the selector fits two models; guessing would scale one fleet by another's load."""

    def __init__(self, value: str, models: Sequence[str]) -> None:
        super().__init__(f"model={value} fits {' and '.join(map(repr, models))}")
        self.value = value
        self.models = models


def max_age_of(state: PodState, settings: Settings) -> float:
    return settings.max_age if state.max_age is None else state.max_age


def unknown_label(selector: Selector, settings: Settings) -> str | None:
    """The first key of the selector that no series can have, if any."""
    known = {*ROW_LABELS, *POD_LABELS, *settings.pod_labels}
    return next((r.key for r in selector.requirements if r.key not in known), None)


def select_pods(
    signal: Signal, pods: Iterable[PodState], selector: Selector, settings: Settings, now: float
) -> list[SelectedPod]:
    """Pods whose own labels match, in order of name, each with the rows that match; `now` in monotonic seconds. Raises
    `AmbiguousModel`."""
    different = dict.fromkeys(selector.requirements)
    on_pods = _PodFilter([r for r in different if r.key not in ROW_LABELS], settings)
    on_rows = _RowFilter([r for r in different if r.key in ROW_LABELS])
    chosen: list[SelectedPod] = []
    matching = [state for state in pods if on_pods.match(state.target)]
    for state in sorted(matching, key=lambda state: state.target.key):
        window = state.windows.get(signal.window)
        standing, age = _stand(state, window, signal.window, settings, now)
        if standing is Standing.DEPARTED and age >= signal.window:
            continue
        rows = {} if window is None else _matching_rows(signal, state, window, settings, on_rows)
        chosen.append(SelectedPod(state, standing, age, window, rows))
    return chosen


def count_pods(
    state: Literal["pending", "loading"], pods: Iterable[PodState], selector: Selector, settings: Settings
) -> int | None:
    """Selected pods that are on no node yet, or on one and not ready, by what Kubernetes says; None where no pod is selected."""
    selected: dict[PodKey, Target] = {}
    for pod in pods:  # what its earlier containers left comes after the pod itself
        if _all(selector.requirements, _pod_labels(pod, settings)):
            selected.setdefault(pod.target.key, pod.target)
    if not selected:
        return None
    waiting = [t for t in selected.values() if not (t.ready or t.finished or t.phase is Phase.TERMINATING)]
    return sum(bool(target.node) == (state == "loading") for target in waiting)


def relevant(pods: Sequence[SelectedPod]) -> list[SelectedPod]:
    """Pods that serve what was asked for, and silent ones that may: a pod that never answered may serve it unless
    others of its workload answer and do not. Departed pods are not among them."""
    pods = [pod for pod in pods if pod.standing is not Standing.DEPARTED]
    serving: dict[Workload | None, bool] = {}
    for pod in pods:
        if pod.window is not None:
            workload = pod.state.target.workload
            serving[workload] = serving.get(workload, False) or bool(pod.rows)
    return [
        pod
        for pod in pods
        if pod.rows
        or (
            (pod.standing is Standing.SILENT and pod.window is None)
            and serving.get(pod.state.target.workload, True)
        )
    ]


def unmeasured(pods: Sequence[SelectedPod]) -> list[SelectedPod]:
    """Ready pods of which no sample came yet, of workloads that serve what was asked for: they get their share of the load."""
    serving = {
        pod.state.target.workload for pod in pods if pod.rows and pod.standing is not Standing.DEPARTED
    }
    return [
        pod
        for pod in pods
        if pod.standing is Standing.NEW and pod.state.target.ready and pod.state.target.workload in serving
    ]


class Facts:
    """What is known of each pod's models: declared, else read from the pod, else read from another pod of its workload."""

    def __init__(self, pods: Sequence[SelectedPod], settings: Settings) -> None:
        self._declared = settings.models
        self._pods = pods
        self._ensembles: dict[str, bool] = {}

    def of(self, pod: SelectedPod, model: str) -> ModelFacts | None:
        """None when nobody could read the model's configuration. What people declare is of its kind alone."""
        read = pod.state.models.get(model) or self._shared.get((pod.state.target.workload, model))
        declared = self._declared.get(model)
        if declared is None or read is None:
            return declared or read
        return replace(read, decoupled=declared.decoupled, parts=declared.parts)

    def may_be_ensemble(self, model: str) -> bool:
        """Whether some pod's model of this name is one: most fleets have none, and need not look further."""
        found = self._ensembles.get(model)
        if found is None:
            read = (known.get(model) for known in (self._declared, *(pod.state.models for pod in self._pods)))
            found = self._ensembles[model] = any(facts is not None and facts.parts for facts in read)
        return found

    @cached_property
    def _shared(self) -> Mapping[tuple[Workload | None, str], ModelFacts]:
        """Made for the first pod that could not read a model for itself."""
        shared: dict[tuple[Workload | None, str], ModelFacts] = {}
        for pod in self._pods:
            for model, facts in pod.state.models.items():
                shared.setdefault((pod.state.target.workload, model), facts)
        return shared

    def parts_of(self, pod: SelectedPod, model: str) -> frozenset[str]:
        """Models inside an ensemble, through the ensembles inside it; none for other models."""
        if not self.may_be_ensemble(model):
            return frozenset()
        inside: set[str] = set()
        unread = [model]
        while unread:
            found = self.of(pod, unread.pop())
            new = set(found.parts) - inside if found else set()
            inside |= new
            unread += new
        return frozenset(inside - {model})


def expand_ensembles(signal: Signal, pod: SelectedPod, facts: Facts) -> Mapping[RowKey, RowWindow]:
    """The pod's rows with an ensemble or its parts, never both.

    Where the signal says `parts`, or `own` and a part is selected beside its ensemble, the ensemble is taken apart; with `outer` it
    stands for the parts that are selected beside it."""
    if signal.scope != "model" or pod.window is None:
        return pod.rows
    candidates = [key for key in pod.rows if facts.may_be_ensemble(key.model)]
    if signal.ensembles == "outer":
        inside = {part for key in candidates for part in facts.parts_of(pod, key.model)}
        return {key: row for key, row in pod.rows.items() if key.model not in inside}
    pending = [key for key in candidates if (found := facts.of(pod, key.model)) and found.parts]
    if not pending:
        return pod.rows
    rows = dict(pod.rows)
    expanded: set[str] = set()
    while pending:
        ensemble = pending.pop()
        found = facts.of(pod, ensemble.model)
        parts = set(found.parts) if found else set()
        overlaps = not facts.parts_of(pod, ensemble.model).isdisjoint(key.model for key in rows)
        if ensemble.model in expanded or not (signal.ensembles == "parts" or overlaps):
            continue
        expanded.add(ensemble.model)
        for key in [key for key in rows if key.model == ensemble.model]:
            del rows[key]
        for key, row in pod.window.rows.items():
            if (
                key.model in parts
                and key.model not in expanded
                and key not in rows
                and SUCCESS in row.increase
            ):
                rows[key] = row
                inner = facts.of(pod, key.model)
                if inner and inner.parts:
                    pending.append(key)
    return rows


def _pod_labels(state: PodState, settings: Settings) -> dict[str, str]:
    names = (*settings.pod_labels, *POD_LABELS)
    found = {name: _pod_label(state.target, name, settings) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _pod_label(target: Target, name: str, settings: Settings) -> str | None:
    """None where the pod has no such label, or none that may be selected."""
    if name == "workload":
        return target.workload.name if target.workload is not None else None
    if name == "node":
        return target.node or None
    return target.labels.get(name) if name in settings.pod_labels else None


def _all(requirements: Iterable[Requirement], labels: Mapping[str, str]) -> bool:
    return all(requirement.matches(labels) for requirement in requirements)


def _stand(
    state: PodState, window: PodWindow | None, seconds: float, settings: Settings, now: float
) -> tuple[Standing, float]:
    if state.target.phase in (Phase.TERMINATING, Phase.STOPPED):
        return Standing.DEPARTED, seconds if window is None else now - window.at
    if window is not None:
        age = now - window.at
        if state.failure is not None or age > max_age_of(state, settings):
            return Standing.SILENT, age
        return (Standing.ANSWERED if window.full else Standing.WARMING_UP), age
    known = now - state.known_since
    target = state.target
    if target.phase is Phase.STARTING or not target.ready:
        return Standing.NEW, known
    if target.born_in_sight:
        return (Standing.NEW, known) if known <= seconds else (Standing.SILENT, known - seconds)
    return Standing.SILENT, known


class _PodFilter(dict[str | tuple[str | None, ...] | None, bool]):
    """Whether a pod's labels satisfy the requirements, worked out once for all the pods that have the same values."""

    def __init__(self, requirements: Sequence[Requirement], settings: Settings) -> None:
        super().__init__()
        self._requirements = requirements
        self._keys = tuple(dict.fromkeys(r.key for r in requirements))
        self._settings = settings

    def match(self, target: Target) -> bool:
        if self._keys == ("workload",):  # what nearly every HPA asks
            return self[target.workload.name if target.workload is not None else None]
        return self[tuple([_pod_label(target, key, self._settings) for key in self._keys])]

    def __missing__(self, values: str | tuple[str | None, ...] | None) -> bool:
        shown = values if isinstance(values, tuple) else (values,)
        labels = {key: value for key, value in zip(self._keys, shown, strict=True) if value is not None}
        matches = self[values] = _all(self._requirements, labels)
        return matches


class _RowFilter(dict[RowKey, bool]):
    """Whether a row's labels satisfy the requirements, worked out once for all the pods that serve the model."""

    def __init__(self, requirements: Sequence[Requirement]) -> None:
        super().__init__()
        self.requirements = requirements
        self._asked = {value for r in requirements if r.key == "model" for value in r.values}
        self._required = any(r.key == "model" and r.operator in _EQUALITY for r in requirements)
        self._named: dict[str, str] = {}

    def __missing__(self, key: RowKey) -> bool:
        names = selectable_names(key.model)
        if self._required and self._asked.isdisjoint(names):
            self[key] = False
            return False
        for value in self._asked & names:
            other = self._named.setdefault(value, key.model)
            if other != key.model:
                raise AmbiguousModel(value, sorted((other, key.model)))
        labels = {"model": key.model, "version": key.version}
        matches = all(
            requirement.matches(labels, names if requirement.key == "model" else frozenset())
            for requirement in self.requirements
        )
        self[key] = matches
        return matches


def _matching_rows(
    signal: Signal, state: PodState, window: PodWindow, settings: Settings, on_rows: _RowFilter
) -> dict[RowKey, RowWindow]:
    """Rows of the signal's scope that match. A model's row without a success counter is what an unload left behind."""
    if signal.scope == "gpu":
        if not _all(on_rows.requirements, _pod_labels(state, settings)):
            return {}
        return {key: row for key, row in window.rows.items() if not key.model}
    return {
        key: row
        for key, row in window.rows.items()
        if key.model and SUCCESS in row.increase and (not on_rows.requirements or on_rows[key])
    }
