"""One moment of the demo as one value: what was measured, what was true, and what an HPA makes of it. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from autoscaler.answer import Answer, NoData, Reason, Value
from demo.clients import Truth
from demo.story import SCALED_ON, Story
from telemetry.hpa import Decision, Reading, Readings, decide
from telemetry.hpa_behavior import State, Step, StepKind

PLAIN_WORDS: Mapping[str, str] = {
    Reason.NOT_ANSWERING: "Triton is silent",
    Reason.COVERAGE: "Triton is silent",
    Reason.FAMILY_ABSENT: "no GPU seen here",
    Reason.STALLED: "nothing completes",
    Reason.NO_SUCCESS: "nothing completed",
    Reason.WARMING_UP: "window not full",
    Reason.MODEL_KIND_UNKNOWN: "model not known",
}
"""Why there is no value, in at most 17 characters; the whole message is shown below."""


class Measured(msgspec.Struct, frozen=True, omit_defaults=True):
    """One signal as it is served now. (A Struct, for recordings leave out what is empty.)"""

    state: Literal["value", "idle", "no data"]
    value: float | None = None
    words: str = ""
    """Why there is no data, in two or three plain words."""
    message: str = ""
    """The error as an HPA's status would show it."""


@dataclass(frozen=True)
class Look:
    """One look of the HPA: the replicas it would set, and how it came to them."""

    at: float
    replicas: int
    previous: int
    steps: tuple[str, ...]
    held: bool


@dataclass(frozen=True)
class Observation:
    """The demo at one second of its story."""

    at: float
    phase: str
    clients: int
    signals: dict[str, Measured]
    truth: dict[str, float | None]
    """What the clients saw, by signal; a signal that clients cannot see is absent."""
    look: Look
    """The HPA's last look."""

    @property
    def has_number(self) -> bool:
        return any(measured.state == "value" for measured in self.signals.values())


@dataclass(frozen=True)
class Hpa:
    """An HPA without a cluster: the replicas it chose last are the replicas of its next look."""

    state: State = field(default_factory=State)
    replicas: int = 1
    look: Look | None = None

    def due(self, story: Story, at: float) -> bool:
        return self.look is None or at >= self.look.at + story.look_every

    def after(self, story: Story, answer: Answer, at: float) -> "Hpa":
        """The HPA after a look at second `at`, to which the API gave `answer`."""
        if isinstance(answer, Value):
            reading = Reading(values_milli=(math.ceil(answer.value * 1000),))
        else:
            reading = Reading(error=answer.message)
        seen = Readings(self.replicas, self.replicas, self.replicas, (reading,))
        state, decision = decide(story.hpa(), self.state, seen, at)
        look = Look(
            round(at, 1),
            decision.replicas,
            decision.previous_replicas,
            tuple(_say(step, story, answer, decision) for step in decision.steps),
            decision.held,
        )
        return Hpa(state, decision.replicas, look)


def observe(
    story: Story, at: float, clients: int, answers: Mapping[str, Answer], seen: Truth, look: Look
) -> Observation:
    """The moment `at`, from the autoscaler's `answers` by signal and from what the clients saw."""
    truth = {
        "triton_inference_concurrency": seen.concurrency,
        "triton_pending_requests": seen.pending,
        "triton_request_rate": seen.request_rate,
        "triton_queue_duration_ms": seen.queue_ms,
        "triton_request_duration_p99_ms": seen.p99_ms,
    }
    return Observation(
        round(at, 1),
        story.at(at).name,
        clients,
        {name: _measured(answer) for name, answer in answers.items()},
        {name: None if value is None else round(value, 2) for name, value in truth.items()},
        look,
    )


def _measured(answer: Answer) -> Measured:
    match answer:
        case Value(value=value, idle=idle):
            return Measured("idle" if idle else "value", round(value, 3))
        case NoData(reason=reason, message=message):
            return Measured("no data", None, PLAIN_WORDS.get(reason, reason.replace("_", " ")), message)


def _say(step: Step, story: Story, answer: Answer, decision: Decision) -> str:
    """The step as a person would say it."""
    value = answer.value if isinstance(answer, Value) else 0.0
    match step.kind:
        case StepKind.PROPOSED:
            return f"concurrency {value:.1f} / target {story.target} → {_replicas(step.replicas)}"
        case StepKind.WITHIN_TOLERANCE:
            mean = value / decision.previous_replicas
            return (
                f"concurrency {value:.1f} is {mean:.1f} a replica, within 10% of target {story.target} "
                f"→ stay at {_replicas(step.replicas)}"
            )
        case StepKind.INVALID:
            return "no value: " + step.why.removeprefix(f"{SCALED_ON}: ")
        case StepKind.HELD:
            return f"{step.why} → hold at {_replicas(step.replicas)}"
        case _:
            return f"{step.why} → {_replicas(step.replicas)}"


def _replicas(count: int | None) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
