"""What a model's configuration says that its metrics cannot: whether it is decoupled, which models an ensemble is made of, and how
long its batcher waits on purpose."""

from dataclasses import dataclass
from typing import Annotated

import msgspec


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`decoupled`: answers are sent after execute() returns. `parts`: composing models, none unless it is an ensemble.
    `queue_delay_us`: for which the dynamic batcher waits for more requests; `response_cache`: answers may come from the cache;
    `instances`: how many execute at once, on all GPUs of the pod."""

    decoupled: bool = False
    parts: tuple[str, ...] = ()
    queue_delay_us: int = 0
    response_cache: bool = False
    instances: int = 1


class _Policy(msgspec.Struct):
    decoupled: bool = False


class _Step(msgspec.Struct):
    model_name: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class _Ensemble(msgspec.Struct):
    step: list[_Step] = msgspec.field(default_factory=list)


class _Batching(msgspec.Struct):
    max_queue_delay_microseconds: Annotated[int, msgspec.Meta(ge=0)] = 0


class _Cache(msgspec.Struct):
    enable: bool = False


class _Group(msgspec.Struct):
    count: Annotated[int, msgspec.Meta(ge=0)] = 1
    gpus: list[int] = msgspec.field(default_factory=list)


class _Config(msgspec.Struct):
    name: str
    instance_group: list[_Group] = msgspec.field(default_factory=list)
    dynamic_batching: _Batching = msgspec.field(default_factory=_Batching)
    response_cache: _Cache = msgspec.field(default_factory=_Cache)
    model_transaction_policy: _Policy = msgspec.field(default_factory=_Policy)
    ensemble_scheduling: _Ensemble = msgspec.field(default_factory=_Ensemble)


def parse_model_config(body: bytes) -> ModelFacts:
    """Facts from the answer to `GET /v2/models/MODEL/config`. Raises ValueError when it is not a model configuration."""
    try:
        config = msgspec.json.decode(body, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested without end
        raise ValueError(f"not a model configuration: {error}") from error
    parts = tuple(
        dict.fromkeys(step.model_name for step in config.ensemble_scheduling.step if step.model_name)
    )
    return ModelFacts(
        config.model_transaction_policy.decoupled,
        parts,
        config.dynamic_batching.max_queue_delay_microseconds,
        config.response_cache.enable,
        sum(group.count * max(1, len(group.gpus)) for group in config.instance_group) or 1,
    )
