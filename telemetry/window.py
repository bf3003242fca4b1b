"""One pod's counters over a window: what increased, reset-safe, and what the gauges showed.

Triton's counters start at zero when a process starts or a model is loaded, only grow, and move only when a request
*completes*. So
- a counter that fell, or that appears on a pod already sampled, began again at zero: its whole value is new;
- if one counter of a model fell, the model was loaded anew, and all its counters began again, even those that have
  grown past their old value (all but `nv_inference_request_failure`, which survives an unload);
- while requests wait and none completes, the passing of time is no evidence of less work: the row is *stalled* and
  keeps its last increases, and the highest pending gauge: what was seen waiting has not left the server;
- a pod that answers again after a silence did nothing in it as far as its counters know, though its clients went on: what it did
  before stands beside its windows as their *floor* until they lie wholly after the silence.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from sys import intern
from typing import Final, NamedTuple

from telemetry.exposition import Series
from telemetry.packed_rows import PackedRows

PENDING: Final = "nv_inference_pending_request_count"
SUCCESS: Final = "nv_inference_request_success"
FAILURE: Final = "nv_inference_request_failure"
QUEUE: Final = "nv_inference_queue_duration_us"
_SILENCE_INTERVALS: Final = 2.5  # two scrapes missed in a row: the pod was an error, or about to be
_COMPLETIONS: Final = (SUCCESS, FAILURE)


MAX_ROWS: Final = 2000
"""Most rows of a pod within its longest window: each costs time and memory at every sample."""
_TOO_MANY_ROWS: Final = f"shows more than {MAX_ROWS} model versions and GPUs"


class RowKey(NamedTuple):
    """A row of a pod: a model version (its GPU-labelled twin series are summed into it), or one GPU."""

    model: str
    version: str
    gpu: str


@dataclass(frozen=True, slots=True)
class Families:
    """What to keep of a page, by how it is read. A gauge may be one series of its family, `family{label="value"}`. Quantiles are
    (family, quantile label) pairs. Histograms are the names of their buckets; each bucket is a counter `family{le}`."""

    counters: frozenset[str]
    gauges: frozenset[str]
    quantiles: frozenset[tuple[str, str]]
    histograms: frozenset[str] = frozenset()

    def names(self) -> frozenset[str]:
        """As a page shows them, without labels."""
        gauges = {family.partition("{")[0] for family in self.gauges}
        return self.counters | self.histograms | gauges | {family for family, _ in self.quantiles}

    def labelled(self) -> Mapping[str, tuple[tuple[str, str, str], ...]]:
        """Gauges of which single series are wanted: by family, their (label, value, name)."""
        found: dict[str, tuple[tuple[str, str, str], ...]] = {}
        for name in sorted(self.gauges):
            family, brace, rest = name.partition("{")
            if brace:
                label, _, value = rest.rstrip("}").partition("=")
                found[family] = (*found.get(family, ()), (label, value.strip('"'), name))
        return found


@dataclass(frozen=True, slots=True)
class RowWindow:
    """One row over the window; families that the page does not show are absent, never zero."""

    seconds: float
    """Span of the increases. A rate is increase / seconds."""
    increase: Mapping[str, float]
    mean: Mapping[str, float]
    """Gauges, averaged over the window's samples; of a stalled row the pending gauge's highest such mean since."""
    last: Mapping[str, float]
    """Gauges, and quantiles as `family{quantile}`, as last shown; NaN where Triton says so (no traffic in its own 60 s)."""
    stalled_seconds: float = 0.0
    """How long requests have been seen waiting with none completing; 0 when the row moves or nothing waits. A row that was
    stalled when it was first seen, with an unknown past, has nothing to keep: its `seconds` are 0."""
    floor: "RowWindow | None" = None
    """The row as it was before the pod fell silent, while the window still reaches into that silence."""

    @property
    def flat(self) -> bool:
        return not any(self.increase.values())


@dataclass(frozen=True, slots=True)
class PodWindow:
    """A pod's rows as of its last sample."""

    at: float
    """Monotonic seconds of the last sample."""
    full: bool
    """The samples cover the window, or the pod's whole life is known."""
    rows: Mapping[RowKey, RowWindow]
    young: bool = False
    """The pod's life is shorter than the window, so it holds all that the pod did until its last sample."""


