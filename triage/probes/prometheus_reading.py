"""One measure out of a Prometheus: the ways to ask for it, the first that has series, or of each exporter of GPUs its
first, and why where none has."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from telemetry.prometheus import PrometheusAnswer, PrometheusError, PrometheusSource
from triage.evidence import Missing
from triage.latency.counters import SUMMARY_SECONDS
from triage.latency.facts import Ranges
from triage.latency.grid import Grid, make_ranges
from triage.latency.measures import Alternative, Measure
from triage.latency.queries import Names, SeriesTarget, Unscoped, build_query, result_labels

_OF_TRITON = ("nv_", "vllm:")


@dataclass(frozen=True, slots=True)
class Reading:
    measure: Measure
    by: tuple[str, ...]
    target: SeriesTarget
    grid: Grid
    scope: dict[str, str] | None = None
    """Which label holds what of the target, where this Prometheus decides that; None: as the measure says."""
    notes: tuple[str, ...] = ()


class Reader:
    """`families`: those that this Prometheus has, None where it does not tell; `names`: its names of Triton's labels."""

    def __init__(self, source: PrometheusSource) -> None:
        self._source = source
        self.families: frozenset[str] | None = None
        self.names = Names({"gpu": "gpu_uuid"})

    def ways(self, reading: Reading) -> list[tuple[str, Alternative, Names]]:
        """The queries to try, in order; those whose family Prometheus does not have are left out, if any is left."""
        found: list[tuple[str, Alternative, Names]] = []
        scope = {} if reading.scope is None else {"scope": reading.scope}
        for alternative in reading.measure.alternatives:
            for variant in alternative.model_copy(update=scope).variants():
                names = self.names if variant.family.startswith(_OF_TRITON) else Names()
                try:
                    grid = reading.grid
                    query = build_query(variant, reading.by, reading.target, grid.window, names, grid.span)
                except Unscoped:
                    continue
                found.append((query, variant, names))
        there = [way for way in found if self._has(way[1])]
        return there or found[:1]

    def _has(self, alternative: Alternative) -> bool:
        known = self.families
        return known is None or not known.isdisjoint((alternative.family, *alternative.plus))

    async def read(self, reading: Reading, seconds: float | None = None) -> Ranges | Missing:
        """`seconds`: how long an answer may take."""
        grid, refused = reading.grid, None
        ways = self.ways(reading)
        if not ways:
            return _unscoped(reading)
        found: list[_Told] = []
        unanswered: dict[str, str] = {}
        for promql, alternative, names in ways:
            if not self._has(alternative) or not _may_add(alternative, found):
                continue
            try:
                answer = await self._source.query_range(
                    promql, grid.start, grid.end, grid.step, timeout_seconds=seconds
                )
            except PrometheusError as error:
                refused = refused or error
                unanswered[alternative.exporter] = error.detail
                if error.reason != "refused":
                    break
                continue
            if answer.series:
                found.append(_Told(alternative, names, answer))
                if not alternative.exporter:
                    break
        if found:
            lacks = unanswered.keys() - {one.way.exporter for one in found} if found[0].way.exporter else ()
            return _ranges(
                reading, found, [f"{name} could not be asked: {unanswered[name]}" for name in lacks]
            )
        return missing(refused) if refused else _none_of(reading, [way[1].family for way in ways])


@dataclass(frozen=True, slots=True)
class _Told:
    way: Alternative
    names: Names
    answer: PrometheusAnswer


def _may_add(way: Alternative, found: Sequence[_Told]) -> bool:
    """Whether it may tell of more than what was found does."""
    return not found or (bool(way.exporter) and way.exporter not in {one.way.exporter for one in found})


def _ranges(reading: Reading, found: Sequence[_Told], lacks: Sequence[str]) -> Ranges:
    rows: list[tuple[Mapping[str, str], Sequence[tuple[float, float | None]]]] = []
    gpus: set[str] = set()
    for one in found:
        ours = result_labels(one.way, reading.by, one.names)
        told = [(_labels_of(ours, series.labels), series.points) for series in one.answer.series]
        rows += [row for row in told if row[0].get("gpu", "") not in gpus]
        gpus |= {labels.get("gpu", "") for labels, _ in told} if one.way.exporter else set()
    smear = max(
        {"last": 0.0, "quantile": SUMMARY_SECONDS}.get(one.way.kind, reading.grid.window) for one in found
    )
    warnings = [warning for one in found for warning in one.answer.warnings]
    return make_ranges(
        reading.measure.measure, rows, reading.grid, smear, [*warnings, *reading.notes, *lacks]
    )


def _labels_of(ours: Mapping[str, tuple[str, ...]], told: Mapping[str, str]) -> dict[str, str]:
    """By our names; of several of the answer's the first that is there."""
    found = (
        (label, next((told[name] for name in theirs if name in told), None)) for label, theirs in ours.items()
    )
    return {label: value for label, value in found if value is not None}


def missing(error: PrometheusError) -> Missing:
    return Missing(error.reason, error.detail, error.remedy)


def _unscoped(reading: Reading) -> Missing:
    for alternative in reading.measure.alternatives:
        try:
            build_query(alternative, reading.by, reading.target, reading.grid.window)
        except Unscoped as lacks:
            said = f"to look for the {reading.measure.says}, it has to be known {lacks}"
            return Missing("not_given", said, "give the workload as TARGET, and let its cluster be asked")
    raise AssertionError("every way to read a measure needs something of the target")


def _none_of(reading: Reading, families: Iterable[str]) -> Missing:
    tried = ", ".join(dict.fromkeys(families))
    when = "" if not reading.grid.ago else f" {reading.grid.ago / 86400:.0f} days earlier"
    said = f"no series of {tried} for the target in the window{when}"
    return Missing("no_series", said, reading.measure.remedy or _remedy(reading))


def _remedy(reading: Reading) -> str:
    if reading.grid.ago:
        return "Prometheus keeps no samples so old, or the pods did not run then"
    if any(way.kind == "quantile" for way in reading.measure.alternatives):
        return "start Triton with --metrics-config summary_latencies=true"
    return "scrape Triton's metrics port (8002) of these pods; some families are there only where a feature is used"
