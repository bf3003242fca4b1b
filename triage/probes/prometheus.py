"""Evidence over time from a Prometheus: Triton's measures, the same hours of earlier days, the platform and the gateway.

The first question finds out how this Prometheus names the pods, how often it scrapes and how many series there are; its answer
raises all others. A fleet of more than 500 series is read without pods, and by pod for the model in question alone: a measure of
1,000 series is 8 MB. Which pods serve which models, and since when, is told of up to 2,000.

Questions wait for their turn for as long as the budget lasts; a probe's deadline is for the answer to each, once it is asked."""

import math
import shlex
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from telemetry.prometheus import PrometheusAccess, PrometheusError, PrometheusSource
from triage.collect import BY_ANOTHER, Found, Question
from triage.evidence import Evidence, Missing
from triage.latency.facts import Ranges
from triage.latency.grid import MOST_SERIES, MOST_STEPS, Grid, Window, close_grid, make_grid
from triage.latency.history import History
from triage.latency.measures import Measure, Source
from triage.latency.model_in_question import model_in_question
from triage.latency.queries import SeriesTarget
from triage.latency.rules import LatencyRules
from triage.probes.prometheus_layout import DEFAULT_INTERVAL, Layout, find_layout, together
from triage.probes.prometheus_reading import Reader, Reading, missing
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
MOST_BY_POD = 500
"""Series of all models: more are read by pod for the model in question alone."""
_TELLING = ("success", "request_time", "queue_time", "pending")
"""The measures that tell which model that is."""
_AROUND: Sequence[Source] = ("gateway", "platform")
_MOST_POINTS = 800_000
"""Of one answer: 32 MB hold somewhat more."""


def prometheus_questions(
    source: PrometheusSource,
    target: SeriesTarget,
    rules: LatencyRules,
    window: Window,
    named: Callable[[], Awaitable[SeriesTarget]] | None = None,
) -> list[Question]:
    """The first question, whose answer raises the others. `target.model`: the model in question, if it is known. `named`: the
    target with the names of its nodes and of its autoscaler, which the platform is asked by, once they are known."""

    async def as_given() -> SeriesTarget:
        return target

    return [_Prometheus(source, target, rules, window, named or as_given).first()]


