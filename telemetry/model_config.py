"""What a model's configuration says that its metrics cannot: whether it is decoupled, which models an ensemble is made of, how long
its batcher waits on purpose, and how many requests one Triton computes at once.

Field names: triton-inference-server/common:protobuf/model_config.proto. Triton fills in what a config.pbtxt leaves out. An instance
executes one request at a time, and with a dynamic or sequence batcher one batch of them (server:docs/user_guide/batcher.md,
server:docs/user_guide/model_configuration.md, "Instance Groups")."""

from dataclasses import dataclass
from typing import Annotated, Final

import msgspec

_MOST: Final = 1_000_000
"""Of anything that is counted here: a configuration says what it likes."""
_LONGEST_US: Final = 2**64 - 1
"""As the field's type has it."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`decoupled`: answers are sent after execute() returns. `parts`: composing models, none unless it is an ensemble.
    `queue_delay_us`: for which the batcher waits for more requests, None where nobody read it; `response_cache`: answers may come
    from the cache; `instances`: how many execute at once on all GPUs of the pod, 0 for an ensemble, which has none of its own, None
    where nobody read it; `batch`: inferences that one execution takes from several requests, 1 where nothing batches them."""

    decoupled: bool = False
    parts: tuple[str, ...] = ()
    queue_delay_us: int | None = None
    response_cache: bool = False
    instances: int | None = None
    batch: int = 1


class _Policy(msgspec.Struct):
    decoupled: bool = False


class _Step(msgspec.Struct):
    model_name: Annotated[str, msgspec.Meta(max_length=1024)] = ""


class _Ensemble(msgspec.Struct):
    step: list[_Step] = msgspec.field(default_factory=list)


class _Batching(msgspec.Struct):
    preferred_batch_size: list[int] = []
    max_queue_delay_microseconds: int = 0


class _Sequences(msgspec.Struct):
    oldest: _Batching | None = None


class _Cache(msgspec.Struct):
    enable: bool = False


class _Group(msgspec.Struct):
    kind: str = ""
    count: int = 1
    gpus: list[int] = []
    passive: bool = False


class _Config(msgspec.Struct):
    name: str
    max_batch_size: int = 0
    instance_group: list[_Group] = []
    dynamic_batching: _Batching | None = None
    sequence_batching: _Sequences | None = None
    response_cache: _Cache | None = None
    model_transaction_policy: _Policy | None = None
    ensemble_scheduling: _Ensemble | None = None


def parse_model_config(body: bytes) -> ModelFacts:
    """Facts from the answer to `GET /v2/models/MODEL/config`. Raises ValueError when it is not a model configuration."""
    try:
        # Not strict: a gateway's protobuf JSON writes 64-bit numbers as strings.
        config = msgspec.json.decode(body, type=_Config, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested without end
        raise ValueError(f"not a model configuration: {error}") from error
    policy, ensemble = config.model_transaction_policy, config.ensemble_scheduling
    batching = config.dynamic_batching
    if batching is None and config.sequence_batching is not None:
        batching = config.sequence_batching.oldest
    steps = ensemble.step if ensemble else []
    return ModelFacts(
        decoupled=policy is not None and policy.decoupled,
        parts=tuple(dict.fromkeys(step.model_name for step in steps if step.model_name)),
        queue_delay_us=min(_LONGEST_US, max(0, batching.max_queue_delay_microseconds)) if batching else 0,
        response_cache=config.response_cache is not None and config.response_cache.enable,
        instances=min(_MOST, sum(map(_instances, config.instance_group))),
        batch=_batch(config, batching),
    )


def _instances(group: _Group) -> int:
    """A group on GPUs has `count` instances on each of them; a passive one takes no requests."""
    if group.passive:
        return 0
    return max(0, group.count) * (max(1, len(group.gpus)) if group.kind == "KIND_GPU" else 1)


def _batch(config: _Config, batching: _Batching | None) -> int:
    """Without a batcher max_batch_size is only how large one request may be."""
    if config.dynamic_batching is None and config.sequence_batching is None:
        return 1
    preferred = max(batching.preferred_batch_size, default=0) if batching else 0
    most = min(config.max_batch_size, preferred) if preferred > 0 else config.max_batch_size
    return min(_MOST, max(1, most))
