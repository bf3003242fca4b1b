"""Evidence over time from a Prometheus: Triton's measures, the same hours of earlier days, the platform and the gateway.

The first question finds out how this Prometheus names the pods, how often it scrapes and how many series there are; its answer
raises all others. A fleet of more than 2,000 series is read without pods, and by pod for the model in question alone."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

from telemetry.prometheus import PrometheusAnswer, PrometheusError, PrometheusSource
from triage.collect import Found, Question
from triage.evidence import Missing
from triage.latency.counters import SUMMARY_SECONDS
from triage.latency.facts import Ranges
from triage.latency.grid import (
    MOST_SERIES,
    MOST_STEPS,
    Grid,
    Window,
    close_grid,
    grown_model,
    make_grid,
    make_ranges,
)
from triage.latency.measures import Alternative, Measure, Measures
from triage.latency.queries import Names, SeriesTarget, Unscoped, build_query, result_labels
from triage.probes.prometheus_layout import DEFAULT_INTERVAL, Layout, find_layout
from triage.seal import Seal

PAST = {"1d": 86400.0, "7d": 7 * 86400.0}
PAST_MEASURES = ("success", "request_time", "queue_time", "request_p99", "gateway_p99")
CLOSE_MEASURES = (
    "success",
    "request_time",
    "queue_time",
    "infer_time",
    "pending",
    "failure",
    "gateway_requests",
    "gateway_p99",
)
"""What tells when it began, scrape by scrape."""
_MOST_POINTS = 800_000
"""Of one answer: 32 MB hold somewhat more."""
_OF_TRITON = ("nv_", "vllm:")


def prometheus_questions(
    source: PrometheusSource, target: SeriesTarget, measures: Measures, window: Window
) -> list[Question]:
    """The first question, whose answer raises the others. `target.model`: the model in question, if it is known."""
    return [_Prometheus(source, target, measures, window).first()]


@dataclass(frozen=True, slots=True)
class _Reading:
    measure: Measure
    by: tuple[str, ...]
    target: SeriesTarget
    grid: Grid
    scope: dict[str, str]
    notes: tuple[str, ...] = ()


class _Prometheus:
    def __init__(
        self, source: PrometheusSource, target: SeriesTarget, measures: Measures, window: Window
    ) -> None:
        self._source = source
        self._target = target
        self._measures = measures
        self._window = window
        self._families: frozenset[str] | None = None
        self._names = Names({"gpu": "gpu_uuid"})
        self._success = next(row for row in measures["triton"] if row.measure == "success")

    def first(self) -> Question:
        grid = make_grid(self._window, DEFAULT_INTERVAL)
        scope = {"namespace": "{namespace}", "pod": "{pods}"}
        reading = _Reading(self._success, ("pod", *self._success.by), self._target, grid, scope)
        return replace(self._question("triton", "triton/success", reading), ask=self._discover)

    async def _discover(self, seal: Seal) -> Found:
        try:
            self._families = await self._known_families()
            layout = await find_layout(self._source, self._target, self._window)
        except PrometheusError as error:
            return Found(_missing(error))
        if isinstance(layout, Missing):
            return Found(layout, self._around(make_grid(self._window, DEFAULT_INTERVAL)))
        self._names = layout.names
        many = layout.series > MOST_SERIES
        by = () if many else layout.by
        facts = await self._read(self._triton(self._success, layout, by))
        model = await self._model(layout, facts) if many else ""
        then = [
            self._question("triton", f"triton/{row.measure}", self._triton(row, layout, by))
            for row in self._measures["triton"]
            if row is not self._success
        ]
        if model:
            then += self._of_pods(layout, model)
        return Found(facts, [*then, *self._close(layout), *self._past(layout), *self._around(layout.grid)])

    async def _known_families(self) -> frozenset[str] | None:
        """None where Prometheus does not let us list them: then each is asked for."""
        try:
            return await self._source.metric_names(self._window.start - max(PAST.values()), self._window.end)
        except PrometheusError as error:
            if error.reason in ("unreachable", "timeout"):
                raise
            return None

    def _triton(self, row: Measure, layout: Layout, by: tuple[str, ...]) -> _Reading:
        return _Reading(row, (*by, *row.by), self._target, layout.grid, layout.scope, layout.notes)

    async def _model(self, layout: Layout, success: Ranges | Missing) -> str:
        """The model that was asked about, else the one that became slowest."""
        if self._target.model or isinstance(success, Missing):
            return self._target.model
        row = self._row("request_time")
        time = await self._read(self._triton(row, layout, ())) if row else None
        return grown_model(success, time) if isinstance(time, Ranges) else ""

    def _of_pods(self, layout: Layout, model: str) -> list[Question]:
        """Coarser where there are so many pods that the answer would be too long."""
        points = max(20, _MOST_POINTS // max(layout.series, 1))
        grid = make_grid(self._window, layout.interval, min(points, MOST_STEPS))
        target = replace(self._target, model=model)
        scope = {**layout.scope, "model": "{model}"}
        return [
            self._question(
                "triton_pods",
                f"triton_pods/{row.measure}",
                _Reading(row, (*layout.by, *row.by), target, grid, scope, layout.notes),
            )
            for row in self._measures.get("triton", ())
            if "model" in row.by
        ]

    def _close(self, layout: Layout) -> list[Question]:
        """All pods together, scrape by scrape: a window of two scrapes shows what came between them. None of a window that is too
        long for that."""
        grid = close_grid(self._window, layout.interval)
        rows = [row for name in CLOSE_MEASURES if (row := self._row(name))] if grid else []
        return [
            self._question(
                "close",
                f"close/{row.measure}",
                _Reading(
                    row,
                    row.by,
                    self._target,
                    grid,
                    layout.scope if self._is_triton(row) else {},
                    layout.notes,
                ),
            )
            for row in rows
            if grid
        ]

    def _past(self, layout: Layout) -> list[Question]:
        questions = []
        for name in PAST_MEASURES:
            row = self._row(name)
            if row is None:
                continue
            scope = layout.scope if self._is_triton(row) else {}
            for when, seconds in PAST.items():
                reading = _Reading(row, row.by, self._target, layout.grid.moved(seconds), scope, layout.notes)
                questions.append(self._question("past", f"past/{name}/{when}", reading))
        return questions

    def _around(self, grid: Grid) -> list[Question]:
        return [
            self._question(source, f"{source}/{row.measure}", _Reading(row, row.by, self._target, grid, {}))
            for source in ("platform", "gateway")
            for row in self._measures.get(source, ())
        ]

    def _row(self, name: str) -> Measure | None:
        return next((row for rows in self._measures.values() for row in rows if row.measure == name), None)

    def _is_triton(self, row: Measure) -> bool:
        return row in self._measures.get("triton", ())

    def _question(self, probe: str, identifier: str, reading: _Reading) -> Question:
        async def ask(seal: Seal) -> Found:
            return Found(await self._read(reading))

        # Whoever asks by hand gets the first that has series, as here: two of them rarely have.
        promql = (
            " or ".join(query for query, _, _ in self._ways(reading)) or "(the target does not tell enough)"
        )
        return Question(
            id=identifier,
            probe=probe,
            source=f"Prometheus at {self._source.shown_url}",
            query=promql,
            command=curl_command(self._source, promql, reading.grid),
            ask=ask,
            on_timeout="ask for a shorter window, or look how busy Prometheus is",
        )

    def _ways(self, reading: _Reading) -> list[tuple[str, Alternative, Names]]:
        """The queries to try, in order; those whose family Prometheus does not have are left out, if any is left."""
        found: list[tuple[str, Alternative, Names]] = []
        scope = {"scope": reading.scope} if self._is_triton(reading.measure) else {}
        for alternative in reading.measure.alternatives:
            for variant in alternative.model_copy(update=scope).variants():
                names = self._names if variant.family.startswith(_OF_TRITON) else Names()
                try:
                    query = build_query(
                        variant, reading.by, reading.target, reading.grid.window, names, reading.grid.span
                    )
                except Unscoped:
                    continue
                found.append((query, variant, names))
        there = [way for way in found if self._has(way[1])]
        return there or found[:1]

    def _has(self, alternative: Alternative) -> bool:
        known = self._families
        return known is None or not known.isdisjoint((alternative.family, *alternative.plus))

    async def _read(self, reading: _Reading) -> Ranges | Missing:
        grid, refused = reading.grid, None
        ways = self._ways(reading)
        if not ways:
            return _unscoped(reading)
        for promql, alternative, names in ways:
            if not self._has(alternative):
                continue
            try:
                answer = await self._source.query_range(promql, grid.start, grid.end, grid.step)
            except PrometheusError as error:
                if error.reason != "refused":
                    return _missing(error)
                refused = refused or error
                continue
            if answer.series:
                return self._ranges(reading, alternative, names, answer)
        return _missing(refused) if refused else _none_of(reading, [way[1].family for way in ways])

    def _ranges(
        self, reading: _Reading, alternative: Alternative, names: Names, answer: PrometheusAnswer
    ) -> Ranges:
        ours = result_labels(alternative, reading.by, names)
        rows = (
            (
                {label: series.labels[name] for label, name in ours.items() if name in series.labels},
                series.points,
            )
            for series in answer.series
        )
        smear = {"last": 0.0, "quantile": SUMMARY_SECONDS}.get(alternative.kind, reading.grid.window)
        notes = (*answer.warnings, *reading.notes)
        return make_ranges(reading.measure.measure, rows, reading.grid, smear, notes)


def curl_command(source: PrometheusSource, promql: str, grid: Grid) -> str:
    """The same question by hand; passwords and tokens are not in it."""
    access = source.access
    words = ["curl -sG"]
    if source.has_user:
        words.append("-u USER")  # it asks for the password
    if access.bearer_token_file:
        words.append(f'-H "Authorization: Bearer $(cat {shlex.quote(str(access.bearer_token_file))})"')
    words += [f"-H {shlex.quote(f'{name}: ...')}" for name in access.headers]
    if access.ca_file:
        words.append(f"--cacert {shlex.quote(str(access.ca_file))}")
    if access.client_certificate:
        certificate, key = (shlex.quote(str(path)) for path in access.client_certificate)
        words.append(f"--cert {certificate} --key {key}")
    words.append(shlex.quote(f"{source.shown_url}/api/v1/query_range"))
    words.append(f"--data-urlencode {shlex.quote(f'query={promql}')}")
    words.append(f"-d start={grid.start:.12g} -d end={grid.end:.12g} -d step={grid.step:g}")
    return " ".join(words)


def _missing(error: PrometheusError) -> Missing:
    return Missing(error.reason, error.detail, error.remedy)


def _unscoped(reading: _Reading) -> Missing:
    for alternative in reading.measure.alternatives:
        try:
            build_query(alternative, reading.by, reading.target, reading.grid.window)
        except Unscoped as lacks:
            said = f"to look for the {reading.measure.says}, it has to be known {lacks}"
            return Missing("not_given", said, "give the workload as TARGET, and let its cluster be asked")
    raise AssertionError("every way to read a measure needs something of the target")


def _none_of(reading: _Reading, families: Iterable[str]) -> Missing:
    tried = ", ".join(dict.fromkeys(families))
    when = "" if not reading.grid.ago else f" {reading.grid.ago / 86400:.0f} days earlier"
    said = f"no series of {tried} for the target in the window{when}"
    return Missing("no_series", said, reading.measure.remedy or _remedy(reading))


def _remedy(reading: _Reading) -> str:
    if reading.grid.ago:
        return "Prometheus keeps no samples so old, or the pods did not run then"
    if any(way.kind == "quantile" for way in reading.measure.alternatives):
        return "start Triton with --metrics-config summary_latencies=true"
    return "scrape Triton's metrics port (8002) of these pods; some families are there only where a feature is used"
