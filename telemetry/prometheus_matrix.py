"""The answer to a range selector at an instant: each series with the raw samples that Prometheus kept, at the times of its scrapes.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/#range-vectors. Native histograms (`histograms` in place of
`values`) are left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class RawSeries:
    labels: Mapping[str, str]
    samples: tuple[tuple[float, float], ...]
    """Seconds since 1970 by Prometheus' clock, rising, and the number; what is not finite is left out."""


@dataclass(frozen=True, slots=True)
class Matrix:
    series: tuple[RawSeries, ...]
    warnings: tuple[str, ...]
    """Why series may be missing."""
    size_bytes: int


class _Row(msgspec.Struct, gc=False):
    metric: dict[str, str]
    values: tuple[tuple[float, str], ...] = ()


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
        raise ValueError(f"expected raw samples, got {told.data.result_type[:20]!r}")
    partial = ("the answer is partial (isPartial)",) if told.is_partial else ()
    series = tuple(RawSeries(row.metric, _samples(row.values)) for row in told.data.result if row.values)
    return Matrix(series, told.warnings + partial, len(body))


def _samples(values: tuple[tuple[float, str], ...]) -> tuple[tuple[float, float], ...]:
    samples = ((at, float(number)) for at, number in values)
    return tuple((at, number) for at, number in samples if math.isfinite(number))