class _Prometheus:
    def __init__(
        self,
        source: PrometheusSource,
        target: SeriesTarget,
        rules: LatencyRules,
        window: Window,
        named: Callable[[], Awaitable[SeriesTarget]],
    ) -> None:
        self._source = source
        self._target = target
        self._rules = rules
        self._measures = rules.sources
        self._window = window
        self._named = named
        self._reader = Reader(source)
        self._success = next(row for row in self._measures["triton"] if row.measure == "success")

    def first(self) -> Question:
        grid = make_grid(self._window, DEFAULT_INTERVAL)
        scope = {"namespace": "{namespace}", "pod": "{pods}"}
        reading = Reading(self._success, ("pod", *self._success.by), self._target, grid, scope)
        return replace(self._question("triton", "triton/success", reading), ask=self._discover)

    async def _discover(self, seal: Seal) -> Found:
        try:
            looked = find_layout(self._source, self._target, self._window)
            self._reader.families, layout = await together(self._known_families(), looked)
        except PrometheusError as error:
            return Found(missing(error))
        if isinstance(layout, Missing):
            return Found(layout, self._around(make_grid(self._window, DEFAULT_INTERVAL)))
        self._reader.names = layout.names
        by = layout.by if layout.series <= MOST_BY_POD else ()
        rows = [
            self._question("triton", f"triton/{row.measure}", self._triton(row, layout, by))
            for row in self._measures["triton"]
            if row is not self._success
        ]
        then = [self._successes(layout), *rows, *self._close(layout), *self._around(layout.grid)]
        return Found(BY_ANOTHER, then)

    def _successes(self, layout: Layout) -> Question:
        """By pod as far as that goes: it tells which pods serve which models, and since when. In a large fleet it raises the
        questions by pod about the one model in question."""
        reading = self._triton(self._success, layout, layout.by if layout.series <= MOST_SERIES else ())

        async def ask(seal: Seal) -> Found:
            past = self._past(layout)
            if layout.series <= MOST_BY_POD:
                return Found(await self._reader.read(reading), past)
            facts, model = await together(self._reader.read(reading), self._model(layout))
            return Found(facts, [*(self._of_pods(layout, model) if model else []), *past])

        return replace(self._question("triton", "triton/success", reading), ask=ask)

    async def _known_families(self) -> frozenset[str] | None:
        """None where Prometheus does not let us list them: then each is asked for."""
        try:
            return await self._source.metric_names(self._window.start - max(PAST.values()), self._window.end)
        except PrometheusError as error:
            if error.reason in ("unreachable", "timeout"):
                raise
            return None

    def _triton(self, row: Measure, layout: Layout, by: tuple[str, ...]) -> Reading:
        return Reading(row, (*by, *row.by), self._target, layout.grid, layout.scope, layout.notes)

    async def _model(self, layout: Layout) -> str:
        """The one that was asked about, else the one that the report will be about; empty: none can be told."""
        if self._target.model:
            return self._target.model
        rows = [row for row in self._measures["triton"] if row.measure in _TELLING]
        told = await together(*(self._reader.read(self._triton(row, layout, ())) for row in rows))
        evidence = [_evidence(facts) for facts in told if isinstance(facts, Ranges)]
        return model_in_question(History(evidence, self._rules.measures, self._rules.quantities), {})

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
                Reading(row, (*layout.by, *row.by), target, grid, scope, layout.notes),
            )
            for row in self._measures.get("triton", ())
            if "model" in row.by and (row is not self._success or layout.series > MOST_SERIES)
        ]

    def _close(self, layout: Layout) -> list[Question]:
        """All pods together, scrape by scrape: a window of two scrapes shows what came between them. None of a window that is too
        long for that."""
        grid = close_grid(self._window, layout.interval)
        rows = [row for name in CLOSE_MEASURES if (row := self._row(name))]
        return [
            self._question("close", f"close/{row.measure}", self._whole(row, layout, grid))
            for row in rows
            if grid
        ]

    def _whole(self, row: Measure, layout: Layout, grid: Grid) -> Reading:
        """All pods together."""
        scope = layout.scope if row in self._measures["triton"] else None
        return Reading(row, row.by, self._target, grid, scope, layout.notes)

    def _past(self, layout: Layout) -> list[Question]:
        return [
            self._question(
                "past", f"past/{name}/{when}", self._whole(row, layout, layout.grid.moved(seconds))
            )
            for name in PAST_MEASURES
            if (row := self._row(name))
            for when, seconds in PAST.items()
        ]

    def _around(self, grid: Grid) -> list[Question]:
        """The first waits for the names by which the platform is asked, and raises all of them."""

        def questions(target: SeriesTarget) -> list[Question]:
            return [
                self._question(source, f"{source}/{row.measure}", Reading(row, row.by, target, grid))
                for source in _AROUND
                for row in self._measures.get(source, ())
            ]

        async def ask(seal: Seal) -> Found:
            return Found(BY_ANOTHER, questions(await self._named()))

        return [replace(first, ask=ask) for first in questions(self._target)[:1]]

    def _row(self, name: str) -> Measure | None:
        return next((row for rows in self._measures.values() for row in rows if row.measure == name), None)

    def _question(self, probe: str, identifier: str, reading: Reading) -> Question:
        known = self._rules.tree.probes.get(probe)
        seconds = known.deadline if known else None

        async def ask(seal: Seal) -> Found:
            return Found(await self._reader.read(reading, seconds))

        # Whoever asks by hand gets the first that has series, as here: two of them rarely have.
        ways = " or ".join(query for query, _, _ in self._reader.ways(reading))
        promql = ways or "(the target does not tell enough)"
        return Question(
            id=identifier,
            probe=probe,
            source=f"Prometheus at {self._source.shown_url}",
            query=promql,
            command=curl_command(self._source, promql, reading.grid),
            ask=ask,
            on_timeout="ask for a shorter window, or look how busy Prometheus is",
            patience=math.inf,
        )


def access_from(token_file: str | None, ca_file: str | None, headers: Sequence[str]) -> PrometheusAccess:
    """As given on the command line; `headers` as `Name: value`. Raises ValueError."""
    told: dict[str, str] = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"{header!r} is no header; give one such as 'X-Scope-OrgID: team'")
        told[name.strip()] = value.strip()
    return PrometheusAccess(
        bearer_token_file=Path(token_file) if token_file else None,
        ca_file=Path(ca_file) if ca_file else None,
        headers=told,
    )


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


def _evidence(facts: Ranges) -> Evidence:
    """As far as a history needs it."""
    name = f"triton/{facts.measure}"
    return Evidence(id=name, probe="triton", source="", query="", command="", fetched_at="", facts=facts)
