"""What a loaded model's configuration says of its scheduling, from the answer to `GET /v2/models/MODEL/config`.

Field names: triton-inference-server/common:protobuf/model_config.proto. Triton fills in what a config.pbtxt leaves out."""

from collections.abc import Sequence
from typing import Any

import msgspec

from triage.latency.facts import ModelSettings

MAX_PARTS = 200
"""So many of an ensemble's models are kept."""


class _RateLimiter(msgspec.Struct):
    resources: list[Any] = []
    priority: int = 0


class _Group(msgspec.Struct):
    kind: str = ""
    count: int = 1
    gpus: list[int] = []
    passive: bool = False
    rate_limiter: _RateLimiter | None = None


class _Policy(msgspec.Struct):
    timeout_action: str = "REJECT"
    default_timeout_microseconds: int = 0
    max_queue_size: int = 0


class _Batching(msgspec.Struct):
    """`dynamic_batching`, and `sequence_batching.oldest`, which is a dynamic batcher behind its sequences."""

    preferred_batch_size: list[int] = []
    max_queue_delay_microseconds: int = 0
    preserve_ordering: bool = False
    priority_levels: int = 0
    default_priority_level: int = 0
    default_queue_policy: _Policy | None = None
    priority_queue_policy: dict[str, _Policy] = {}
    max_candidate_sequences: int = 0


class _Sequences(msgspec.Struct):
    max_sequence_idle_microseconds: int = 0
    oldest: _Batching | None = None
    direct: _Batching | None = None


class _Step(msgspec.Struct):
    model_name: str = ""


class _Ensemble(msgspec.Struct):
    step: list[_Step] = []


class _Enabled(msgspec.Struct):
    enable: bool = False


class _Transactions(msgspec.Struct):
    decoupled: bool = False


class _Config(msgspec.Struct):
    name: str
    backend: str = ""
    platform: str = ""
    max_batch_size: int = 0
    instance_group: list[_Group] = []
    dynamic_batching: _Batching | None = None
    sequence_batching: _Sequences | None = None
    ensemble_scheduling: _Ensemble | None = None
    response_cache: _Enabled | None = None
    model_transaction_policy: _Transactions | None = None
    model_warmup: list[Any] = []


def parse_model_settings(body: bytes) -> ModelSettings:
    """The settings. Raises ValueError when it is not a model configuration."""
    try:
        # Not strict: a gateway's protobuf JSON writes 64-bit numbers as strings.
        config = msgspec.json.decode(body, type=_Config, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested without end
        raise ValueError(f"not a model configuration: {error}") from error
    sequences = config.sequence_batching
    batching = (
        config.dynamic_batching or (sequences and (sequences.oldest or sequences.direct)) or _Batching()
    )
    queue_size, timeout = _queue_policy(batching)
    return ModelSettings(
        model=config.name,
        backend=config.backend or config.platform,
        max_batch_size=config.max_batch_size,
        instances=_instances(config.instance_group),
        instance_kinds=tuple(dict.fromkeys(group.kind for group in config.instance_group if group.kind)),
        dynamic_batching=config.dynamic_batching is not None,
        preferred_batch_sizes=tuple(batching.preferred_batch_size),
        max_queue_delay_ms=batching.max_queue_delay_microseconds / 1000,
        preserve_ordering=batching.preserve_ordering,
        priority_levels=batching.priority_levels,
        default_priority=batching.default_priority_level,
        max_queue_size=queue_size,
        queue_timeout_ms=timeout.default_timeout_microseconds / 1000,
        queue_timeout_action=timeout.timeout_action if timeout.default_timeout_microseconds else "",
        sequence_batching=sequences is not None,
        max_sequence_idle_ms=sequences.max_sequence_idle_microseconds / 1000 if sequences else 0.0,
        max_candidate_sequences=batching.max_candidate_sequences,
        parts=_parts(config.ensemble_scheduling),
        response_cache=config.response_cache is not None and config.response_cache.enable,
        decoupled=config.model_transaction_policy is not None and config.model_transaction_policy.decoupled,
        warm_up=bool(config.model_warmup),
        rate_limited=any(map(_is_rate_limited, config.instance_group)),
    )


def _instances(groups: Sequence[_Group]) -> int | None:
    """A group on GPUs has `count` instances on each of them; a passive one takes no requests. None without a group, as of an
    ensemble."""
    if not groups:
        return None
    return sum(
        g.count * (max(1, len(g.gpus)) if g.kind == "KIND_GPU" else 1) for g in groups if not g.passive
    )


def _queue_policy(batching: _Batching) -> tuple[int, _Policy]:
    """The queue size, and the policy whose timeout holds: the default's, and where it sets none the largest of the priorities'."""
    default = batching.default_queue_policy or _Policy()
    others = list(batching.priority_queue_policy.values())
    size = default.max_queue_size or max((policy.max_queue_size for policy in others), default=0)
    by_timeout = max(others, key=lambda policy: policy.default_timeout_microseconds, default=default)
    return size, default if default.default_timeout_microseconds else by_timeout


def _parts(ensemble: _Ensemble | None) -> tuple[str, ...]:
    names = (step.model_name for step in ensemble.step) if ensemble else ()
    return tuple(dict.fromkeys(name for name in names if name))[:MAX_PARTS]


def _is_rate_limited(group: _Group) -> bool:
    return group.rate_limiter is not None and bool(
        group.rate_limiter.resources or group.rate_limiter.priority
    )
