"""Triton's statistics API as lines of a page: what its metrics cannot tell, the time for which instances computed.

Metrics count a request's duration for each request of a batch; `batch_stats` counts each execution once
(triton-inference-server/core: src/infer_stats.cc, InferBatchStats).
"""

from collections.abc import Iterator
from typing import Final

import msgspec

COMPUTED: Final = "statistics:compute_ns"
"""Counter by model and version: nanoseconds in which some instance took input, inferred or gave output."""
FAMILIES: Final = frozenset({COMPUTED})
"""What only the statistics API tells; no Prometheus has it."""


class _Duration(msgspec.Struct):
    ns: int = 0


class _Batch(msgspec.Struct):
    compute_input: _Duration = msgspec.field(default_factory=_Duration)
    compute_infer: _Duration = msgspec.field(default_factory=_Duration)
    compute_output: _Duration = msgspec.field(default_factory=_Duration)


class _Model(msgspec.Struct):
    name: str
    version: str = ""
    batch_stats: list[_Batch] = msgspec.field(default_factory=list)


class _Answer(msgspec.Struct):
    model_stats: list[_Model]


def statistics_page(body: bytes) -> bytes:
    """The answer to `GET /v2/models/stats` in the Prometheus text format. Raises ValueError when it is something else."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not model statistics: {error}") from error
    return "".join(_lines(answer)).encode()


def _lines(answer: _Answer) -> Iterator[str]:
    for model in answer.model_stats:
        phases = (
            phase.ns
            for batch in model.batch_stats
            for phase in (batch.compute_input, batch.compute_infer, batch.compute_output)
        )
        yield f'{COMPUTED}{{model="{_escaped(model.name)}",version="{_escaped(model.version)}"}} {sum(phases)}\n'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
