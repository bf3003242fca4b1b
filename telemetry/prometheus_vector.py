"""The answer to an instant query: rows of labels and a number, as Prometheus, Thanos, Mimir and VictoriaMetrics give them.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-vectors
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class Vector:
    at: float | None
    """The second, by the server's clock, for which it was asked; None of an answer without rows."""
    rows: Sequence[tuple[Mapping[str, str], float]]
    """Numbers as they are: NaN and the infinities too."""
    warnings: tuple[str, ...]
    """Why rows may be missing: Thanos tells of stores that did not answer, VictoriaMetrics says `isPartial`."""
    size_bytes: int


class _Row(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str]


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType")
    result: list[_Row]


class _Told(msgspec.Struct):
    data: _Data
    warnings: tuple[str, ...] = ()
    is_partial: bool = msgspec.field(name="isPartial", default=False)


_decoder = msgspec.json.Decoder(_Told)


def parse_vector(body: bytes) -> Vector:
    """Raises ValueError for anything else than an instant vector of numbers."""
    told = _decoder.decode(body)
    if told.data.result_type != "vector":
        raise ValueError(f"expected an instant vector, got {told.data.result_type[:20]!r}")
    rows = [(row.metric, float(row.value[1])) for row in told.data.result]
    at = told.data.result[0].value[0] if rows else None
    partial = ("the answer is partial (isPartial)",) if told.is_partial else ()
    return Vector(at, rows, told.warnings + partial, len(body))
