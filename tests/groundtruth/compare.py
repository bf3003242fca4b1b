"""Each answer beside the truth of the same moment."""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autoscaler.answer import NoData, Reason, Value
from autoscaler.selection import Standing
from tests.groundtruth.fleet import Run
from tests.groundtruth.observed import Reading
from tests.groundtruth.quantiles import QUANTILES, true_quantile
from tests.groundtruth.records import Window
from tests.groundtruth.truth import RATIOS, SCALES, TOTALS, TRACE_SECONDS, Part, Truth

Row = Mapping[str, Any]
"""Of an answer's trace."""


@dataclass(frozen=True)
class Compared:
    """`above`: how much more than truth and tolerance an answer may say, on purpose: totals never fall with a silence."""

    reading: Reading
    ours: float
    truth: float
    tolerance: float
    above: float = 0.0

    @property
    def error(self) -> float:
        return self.ours - self.truth

    @property
    def share(self) -> float:
        """The error as a share of what is tolerated."""
        excess = self.error - min(max(self.error, 0.0), self.above)
        beyond_rounding = max(0.0, abs(excess) - 1e-9)
        if not beyond_rounding:
            return 0.0
        return beyond_rounding / self.tolerance if self.tolerance else math.inf


def silences(run: Run) -> Counter[tuple[str, Reason]]:
    """How often a signal had no value, by reason, once each pod had shown a request."""
    since = _shown(run)
    return Counter(
        (reading.signal, reading.answer.reason)
        for reading in run.observed.readings
        if isinstance(reading.answer, NoData)
        and reading.asked_at >= since
        and reading.signal in run.scenario.signals
    )


def _shown(run: Run) -> float:
    """When a sample of each pod from the beginning on had shown a success, and a scrape's time more."""
    firsts = [
        min((served.counted_by for served in record.served if served.answered), default=math.inf)
        for name, record in run.records.items()
        if run.ready_at(name) <= run.began
    ]
    return max(firsts) + 2 * run.scenario.interval


def compare(run: Run, signal: str, selector: str) -> Iterator[Compared]:
    """The answers of a signal that have a value and a truth; a value where nothing happened must be the idle one."""
    for reading in run.observed.readings:
        if (reading.signal, reading.selector) != (signal, selector) or not isinstance(reading.answer, Value):
            continue
        found = _of_total(run, reading) if signal in TOTALS else _of_requests(run, reading)
        if found is not None:
            yield found
        elif not reading.answer.idle:
            yield Compared(reading, reading.answer.value, 0.0, 0.0)


AllCompared = Mapping[tuple[str, str], Sequence[Compared]]
"""By signal and selector."""


def compare_all(run: Run) -> AllCompared:
    """Every signal of the scenario, for every selector."""
    return {
        (signal, selector): list(compare(run, signal, selector))
        for selector in run.scenario.selectors
        for signal in run.scenario.signals
    }


def _rows(reading: Reading, *standings: Standing) -> list[Row]:
    rows = [row for row in reading.answer.trace if "window_seconds" in row]
    return [row for row in rows if row["standing"] in standings]


def _choices(run: Run, reading: Reading, rows: Sequence[Row]) -> list[list[Part]]:
    """The pods' windows, as the trace says them: several where it leaves them open."""
    options: list[list[Part]] = []
    for row in rows:
        record = run.records[row["pod"]]
        told, before = run.observed.windows(reading, row)
        windows = [told] if record.moved(before) else [told, before]
        options.append([Part(record, window) for window in windows])
    return [list(parts) for parts in itertools.product(*options)]


def _of_requests(run: Run, reading: Reading) -> Compared | None:
    """A ratio or quantile, over the pods that answered."""
    assert isinstance(reading.answer, Value)
    choices = _choices(run, reading, _rows(reading, Standing.ANSWERED))
    if reading.signal in QUANTILES:
        return _of_quantile(reading, choices[0])
    truths = [truth for parts in choices if (truth := RATIOS[reading.signal](parts)) is not None]
    scale = SCALES.get(reading.signal, 1.0)
    found = [
        Compared(reading, reading.answer.value, truth.value * scale, truth.tolerance * scale)
        for truth in truths
    ]
    return min(found, key=lambda each: each.share, default=None)


