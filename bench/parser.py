"""The metrics-page parser against prometheus_client's, which is what people would write without one of their own."""

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from bench.page import metrics_page
from bench.spread import Spread, spread
from telemetry.exposition import SeriesTable, parse_exposition

MODELS = 200
LEAST_RATIO = 20.0
"""A scrape round of a thousand pods must cost a fraction of a core, not twenty cores."""


class DifferentSamplesError(Exception):
    """The two parsers disagree on the page: their speeds cannot be compared."""


@dataclass(frozen=True, slots=True)
class ParserResult:
    """Milliseconds a page. Warm: the series were seen at an earlier scrape, as at all scrapes but a target's first."""

    lines: int
    samples: int
    page_bytes: int
    reference_ms: Spread
    cold_ms: Spread
    warm_ms: Spread
    cold_ratio: Spread
    """How many times faster than prometheus_client, pair by pair."""
    warm_ratio: Spread

    @property
    def fast_enough(self) -> bool:
        return self.warm_ratio.median >= LEAST_RATIO


def measure_parser(rounds: int) -> ParserResult:
    """Both parsers in turn, `rounds` times, on pages whose numbers move as at a scrape. Raises DifferentSamplesError."""
    pages = [metrics_page(MODELS, 1000 + 7 * number) for number in range(rounds)]
    samples = _same_samples(pages[0])
    warm_table = SeriesTable()
    parse_exposition(pages[0], warm_table)
    reference, cold, warm = [], [], []
    for page in pages:
        reference.append(_milliseconds(lambda page=page: _reference(page)))  # type: ignore[misc]
        table = SeriesTable()
        cold.append(_milliseconds(lambda page=page, table=table: parse_exposition(page, table)))  # type: ignore[misc]
        del table
        warm.append(_milliseconds(lambda page=page: parse_exposition(page, warm_table)))  # type: ignore[misc]
    return ParserResult(
        lines=pages[0].count("\n"),
        samples=samples,
        page_bytes=len(pages[0]),
        reference_ms=spread(reference),
        cold_ms=spread(cold),
        warm_ms=spread(warm),
        cold_ratio=spread(theirs / ours for theirs, ours in zip(reference, cold, strict=True)),
        warm_ratio=spread(theirs / ours for theirs, ours in zip(reference, warm, strict=True)),
    )


def _reference(page: str) -> list[tuple[str, dict[str, str], float]]:
    return [
        (sample.name, sample.labels, sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    ]


def _same_samples(page: str) -> int:
    """How many samples both parsers find, which must be the same ones. prometheus_client gives counters OpenMetrics' name, with
    `_total`; none of Triton's has it."""
    ours = {
        (s.family, *sorted(s.labels.items())): value for s, value in parse_exposition(page, SeriesTable())
    }
    theirs = {
        (name.removesuffix("_total"), *sorted(labels.items())): value
        for name, labels, value in _reference(page)
    }
    if ours.keys() != theirs.keys() or any(
        value != theirs[key] and not (math.isnan(value) and math.isnan(theirs[key]))
        for key, value in ours.items()
    ):
        raise DifferentSamplesError(f"{len(ours)} samples here, {len(theirs)} by prometheus_client")
    return len(ours)


def _milliseconds(work: Callable[[], object]) -> float:
    """Wall time with the collector off, as timeit does: a collection hits whoever is running."""
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        work()
        return (time.perf_counter() - began) * 1000
    finally:
        gc.enable()
