"""What a model's configuration allows: how many requests one Triton computes at once, from the answer to
`GET /v2/models/MODEL/config`.

Field names: triton-inference-server/common:protobuf/model_config.proto. Triton fills in what a config.pbtxt leaves out. An instance
executes one request at a time, and with a dynamic or sequence batcher one batch of them (server:docs/user_guide/batcher.md,
server:docs/user_guide/model_configuration.md, "Instance Groups")."""

from dataclasses import dataclass

import msgspec

_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """`instances` of the model in one Triton, 0 where it has none of its own, as an ensemble. `batch`: inferences that one
    execution takes from several requests; 1 where nothing batches them. `delay_seconds` that the batcher waits on purpose."""

    instances: int
    batch: int = 1
    delay_seconds: float = 0.0
    decoupled: bool = False

    def slots(self, inferences_per_request: float = 1.0) -> int:
        """Requests that are computed at once, when each asks for so many inferences; 0 for an ensemble."""
        return self.instances * max(1, int(self.batch / max(1.0, inferences_per_request)))

    def __str__(self) -> str:
        instances = f"{self.instances} instance{'' if self.instances == 1 else 's'}"
        return f"{instances} of batch {self.batch}" if self.batch > 1 else instances


class _Group(msgspec.Struct):
    kind: str = ""
    count: int = 1
    gpus: list[int] = []
    passive: bool = False


class _Batching(msgspec.Struct):
    preferred_batch_size: list[int] = []
    max_queue_delay_microseconds: int = 0


class _Sequences(msgspec.Struct):
    oldest: _Batching | None = None


class _Transactions(msgspec.Struct):
    decoupled: bool = False


class _Config(msgspec.Struct):
    name: str
    max_batch_size: int = 0
    instance_group: list[_Group] = []
    dynamic_batching: _Batching | None = None
    sequence_batching: _Sequences | None = None
    model_transaction_policy: _Transactions | None = None


def parse_model_limits(body: bytes) -> ModelLimits:
    """The limits. Raises ValueError when it is not a model configuration."""
    try:
        # Not strict: a gateway's protobuf JSON writes 64-bit numbers as strings.
        config = msgspec.json.decode(body, type=_Config, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested without end
        raise ValueError(f"not a model configuration: {error}") from error
    batching = config.dynamic_batching or (config.sequence_batching and config.sequence_batching.oldest)
    batches = config.dynamic_batching is not None or config.sequence_batching is not None
    preferred = max(batching.preferred_batch_size, default=0) if batching else 0
    most = min(config.max_batch_size, preferred) if preferred > 0 else config.max_batch_size
    return ModelLimits(
        instances=min(_MOST, sum(map(_instances, config.instance_group))),
        batch=min(_MOST, max(1, most)) if batches else 1,
        delay_seconds=max(0, batching.max_queue_delay_microseconds) / 1e6 if batching else 0.0,
        decoupled=config.model_transaction_policy is not None and config.model_transaction_policy.decoupled,
    )


def _instances(group: _Group) -> int:
    """A group on GPUs has `count` instances on each of them; a passive one takes no requests."""
    if group.passive:
        return 0
    return max(0, group.count) * (max(1, len(group.gpus)) if group.kind == "KIND_GPU" else 1)