@dataclass(slots=True)
class _Row:
    """Running state of one row."""

    since: float  # samples from before it say nothing of it: they may be of an earlier load of the model
    waiting_since: float | None = None  # requests were seen waiting, and none has completed since
    stalled: bool = False
    held: dict[float, RowWindow] = field(default_factory=dict)  # by window: as it was when the row stalled


class _Sample(NamedTuple):
    at: float
    totals: PackedRows[RowKey, str]
    """Increases since the row was first seen, by counter."""
    gauges: PackedRows[RowKey, str]


_NO_ROWS: Final[PackedRows[RowKey, str]] = PackedRows({})
_NO_SERIES: Final[PackedRows[RowKey, Series]] = PackedRows({})


class PodHistory:
    """Bounded samples of one pod, and the windows ending at the newest.

    `windows` are the lengths wanted, in seconds; `interval` is the scrape interval, half of which a window may be short by.
    `born_at`: the monotonic second at which the pod was seen before its container ran, so that its counters began at zero
    after it; None for a pod with an unknown past. When it first answers long after that, already at work, its past is unknown too.
    """

    def __init__(
        self,
        families: Families,
        windows: Collection[float],
        interval: float,
        born_at: float | None = None,
    ) -> None:
        self._families = families
        self._quantiles = {family for family, _ in families.quantiles}
        self._labelled = families.labelled()
        self._counters = families.counters | families.histograms
        self._windows = tuple(windows)
        self._longest = max(self._windows)
        self._slack = interval / 2
        self._rows: dict[RowKey, _Row] = {}
        self._shown = _NO_SERIES  # the counters of the last page
        self._samples: deque[_Sample] = deque(maxlen=int(2 * self._longest / interval) + 4)
        self._born_at = born_at
        self._latest: Mapping[float, PodWindow] = {}
        self._before_silence: Mapping[float, PodWindow] = {}
        self._answers_since = float("-inf")  # the first sample after the last silence

    def add(
        self, at: float, page: Iterable[tuple[Series, float]], serving_since: float | None = None
    ) -> Mapping[float, PodWindow]:
        """The pod's windows, by length in seconds, after one more page sampled at monotonic second `at`. What a new pod had done by
        its first page it did evenly since `serving_since`. Raises ValueError for a page that no Triton can mean; nothing of it is
        kept."""
        if self._samples and at - self._samples[-1].at > 2 * self._longest:
            self._forget()
        elif self._samples and at - self._samples[-1].at > _SILENCE_INTERVALS * 2 * self._slack:
            self._before_silence, self._answers_since = self._latest, at
        first = not self._samples
        counters, gauges = self._sort(page)
        if len(self._rows.keys() | counters.keys() | gauges.keys()) > MAX_ROWS:
            raise ValueError(_TOO_MANY_ROWS)
        if first and not any(value for series in counters.values() for value in series.values()):
            self._born_at = at
        elif first and self._born_at is not None and at - self._born_at > 2 * self._longest:
            self._born_at = None
        from_zero = not first or self._born_at is not None
        last = _Sample(at, _NO_ROWS, _NO_ROWS) if first else self._samples[-1]
        new = {key: _Row(-math.inf if first else at) for key in counters if key not in self._rows}
        self._rows |= new
        totals: dict[RowKey, dict[str, float]] = {}
        for key, row in self._rows.items():
            shown = counters.get(key, {})
            before = self._shown.row(key) if from_zero else shown
            known = {} if key in new else last.totals.row(key)
            totals[key] = self._advance(row, at, shown, before, known, gauges.get(key, {}))
        self._shown = PackedRows(counters, self._shown)
        newest = _Sample(at, PackedRows(totals, last.totals), PackedRows(gauges, last.gauges))
        if first and self._born_at is not None:
            # Not from birth: while the pod was starting it did nothing, and that time would dilute its rates.
            since = at if serving_since is None else serving_since
            self._samples.extend(_evenly(newest, since, 2 * self._slack))
        self._samples.append(newest)
        while len(self._samples) > 2 and self._samples[1].at <= at - self._longest - self._slack:
            self._samples.popleft()
        windows = {seconds: self._window(seconds) for seconds in self._windows}
        for key in [key for key in self._rows if key not in self._shown]:
            if not any(key in window.rows for window in windows.values()):
                del self._rows[key]
        self._latest = windows
        return windows

    def _forget(self) -> None:
        """After a silence longer than two windows the past says nothing of the present: start over."""
        self._rows.clear()
        self._shown = _NO_SERIES
        self._samples.clear()
        self._before_silence = {}
        self._born_at = None

    def _sort(
        self, page: Iterable[tuple[Series, float]]
    ) -> tuple[dict[RowKey, dict[Series, float]], dict[RowKey, dict[str, float]]]:
        """Counters by row and series; gauges and quantiles by row and family (twins summed, quantiles kept)."""
        counters: dict[RowKey, dict[Series, float]] = {}
        gauges: dict[RowKey, dict[str, float]] = {}
        shown: set[Series] = set()
        for series, value in page:
            if series in shown:  # which number is right? A gauge would be summed, as twins of two GPUs are
                raise ValueError("shows a series twice")
            shown.add(series)
            family, labels = series.family, series.labels
            model = labels.get("model", "")
            key = RowKey(model, labels.get("version", ""), "" if model else labels.get("gpu_uuid", ""))
            if family in self._counters:
                if not 0 <= value < math.inf:
                    # It would stay in the sums for as long as the pod lives.
                    raise ValueError("shows a counter that is NaN, infinite or negative")
                if family in self._families.histograms and not _is_bound(labels.get("le", "+Inf")):
                    raise ValueError("shows a histogram's bucket whose bound is no number")
                counters.setdefault(key, {})[series] = value
                if len(counters) > MAX_ROWS:
                    raise ValueError(_TOO_MANY_ROWS)
            elif family in self._quantiles:
                wanted = (family, labels.get("quantile", "")) in self._families.quantiles
                # NaN says that no request came; what is no duration says nothing.
                if wanted and not (value < 0 or value == math.inf):
                    name = intern(f"{family}{{{labels['quantile']}}}")
                    _keep_quantile(gauges.setdefault(key, {}), name, value)
            elif 0 <= value < math.inf:  # else it says nothing: missing, not zero
                for name in self._gauge_names(series):
                    row = gauges.setdefault(key, {})
                    row[name] = row.get(name, 0.0) + value
        return counters, gauges

    def _gauge_names(self, series: Series) -> Iterator[str]:
        """Under which it is wanted."""
        if series.family in self._families.gauges:
            yield series.family
        for label, value, name in self._labelled.get(series.family, ()):
            if series.labels.get(label) == value:
                yield name

    @staticmethod
    def _advance(
        row: _Row,
        at: float,
        counters: Mapping[Series, float],
        before: Mapping[Series, float],
        totals: dict[str, float],
        gauges: Mapping[str, float],
    ) -> dict[str, float]:
        """The row's totals after a page that shows these counters and gauges, and those of `before` the page before."""
        begun_again = any(value < before.get(series, 0.0) for series, value in counters.items())
        completed = False
        for series, value in counters.items():
            known = before.get(series, 0.0)
            if value < known or (begun_again and series.family != FAILURE):
                known = 0.0
            increase = value - known
            if series.family in _COMPLETIONS and increase > 0:
                completed = True
            name = _counter_name(series)
            totals[name] = totals.get(name, 0.0) + increase
        if completed or begun_again or not any(series.family == SUCCESS for series in counters):
            row.waiting_since = None
        if row.waiting_since is None and gauges.get(PENDING, 0.0) > 0:
            row.waiting_since = at
        row.stalled = row.waiting_since is not None and not completed and not begun_again
        return totals

    def _window(self, seconds: float) -> PodWindow:
        newest = self._samples[-1]
        wanted = newest.at - seconds + self._slack
        begin = 0
        for index, sample in enumerate(self._samples):
            if sample.at > wanted:
                break
            begin = index
        start = self._samples[begin]
        covered = start.at <= wanted
        full = covered or self._born_at is not None
        span = newest.at - start.at if covered else max(newest.at - start.at, seconds if full else 0.0)
        inside = list(islice(self._samples, begin + 1, None)) or [newest]
        rows: dict[RowKey, RowWindow] = {}
        for key, row in self._rows.items():
            fresh = self._row_window(key, row, start, inside, span)
            if fresh is not None:
                lived = newest.at - start.at + 2 * self._slack  # a sample stands for the interval before it
                held = self._hold(row, seconds, _over_whole_window(fresh, lived), newest.at)
                floor = self._floor(key, seconds, newest.at)
                rows[key] = held if floor is None else replace(held, floor=floor)
        for key in newest.gauges:
            if key not in self._rows:
                rows[key] = RowWindow(span, {}, _means(key, inside), newest.gauges.row(key))
        return PodWindow(newest.at, full, rows, young=full and not covered)

    def _row_window(
        self, key: RowKey, row: _Row, start: _Sample, inside: list[_Sample], span: float
    ) -> RowWindow | None:
        """The row over the window; None for a model that is gone and has done nothing in the window. Families that are no
        longer shown leave together, once none of them has increased in the window."""
        before = {} if start.at < row.since else start.totals.row(key)
        totals = inside[-1].totals.row(key)
        increase = {family: total - before.get(family, 0.0) for family, total in totals.items()}
        shown = {_counter_name(series) for series in self._shown.names(key)}
        if not any(value for family, value in increase.items() if family not in shown):
            increase = {family: value for family, value in increase.items() if family in shown}
        if not increase:
            return None
        last = next((sample.gauges.row(key) for sample in reversed(inside) if key in sample.gauges), {})
        return RowWindow(span, increase, _means(key, inside, len(inside)), last)

    def _floor(self, key: RowKey, seconds: float, now: float) -> RowWindow | None:
        """The row before the last silence, or before the first of several that follow each other within a window."""
        if not self._before_silence or now - self._answers_since >= seconds - self._slack:
            return None
        before = self._before_silence[seconds].rows.get(key)
        return before and (before.floor or before)

    @staticmethod
    def _hold(row: _Row, seconds: float, fresh: RowWindow, now: float) -> RowWindow:
        """The window as it was when the row last moved, with the gauges of now, while requests wait in vain."""
        if not row.stalled or row.waiting_since is None:
            row.held[seconds] = fresh
            return fresh
        held = row.held.setdefault(seconds, fresh)
        highest = max(held.mean.get(PENDING, 0.0), fresh.mean.get(PENDING, 0.0))
        mean = {**fresh.mean, PENDING: highest}
        row.held[seconds] = replace(held, mean=mean)
        return RowWindow(held.seconds, held.increase, mean, fresh.last, now - row.waiting_since)