def _of_quantile(reading: Reading, parts: Sequence[Part]) -> Compared | None:
    """Right where the answer's bounds hold the truth; the error is the estimate's."""
    assert isinstance(reading.answer, Value)
    truth = true_quantile(parts, QUANTILES[reading.signal])
    if truth is None or reading.answer.idle:
        return None
    told = reading.answer.labels["upper_bound"]
    lower, upper = float(reading.answer.labels["lower_bound"]), math.inf if told == "none" else float(told)
    holds = lower <= truth.most and upper >= truth.least
    ours = reading.answer.value
    width = max(abs(ours - truth.value), ours - lower, upper - ours if math.isfinite(upper) else 0.0)
    return Compared(reading, ours, truth.value, width if holds else 0.0)


def _of_total(run: Run, reading: Reading) -> Compared:
    """The sum over all pods: also of what silent, departed and unmeasured ones did."""
    assert isinstance(reading.answer, Value)
    ours = reading.answer.value
    rows = _rows(reading, Standing.ANSWERED)
    others = _others(run, reading)
    found = []
    for parts in _choices(run, reading, rows):
        own = [TOTALS[reading.signal](record, window) for record, window in parts]
        floors = [
            max(0.0, row["before_silence"] - truth.value)
            for row, truth in zip(rows, own, strict=True)
            if row["before_silence"] is not None
        ]
        silent, above = _silent(run, reading, own)
        late = ours * _lag(run, rows)
        truths = [*own, *silent, *others]
        found.append(
            Compared(
                reading,
                ours,
                sum(t.value for t in truths),
                sum(t.tolerance for t in truths) + late,
                sum(floors) + above,
            )
        )
    return min(found, key=lambda each: each.share)


def _silent(run: Run, reading: Reading, answered: Sequence[Truth]) -> tuple[list[Truth], float]:
    """What pods that do not answer last did, and how much more is allowed: they count as no less than the others' mean."""
    truths = []
    above = 0.0
    typical = sum(t.value for t in answered) / len(answered) if answered else 0.0
    for row in _rows(reading, Standing.SILENT):
        window = run.observed.windows(reading, row)[0]
        truth = TOTALS[reading.signal](run.records[row["pod"]], window)
        truths.append(truth)
        above += max(0.0, typical - truth.value)
    return truths, above


def _lag(run: Run, rows: Sequence[Row]) -> float:
    """Pods are not sampled at one moment, and a total takes the later ones' for the truth of all."""
    ages = [row["age_seconds"] for row in rows]
    return (
        sum(age - min(ages) + TRACE_SECONDS for age in ages) / run.scenario.window / len(ages)
        if ages
        else 0.0
    )


def _others(run: Run, reading: Reading) -> list[Truth]:
    """What pods did that left, or that nobody measured yet. For both the program takes their work for spread evenly: how far it
    was not is tolerated, and so told in the error."""
    return [*_departed(run, reading), *_unmeasured(run, reading)]


def _departed(run: Run, reading: Reading) -> Iterator[Truth]:
    window = run.scenario.window
    total = TOTALS[reading.signal]
    for row in _rows(reading, Standing.DEPARTED):
        record = run.records[row["pod"]]
        last = total(record, run.observed.windows(reading, row)[0])
        left = max(0.0, 1 - row["age_seconds"] / window)
        true = total(record, Window(reading.asked_at, reading.asked_at, window))
        yield Truth(true.value, abs(last.value * left - true.value) + last.tolerance * left)


def _unmeasured(run: Run, reading: Reading) -> Iterator[Truth]:
    assert isinstance(reading.answer, Value)
    new = [
        row
        for row in reading.answer.trace
        if row["standing"] == Standing.NEW and row["counted"] and row["ready"]
    ]
    known = sum(
        "window_seconds" in row and row["standing"] != Standing.DEPARTED for row in reading.answer.trace
    )
    window = run.scenario.window
    unseen = sum(min(1.0, row["age_seconds"] / window) for row in new) / (known + len(new)) if new else 0.0
    estimate = reading.answer.value * unseen
    true = sum(
        TOTALS[reading.signal](
            run.records[row["pod"]], Window(reading.asked_at, reading.asked_at, window)
        ).value
        for row in new
    )
    if new:
        yield Truth(true, abs(estimate - true))
