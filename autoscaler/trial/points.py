"""What a pod did over a few seconds: how many requests it had at once, and how long they waited. Pure.

A pod's points are the evidence for a target: each says that with so many requests at once a request spent such a share of its time
waiting."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from autoscaler.pooling import contribution
from autoscaler.selection import Facts, Settings, Standing, expand_ensembles, select_pods
from autoscaler.selector import Selector
from autoscaler.signal import Signal
from autoscaler.trial.limits import ModelLimits
from telemetry.pod_state import PodState
from telemetry.window import FAILURE, PENDING, QUEUE, SUCCESS, Families, RowWindow

COMPUTE: Final = (
    "nv_inference_compute_input_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_compute_output_duration_us",
)
INFERENCES: Final = "nv_inference_count"
BEARABLE: Final = 0.25
"""Waiting, in times of the computation, that counts as little: a fifth of a request's time."""
BEARABLE_BATCHED: Final = 1.0
"""The same where requests are batched. One that comes while a batch is executed waits for its end, up to a whole execution, however
much room there is in the next batch; only a fuller queue makes it wait for a second one."""


@dataclass(frozen=True, slots=True)
class Part:
    """One model in one pod. Times are sums over the requests that ended in the window; failed ones have none."""

    concurrency: float
    """Requests in Triton at once, waiting and computed, as the signal counts them."""
    waiting: float
    queue_seconds: float
    """Without the delay that the batcher waits on purpose."""
    compute_seconds: float
    requests: float
    failures: float = 0.0
    inferences: float = 0.0
    bearable_seconds: float = 0.0
    """The waiting that a Triton with room has too."""

    def __add__(self, other: "Part") -> "Part":
        return Part(
            self.concurrency + other.concurrency,
            self.waiting + other.waiting,
            self.queue_seconds + other.queue_seconds,
            self.compute_seconds + other.compute_seconds,
            self.requests + other.requests,
            self.failures + other.failures,
            self.inferences + other.inferences,
            self.bearable_seconds + other.bearable_seconds,
        )

    @property
    def computing(self) -> float:
        """Requests being computed at once: Little's law, seconds of computation a second."""
        return max(0.0, self.concurrency - self.waiting)

    @property
    def queue_share(self) -> float | None:
        """The part of a request's time that it waited, 0 to 1; None where none ended."""
        total = self.queue_seconds + self.compute_seconds
        return self.queue_seconds / total if total > 0 else None

    @property
    def waits(self) -> bool | None:
        """Longer than a request waits where there is room; None where none ended."""
        return None if self.queue_share is None else self.queue_seconds > self.bearable_seconds


NOTHING: Final = Part(0.0, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Point:
    """One pod over the window that ended at monotonic second `at`."""

    pod: str
    at: float
    models: Mapping[str, Part]

    @property
    def total(self) -> Part:
        return sum(self.models.values(), NOTHING)


def with_evidence(families: Families) -> Families:
    """What to keep of a page so that points can be made of it."""
    return replace(families, counters=families.counters | {QUEUE, INFERENCES, *COMPUTE})


def points_of(
    concurrency: Signal,
    states: Iterable[PodState],
    selector: Selector,
    settings: Settings,
    limits: Mapping[str, ModelLimits],
    now: float,
) -> list[Point]:
    """A point for each pod that answers and whose window is covered; `concurrency` says which window. A pod in which requests wait
    and none completes has none: its counters stand still. `now` in monotonic seconds."""
    selected = select_pods(concurrency, states, selector, settings, now)
    facts = Facts(selected, settings)
    points: list[Point] = []
    for pod in selected:
        rows = expand_ensembles(concurrency, pod, facts)
        if pod.window is None or pod.standing is not Standing.ANSWERED or not rows:
            continue
        if any(row.stalled_seconds > 0 for row in rows.values()):
            continue
        models: dict[str, Part] = {}
        for key, row in rows.items():
            at_once = contribution(concurrency, row, facts.of(pod, key.model))
            part = _part(row, at_once or 0.0, limits.get(key.model))
            models[key.model] = models.get(key.model, NOTHING) + part
        points.append(Point(pod.name, pod.window.at, models))
    return points


def _part(row: RowWindow, concurrency: float, limits: ModelLimits | None) -> Part:
    requests = row.increase.get(SUCCESS, 0.0)
    delay = limits.delay_seconds * requests if limits else 0.0
    compute_seconds = sum(row.increase.get(family, 0.0) for family in COMPUTE) / 1e6
    bearable = BEARABLE_BATCHED if limits and limits.batch > 1 else BEARABLE
    return Part(
        concurrency=concurrency,
        waiting=row.mean.get(PENDING, 0.0),
        queue_seconds=max(0.0, row.increase.get(QUEUE, 0.0) / 1e6 - delay),
        compute_seconds=compute_seconds,
        requests=requests,
        failures=row.increase.get(FAILURE, 0.0),
        inferences=row.increase.get(INFERENCES, 0.0),
        bearable_seconds=bearable * compute_seconds,
    )
