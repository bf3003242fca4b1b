"""What the API asks: signals by name, answered from the pods as they are known now, without I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from autoscaler.answer import Answer, NoData, Reason
from autoscaler.evaluate import evaluate
from autoscaler.selection import Settings
from autoscaler.selector import Selector
from autoscaler.signal import Signal
from telemetry.pod_state import PodState


class Autoscaler:
    """Answers for the signals of `rules/`. `pods` gives a namespace's pods, `clock` monotonic seconds."""

    def __init__(
        self,
        rows: Mapping[str, Signal],
        pods: Callable[[str], Iterable[PodState]],
        settings: Settings,
        clock: Callable[[], float],
        on_answer: Callable[[str, Answer], None] = lambda signal, answer: None,
    ) -> None:
        self._rows = rows
        self._pods = pods
        self._settings = settings
        self._clock = clock
        self._on_answer = on_answer

    def signals(self) -> Sequence[str]:
        return tuple(self._rows)

    def answer(self, namespace: str, signal: str, selector: Selector, *, explain: bool) -> Answer:
        row = self._rows.get(signal)
        if row is None:
            return NoData(Reason.UNKNOWN_SIGNAL, f"there is no signal {signal!r}")
        answer = evaluate(
            row, self._pods(namespace), selector, self._settings, self._clock(), explain=explain
        )
        self._on_answer(signal, answer)
        return answer
