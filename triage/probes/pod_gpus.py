"""A pod's GPUs out of a Prometheus: their memory around the load, who else holds them, XID errors, what the agent could not see.

The first question finds out which exporters there are; where none is, that is told once."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

from telemetry.gpu_resources import gpus_of
from telemetry.prometheus import PrometheusError, PrometheusSource
from triage.collect import BY_ANOTHER, Found, Question
from triage.evidence import Missing, PodView
from triage.gpus import HOLDERS, MEMORY_FREE, MEMORY_USED, PROBLEM, XID_COUNT, XID_LAST, XID_WATCHED
from triage.latency.grid import Grid, Window, make_grid
from triage.latency.measures import Measure
from triage.latency.queries import SeriesTarget
from triage.log_time import seconds_of
from triage.probes.prometheus import curl_command
from triage.probes.prometheus_reading import Reader, Reading, missing
from triage.seal import Seal

MEASURES = (MEMORY_USED, MEMORY_FREE, HOLDERS, XID_COUNT, XID_LAST, XID_WATCHED, PROBLEM)
_SPAN_SECONDS = 7200.0
_MOST_SECONDS = 12 * 3600.0
_AHEAD_SECONDS = 900.0
_INTERVAL = 15.0
"""Of a scrape, at least: finer steps would tell nothing more."""
PROBE = "gpu_history"
_NO_EXPORTER = Missing(
    "no_series",
    "it has no series of triton-gpu-agent nor of dcgm-exporter",
    "run triton-gpu-agent on the GPU nodes, or dcgm-exporter with --kubernetes, and scrape it",
)


class PodGpus:
    """What is asked of each pod that has GPUs, of one Prometheus."""

    def __init__(self, source: PrometheusSource, measures: Sequence[Measure]) -> None:
        self._source = source
        self._reader = Reader(source)
        # As it stood at each scrape: a mean of a minute would hide what was there just before a load.
        self._rows = [_as_it_stood(row) for row in measures if row.measure in MEASURES]
        # An agent without owners, or without a driver, is one all the same.
        self._families = {way.family for row in self._rows for way in row.any_of}

    def questions(self, pod: PodView, now: float) -> Iterator[Question]:
        if not any(gpus_of({**c.requests, **c.limits}) for c in pod.containers):
            return
        target = SeriesTarget(pod.namespace, (pod.name,), nodes=(pod.node,) if pod.node else ())
        grid = _grid(pod, now)
        readings = [Reading(row, row.by, target, grid) for row in self._rows]
        asked = [self._question(pod, reading, self._read(reading)) for reading in readings]

        async def find(seal: Seal) -> Found:
            start = grid.start - grid.window
            try:
                self._reader.families = await self._source.metric_names(start, grid.end)
            except PrometheusError as error:
                if error.reason != "refused":
                    return Found(missing(error))
            if self._reader.families is not None and self._reader.families.isdisjoint(self._families):
                return Found(_NO_EXPORTER)
            return Found(BY_ANOTHER, asked)

        yield replace(asked[0], ask=find)

    def _read(self, reading: Reading) -> Callable[[Seal], Awaitable[Found]]:
        async def ask(seal: Seal) -> Found:
            return Found(await self._reader.read(reading))

        return ask

    def _question(self, pod: PodView, reading: Reading, ask: Callable[[Seal], Awaitable[Found]]) -> Question:
        promql = " or ".join(query for query, _, _ in self._reader.ways(reading))
        return Question(
            id=f"gpu/{reading.measure.measure}:{pod.name}",
            probe=PROBE,
            source=f"Prometheus at {self._source.shown_url}",
            query=promql,
            command=curl_command(self._source, promql, reading.grid),
            ask=ask,
            subject=pod.name,
            on_timeout="look how busy Prometheus is",
        )


def _as_it_stood(row: Measure) -> Measure:
    ways = tuple(way.model_copy(update={"kind": "last"}) if way.kind == "mean" else way for way in row.any_of)
    return row.model_copy(update={"any_of": ways})


def _grid(pod: PodView, now: float) -> Grid:
    """The last two hours, or from before the earliest life of the pod that is known, where that is not too long ago."""
    began = [
        at
        for c in pod.containers
        for text in (c.began_at, c.last_began_at)
        if (at := seconds_of(text)) is not None and not c.init
    ]
    start = min([now - _SPAN_SECONDS, *(at - _AHEAD_SECONDS for at in began)])
    return make_grid(Window(max(start, now - _MOST_SECONDS), now), _INTERVAL)
