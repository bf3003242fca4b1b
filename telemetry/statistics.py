"""Triton's statistics API as lines of a page: what its metrics cannot tell, the time for which instances computed.

Metrics count a request's duration for each request of a batch; `batch_stats` counts each execution once
(triton-inference-server/core: src/infer_stats.cc, InferBatchStats).
"""

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

COMPUTED: Final = "statistics:compute_ns"
"""Counter by model and version: nanoseconds in which some instance took input, inferred or gave output."""
FAMILIES: Final = frozenset({COMPUTED})
"""What only the statistics API tells; no Prometheus has it."""


class Duration(msgspec.Struct):
    """How often, and nanoseconds in all."""

    count: int = 0
    ns: int = 0


class BatchRow(msgspec.Struct):
    """Executions of one batch size."""

    batch_size: int = 0
    compute_input: Duration = msgspec.field(default_factory=Duration)
    compute_infer: Duration = msgspec.field(default_factory=Duration)
    compute_output: Duration = msgspec.field(default_factory=Duration)


class InferenceRow(msgspec.Struct):
    fail: Duration = msgspec.field(default_factory=Duration)


class ModelRow(msgspec.Struct):
    """A model version as the API tells it; `last_inference` in milliseconds of the server's clock, 0 for never."""

    name: str
    version: str = ""
    last_inference: int = 0
    inference_count: int = 0
    execution_count: int = 0
    inference_stats: InferenceRow = msgspec.field(default_factory=InferenceRow)
    batch_stats: list[BatchRow] = []


class _Answer(msgspec.Struct):
    model_stats: list[ModelRow]


def decode_statistics(body: bytes) -> list[ModelRow]:
    """The answer to `GET /v2/models/stats` (triton-inference-server/server:docs/protocol/extension_statistics.md). Raises
    ValueError when it is something else."""
    try:
        # Not strict: a gateway's protobuf JSON writes 64-bit numbers as strings.
        return msgspec.json.decode(body, type=_Answer, strict=False).model_stats
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested without end
        raise ValueError(f"no statistics of Triton: {error}") from error


def statistics_page(body: bytes) -> bytes:
    """The same in the Prometheus text format. Raises ValueError as `decode_statistics`."""
    return "".join(_lines(decode_statistics(body))).encode()


def _lines(models: Iterable[ModelRow]) -> Iterator[str]:
    for model in models:
        phases = (
            phase.ns
            for batch in model.batch_stats
            for phase in (batch.compute_input, batch.compute_infer, batch.compute_output)
        )
        yield f'{COMPUTED}{{model="{_escaped(model.name)}",version="{_escaped(model.version)}"}} {sum(phases)}\n'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
