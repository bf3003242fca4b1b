"""The answer to a range selector asked as an instant query: series with their raw samples and these samples' own timestamps.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/#range-vectors
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec


class MatrixSeries(NamedTuple):
    labels: Mapping[str, str]
    """With `__name__`."""
    points: Sequence[tuple[float, float]]
    """Seconds of the server's clock and the number as it is, NaN and the infinities too."""


@dataclass(frozen=True, slots=True)
class Matrix:
    series: Sequence[MatrixSeries]
    warnings: tuple[str, ...]
    """Why series may be missing, as of a `Vector`."""
    size_bytes: int


class _Value(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    at: float
    number: str


class _Row(msgspec.Struct, gc=False):
    metric: dict[str, str]
    values: list[_Value] = []  # a series of histograms has others


class _Data(msgspec.Struct):
    result_type: str = msgspec.field(name="resultType")
    result: list[_Row]


class _Told(msgspec.Struct):
    data: _Data
    warnings: tuple[str, ...] = ()
    is_partial: bool = msgspec.field(name="isPartial", default=False)


_decoder = msgspec.json.Decoder(_Told)


def parse_matrix(body: bytes) -> Matrix:
    """Raises ValueError for anything else than a matrix of numbers."""
    told = _decoder.decode(body)
    if told.data.result_type != "matrix":
        raise ValueError(f"expected a matrix, got {told.data.result_type[:20]!r}")
    series = [
        MatrixSeries(row.metric, [(value.at, float(value.number)) for value in row.values])
        for row in told.data.result
    ]
    partial = ("the answer is partial (isPartial)",) if told.is_partial else ()
    return Matrix(series, told.warnings + partial, len(body))
