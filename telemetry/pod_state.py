"""All that is known of one pod at one moment: the value that sources make and the evaluator reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from telemetry.model_config import ModelFacts
from telemetry.target import Target
from telemetry.window import PodWindow


@dataclass(frozen=True, slots=True)
class PodState:
    """One target with its windows by length in seconds; no windows until it answered once.

    A pod that left is handed on as terminating, with the windows that it had, while they reach into the present."""

    target: Target
    known_since: float
    """Monotonic second since which a target that never answered should have: when it was first seen ready."""
    windows: Mapping[float, PodWindow] = field(default_factory=dict)
    failure: str | None = None
    """Why the last scrape failed, in words that stay the same while the cause does; None when it answered."""
    models: Mapping[str, ModelFacts] = field(default_factory=dict)
    """By model name; a model whose configuration could not be read is absent."""
    source: str = ""
    """Where its pages were read, where there is more than one source."""
    max_age: float | None = None
    """Seconds for which its last sample stands, where sources differ in that."""
    difference: float | None = None
    """How far two sources are apart on this pod, 0 to 1 (`CrossCheck`); None where they were not compared."""
