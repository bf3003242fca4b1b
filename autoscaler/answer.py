"""What a signal says to one question: a value with the evidence behind it, or no data with its cause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why there is no value; a closed list, so that each has its page and its remedy."""

    UNKNOWN_SIGNAL = "unknown_signal"
    UNKNOWN_LABEL = "unknown_label"
    AMBIGUOUS_MODEL = "ambiguous_model"
    NO_GATEWAY = "no_gateway"
    NO_TARGETS = "no_targets"
    NO_SERIES = "no_series"
    STARTING = "starting"
    WARMING_UP = "warming_up"
    NOT_ANSWERING = "not_answering"
    COVERAGE = "coverage"
    STALLED = "stalled"
    NO_SUCCESS = "no_success"
    CANNOT_TELL_IDLE = "cannot_tell_idle"
    FAMILY_ABSENT = "family_absent"
    NO_SUMMARIES = "no_summaries"
    RESPONSE_CACHE = "response_cache"
    ENSEMBLE_VERSION = "ensemble_version"
    COUNTERS_OFF = "counters_off"
    DECOUPLED = "decoupled"
    MODEL_KIND_UNKNOWN = "model_kind_unknown"
    NOT_REPRESENTABLE = "not_representable"


@dataclass(frozen=True, slots=True)
class NoData:
    """No value, and why. `message` names the cause and is constant while the cause is: it lands in the HPA's
    status, where each change is a write to etcd. At most 300 characters; no age, count or time in it."""

    reason: Reason
    message: str
    trace: Sequence[Mapping[str, Any]] = ()
    alone: "Mapping[str, Answer]" = field(default_factory=dict)
    """What each of several sources says by itself (`explain=1`)."""


@dataclass(frozen=True, slots=True)
class Value:
    """One pooled value in the signal's unit, never NaN, infinite or negative."""

    value: float
    sample_age_seconds: float
    """Age of the oldest sample that the value rests on."""
    window_seconds: int
    idle: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the answer says of itself, such as the bounds of an estimate."""
    trace: Sequence[Mapping[str, Any]] = ()
    """The pods, counters and ages behind the number, one mapping a pod and model, or a gateway (`explain=1`)."""
    alone: "Mapping[str, Answer]" = field(default_factory=dict)
    """What each of several sources says by itself (`explain=1`)."""


Answer = Value | NoData