def _evenly(first: _Sample, since: float, interval: float) -> Iterator[_Sample]:
    """What a new pod's samples would have been before its first one, had it done evenly since `since` what that one shows.

    Without them all of it would lie at the moment of the first one, and in the window for longer than it lasted."""
    yield _Sample(min(since, first.at), _NO_ROWS, _NO_ROWS)
    waited = first.at - since
    for step in range(1, math.ceil(waited / interval) if waited > 0 else 0):
        share = step * interval / waited
        totals = {
            key: {family: value * share for family, value in first.totals.row(key).items()}
            for key in first.totals
        }
        yield _Sample(since + step * interval, PackedRows(totals, first.totals), first.gauges)


def _counter_name(series: Series) -> str:
    """A bucket is a counter of its own; all other series of a family are twins."""
    bound = series.labels.get("le")
    return series.family if bound is None else intern(f"{series.family}{{{bound}}}")


def _is_bound(le: str) -> bool:
    try:
        return float(le) > -math.inf
    except ValueError:
        return False


def _keep_quantile(row: dict[str, float], name: str, value: float) -> None:
    """Twin series: the larger, and a number rather than NaN."""
    before = row.get(name)
    if before is None or before != before or value > before:
        row[name] = value


def _means(key: RowKey, samples: Iterable[_Sample], count: int | None = None) -> dict[str, float]:
    """Gauges of the row averaged over the samples that show them, or over `count` samples: a model that a page does not show is
    not loaded, so nothing waits for it. Quantiles have no mean."""
    sums: dict[str, list[float]] = {}
    for sample in samples:
        for family, value in sample.gauges.row(key).items():
            if "{" not in family or "=" in family:
                sums.setdefault(family, []).append(value)
    return {family: sum(values) / (count or len(values)) for family, values in sums.items()}


def _over_whole_window(row: RowWindow, lived: float) -> RowWindow:
    """The row with its gauges' means over the whole span, as its rates are: before a pod's first sample nothing waited in it, as
    nothing completed. `lived`: seconds of the span since then."""
    if lived >= row.seconds:
        return row
    share = lived / row.seconds
    return replace(row, mean={family: value * share for family, value in row.mean.items()})
