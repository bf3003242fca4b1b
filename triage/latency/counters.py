"""Scrapes of one live Triton as measures over time: the core of a capture, without a socket.

A step's rate is the increase between the scrapes around it, over the time that really lay between them. What did not answer in time
leaves None; the next scrape that did shows the whole gap's increase as the gap's average, and the missed steps stay None: when in
the gap it happened is not known. What telemetry/window.py says of Triton's counters holds here too: a counter that fell began
again at zero, and with it all of its model's but the failures, which survive an unload. Twin series (those of a model on a GPU, one
with its gpu_uuid and one without) are followed one by one and then summed; only then is anything compared or divided."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from telemetry.exposition import Series
from telemetry.window import FAILURE, PENDING, SUCCESS
from triage.latency import facts

MAX_MODELS: Final = 100
"""So many models are kept: the one that is asked about, then those with the most requests."""
SUMMARY_SECONDS: Final = 60.0
"""Triton's summaries look back so far (triton-inference-server/server:docs/user_guide/metrics.md)."""
_LABELS: Final = {"model": "model", "version": "version", "reason": "reason", "gpu": "gpu_uuid"}


class Measure(Protocol):
    """A row of `rules/measures/` with `source: triton`."""

    @property
    def measure(self) -> str: ...
    @property
    def family(self) -> str | None: ...
    @property
    def kind(self) -> str | None:
        """`rate`, `mean`, `peak`, `least` or `quantile`; None, and no family, for a row that no single family of Triton's
        answers."""
        ...

    @property
    def quantile(self) -> str | None: ...
    @property
    def scale(self) -> float: ...
    @property
    def by(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Scrape:
    """A metrics page as it stood `at` that second since 1970."""

    at: float
    values: Mapping[Series, float]


@dataclass(frozen=True, slots=True)
class Capture:
    """Scrapes of one pod, one for each `interval` seconds from `began_at` on; None where none came in time."""

    pod: str
    began_at: float
    interval: float
    scrapes: tuple[Scrape | None, ...]
    model: str = ""
    """The model that is asked about: kept, however many there are."""
    warnings: tuple[str, ...] = ()


Row = tuple[tuple[str, str], ...]
"""A series of a measure, by its labels in our names."""
ByFamily = Mapping[str, Sequence[tuple[Series, float]]]


def scrape(at: float, samples: Iterable[tuple[Series, float]]) -> Scrape:
    """The page. NaN, Triton's word for no traffic, stands for all that is no number: nothing that it counts is below zero."""
    return Scrape(at, {series: value if 0 <= value < math.inf else math.nan for series, value in samples})


def shows(capture: Capture, measure: Measure) -> bool:
    """Whether any page had the measure's family."""
    return any(series.family == measure.family for page in capture.scrapes if page for series in page.values)


def capture_ranges(capture: Capture, measures: Iterable[Measure]) -> list[facts.Ranges]:
    """One `Ranges` for each measure, its first step one interval after the first scrape was due. The page of that first scrape is
    where the rates begin, and no step of its own."""
    measures = tuple(measures)
    kept = _kept_models(capture)
    rates = _rates(capture.scrapes, _counters(measures))
    stands = [_by_family(page.values.items()) if page else None for page in capture.scrapes]
    return [
        _ranges(capture, measure, rates if measure.kind == "rate" else stands, kept) for measure in measures
    ]


def lifetime(capture: Capture, measures: Iterable[Measure]) -> facts.Lifetime | None:
    """What the counters had counted at the first scrape that answered; None when none did."""
    first = next((page for page in capture.scrapes if page), None)
    if first is None:
        return None
    kept = _kept_models(capture)
    page = _by_family(first.values.items())
    totals: dict[str, tuple[facts.Series, ...]] = {}
    for measure in measures:
        if measure.kind == "rate":
            rows = _rows(measure, page, capture.pod, kept)
            known = sorted(row for row, value in rows.items() if value is not None)
            totals[measure.measure] = tuple(facts.Series(dict(row), (rows[row],)) for row in known)
    return facts.Lifetime({measure: series for measure, series in totals.items() if series})


def _ranges(
    capture: Capture, measure: Measure, pages: Sequence[ByFamily | None], kept: frozenset[str] | None
) -> facts.Ranges:
    steps = [_rows(measure, page, capture.pod, kept) if page is not None else {} for page in pages[1:]]
    series = [
        facts.Series(dict(row), tuple(step.get(row) for step in steps))
        for row in sorted({row for step in steps for row in step})
    ]
    return facts.Ranges(
        measure=measure.measure,
        start=round(capture.began_at + capture.interval, 3),
        step=capture.interval,
        steps=len(steps),
        smear={"rate": capture.interval, "quantile": SUMMARY_SECONDS}.get(measure.kind or "", 0.0),
        series=tuple(series),
        cut=kept is not None and "model" in measure.by,
        warnings=capture.warnings,
    )


def _rows(measure: Measure, page: ByFamily, pod: str, kept: frozenset[str] | None) -> dict[Row, float | None]:
    """The measure's rows on one page, in its unit; None where none of its series is a number."""
    rows: dict[Row, float | None] = {}
    by = [(name, _LABELS[name]) for name in measure.by if name in _LABELS]
    for series, value in page.get(measure.family or "", ()):
        labels = series.labels
        if kept is not None and "model" in measure.by and labels.get("model", "") not in kept:
            continue
        if measure.kind == "quantile" and labels.get("quantile") != measure.quantile:
            continue
        row = (("pod", pod), *((ours, labels.get(theirs, "")) for ours, theirs in by))
        so_far = rows.get(row)
        if so_far is None or math.isnan(value):
            rows[row] = so_far if math.isnan(value) else value
        else:
            rows[row] = max(so_far, value) if measure.kind == "quantile" else so_far + value
    return {row: None if value is None else _rounded(value * measure.scale) for row, value in rows.items()}


def _rates(scrapes: Sequence[Scrape | None], counters: frozenset[str]) -> list[ByFamily | None]:
    """For each scrape the increase a second of each counter since the last scrape that answered; None without one."""
    rates: list[ByFamily | None] = []
    before: Scrape | None = None
    for page in scrapes:
        if page is None or before is None or page.at <= before.at:
            rates.append(None)
        else:
            seconds = page.at - before.at
            grown = _increases(before.values, page.values, counters)
            rates.append(_by_family((series, increase / seconds) for series, increase in grown))
        before = page or before
    return rates


def _increases(
    before: Mapping[Series, float], now: Mapping[Series, float], counters: frozenset[str]
) -> Iterable[tuple[Series, float]]:
    """By series. One that is new counts from zero if nothing of its model version was there: Triton makes all its series, at zero,
    when it loads the version. Beside others of its version it has an unknown past, and no increase yet."""
    lives = [
        (series, value)
        for series, value in now.items()
        if series.family in counters and not math.isnan(value)
    ]
    loaded = {_version(series) for series in before if series.family != FAILURE}
    begun_again = {
        _version(series)
        for series, value in lives
        if series.family != FAILURE and value < before.get(series, 0.0)
    }
    for series, value in lives:
        was = before.get(series, math.nan)
        if math.isnan(was) and (series in before or _version(series) in loaded):
            continue
        again = series.family != FAILURE and _version(series) in begun_again
        yield series, value if math.isnan(was) or again or value < was else value - was


def _version(series: Series) -> tuple[str, str]:
    return series.labels.get("model", ""), series.labels.get("version", "")


def _kept_models(capture: Capture) -> frozenset[str] | None:
    """The models to keep; None: all. By their requests in the capture, those that wait too: a model that hangs completes none."""
    pages = [page for page in capture.scrapes if page]
    requests = {
        _version(series)[0]: 0.0 for page in pages for series in page.values if "model" in series.labels
    }
    if len(requests) <= MAX_MODELS:
        return None
    for page in pages:
        for series, value in page.values.items():
            if series.family == PENDING and value > requests[model := _version(series)[0]]:
                requests[model] = value
    for before, now in pairwise(pages):
        for series, increase in _increases(before.values, now.values, frozenset((SUCCESS, FAILURE))):
            requests[_version(series)[0]] += increase
    order = sorted(requests, key=lambda model: (model != capture.model, -requests[model], model))
    return frozenset(order[:MAX_MODELS])


def _counters(measures: Iterable[Measure]) -> frozenset[str]:
    return frozenset(measure.family for measure in measures if measure.kind == "rate" and measure.family)


def _by_family(samples: Iterable[tuple[Series, float]]) -> ByFamily:
    families: dict[str, list[tuple[Series, float]]] = {}
    for series, value in samples:
        families.setdefault(series.family, []).append((series, value))
    return families


def _rounded(value: float) -> float | None:
    """To six significant digits; None for what is too large to be a number."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
