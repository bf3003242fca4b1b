"""What is kept of each pod between two rounds of asking, whoever brings the pages: its history, and what it was when it left."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.target import Phase, PodKey, Target, Targets
from telemetry.window import Families, PodHistory, PodWindow


@dataclass(slots=True)
class KeptPod:
    """Times in monotonic seconds."""

    target: Target
    known_since: float
    since: float
    """A sample from before belongs to another container, or to another pod of the same name."""
    history: PodHistory
    failure: str | None
    windows: Mapping[float, PodWindow] = field(default_factory=dict)
    models: dict[str, ModelFacts] = field(default_factory=dict)
    config_failures: int = 0
    configs_due: float = 0.0
    _state: PodState | None = None

    def state(self, target: Target) -> PodState:
        """The same object for as long as nothing of it changed: each question asks for all pods."""
        told = self._state
        if (
            told is None
            or told.target is not target
            or told.known_since != self.known_since
            or told.windows is not self.windows
            or told.failure != self.failure
        ):
            told = self._state = PodState(target, self.known_since, self.windows, self.failure, self.models)
        return told


class KeptPods:
    """The pods of `targets` as they stand. `interval` is the time between two samples of a pod, `unasked` the failure of one that
    has not been asked for yet; `windows` in seconds, `clock` monotonic."""

    def __init__(
        self,
        targets: Targets,
        families: Families,
        windows: Collection[float],
        interval: float,
        clock: Callable[[], float],
        unasked: str,
    ) -> None:
        self._targets = targets
        self._families = families
        self._windows = tuple(windows)
        self._interval = interval
        self._clock = clock
        self._unasked = unasked
        self._kept: dict[PodKey, KeptPod] = {}
        self._departed: list[PodState] = []

    def pods(self, namespace: str) -> Iterable[PodState]:
        """The namespace's pods as they stand, those just discovered without windows, those just gone as terminating."""
        current = self._targets.by_key
        for key, target in current.items():
            if key.namespace == namespace:
                kept = self._kept.get(key)
                if kept is None:
                    yield PodState(target, self._clock(), failure=self._unasked)
                else:
                    yield kept.state(target)
        for key, kept in self._kept.items():
            if key.namespace == namespace and key not in current:
                yield kept.state(replace(kept.target, phase=Phase.TERMINATING))
        yield from (state for state in self._departed if state.target.key.namespace == namespace)

    def begin_round(self) -> Mapping[PodKey, KeptPod]:
        """All current pods, each with the target as it is now, after those that left were set aside."""
        current = self._targets.by_key
        before = {(key.namespace, key.pod) for key in self._kept.keys() - current.keys()}
        before |= {(state.target.key.namespace, state.target.key.pod) for state in self._departed}
        self._keep_departed(current)
        return {key: self._keep(target, before) for key, target in current.items()}

    def _keep_departed(self, current: Mapping[PodKey, Target]) -> None:
        """Sets aside what pods did that are gone or whose container stopped, for as long as it lies in a window."""
        recent = self._clock() - max(self._windows)
        self._departed = [s for s in self._departed if any(w.at > recent for w in s.windows.values())]
        for key, kept in list(self._kept.items()):
            target = current.get(key)
            if target is None:
                self._departed.append(kept.state(replace(kept.target, phase=Phase.TERMINATING)))
                del self._kept[key]
            elif target.phase is Phase.STOPPED:
                # Nothing of that container is in flight, and the next one's counters begin at zero in our sight.
                self._departed.append(kept.state(target))
                self._kept[key] = self._new(target, born_in_sight=True, only_new=True)

    def _keep(self, target: Target, before: Collection[tuple[str, str]]) -> KeptPod:
        kept = self._kept.get(target.key)
        if kept is None:
            born = target.born_in_sight
            replaces = (target.key.namespace, target.key.pod) in before
            kept = self._new(target, born_in_sight=born, only_new=born or replaces)
            self._kept[target.key] = kept
        kept.target = target
        if not kept.windows and not target.ready:
            kept.known_since = self._clock()
        return kept

    def _new(self, target: Target, *, born_in_sight: bool, only_new: bool) -> KeptPod:
        now = self._clock()
        history = PodHistory(self._families, self._windows, self._interval, now if born_in_sight else None)
        return KeptPod(target, now, now if only_new else float("-inf"), history, self._unasked)
