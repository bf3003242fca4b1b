"""The answer to a range selector at an instant: each series with the raw samples that Prometheus kept, at the times of its scrapes.

Format: https://prometheus.io/docs/prometheus/latest/querying/api/#range-vectors. Native histograms (`histograms` in place of
`values`) are left out.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from telemetry.prometheus_answer import Answer


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


_decoder = msgspec.json.Decoder(Answer[_Row])


def parse_matrix(body: bytes) -> Matrix:
    """Raises ValueError for anything else than a matrix of numbers."""
    answer = _decoder.decode(body)
    series = tuple(RawSeries(row.metric, _samples(row.values)) for row in answer.rows("matrix") if row.values)
    return Matrix(series, answer.doubts, len(body))


def _samples(values: tuple[tuple[float, str], ...]) -> tuple[tuple[float, float], ...]:
    samples = ((at, float(number)) for at, number in values)
    return tuple((at, number) for at, number in samples if math.isfinite(number))
