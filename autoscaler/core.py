"""What the API asks: signals by name, answered from the pods as they are known now, without I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from autoscaler.answer import Answer, NoData, Reason
from autoscaler.evaluate import evaluate
from autoscaler.gateway_evaluate import GatewayView, evaluate_gateway, is_gateway
from autoscaler.selection import Settings
from autoscaler.selector import Selector
from autoscaler.signal import Signal
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.pod_state import PodState


@dataclass(frozen=True, slots=True)
class View:
    """A namespace's pods as one source has them, and how they are to be read."""

    pods: Callable[[str], Iterable[PodState]]
    settings: Settings


class Autoscaler:
    """Answers for the signals of `rules/`. `pods` gives a namespace's pods, `clock` monotonic seconds; `alone` what each of several
    sources knows, which an explained answer tells beside the answer. `gpus`: what exporters tell of GPUs, None if none is asked;
    `gateways`: what is known of them, None where none is configured."""

    def __init__(
        self,
        rows: Mapping[str, Signal],
        pods: Callable[[str], Iterable[PodState]],
        settings: Settings,
        clock: Callable[[], float],
        on_answer: Callable[[str, Answer], None] = lambda signal, answer: None,
        alone: Mapping[str, View] | None = None,
        gpus: Callable[[], GpuSnapshot | None] = lambda: None,
        gateways: Callable[[], GatewayView | None] = lambda: None,
    ) -> None:
        self._rows = rows
        self._pods = pods
        self._settings = settings
        self._clock = clock
        self._on_answer = on_answer
        self._alone = alone or {}
        self._gpus = gpus
        self._gateways = gateways

    def signals(self) -> Sequence[str]:
        return tuple(self._rows)

    def answer(self, namespace: str, signal: str, selector: Selector, *, explain: bool) -> Answer:
        row = self._rows.get(signal)
        if row is None:
            return NoData(Reason.UNKNOWN_SIGNAL, f"there is no signal {signal!r}")
        now = self._clock()
        if is_gateway(row):
            told = evaluate_gateway(row, self._gateways(), namespace, selector, now, explain=explain)
            self._on_answer(signal, told)
            return told
        gpus = self._gpus()
        pods, settings = self._pods(namespace), self._settings
        answer = evaluate(row, pods, selector, settings, now, gpus=gpus, explain=explain)
        self._on_answer(signal, answer)
        if not explain:
            return answer
        alone = {
            name: evaluate(row, view.pods(namespace), selector, view.settings, now, gpus=gpus)
            for name, view in self._alone.items()
        }
        return replace(answer, alone=alone)
