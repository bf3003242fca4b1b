"""How a Prometheus tells a fleet of Tritons: what it calls their pods, how often it scrapes them, how many series there are."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from telemetry.prometheus import PrometheusAnswer, PrometheusSource
from triage.evidence import Missing
from triage.latency.grid import Grid, Window, make_grid, scrape_interval
from triage.latency.queries import (
    Names,
    SeriesTarget,
    build_selector,
    conditions,
    duration,
    escape_regex,
    exactly,
)

_One = TypeVar("_One")
_Other = TypeVar("_Other")
FAMILY = "nv_inference_request_success"
"""Every Triton has it for every model, from before its first request."""
DEFAULT_INTERVAL = 30.0
"""Seconds between scrapes, where there are too few samples to tell."""
_LOOKBACK = 7200.0
"""Seconds before the window's end in which pods are looked for: those that came or went lately too."""
_POD_LABELS = (
    ("exported_pod", "exported_namespace"),
    ("pod", "namespace"),
    ("kubernetes_pod_name", "kubernetes_namespace"),
    ("pod_name", "namespace"),
    ("instance", "namespace"),
)
"""A label that a scrape could not put in place is exported; it is nearer to the pod than the one in its place."""
_COMMON = 2
"""So many of these are looked for at once, the others only where nothing is found: each look waits for an answer."""
_NODE_LABELS = ("node", "kubernetes_node", "node_name", "kubernetes_io_hostname")
_NO_PODS = "Prometheus has no label with the pod's name: each instance that it scrapes is taken for a pod, all of them"


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known before any range is asked for."""

    names: Names
    scope: dict[str, str]
    """Of Triton's families, by our names."""
    grid: Grid
    interval: float
    """Seconds between scrapes."""
    series: int
    by: tuple[str, ...]
    """Labels beside the measure's own: pod and node, where Prometheus has them."""
    notes: tuple[str, ...] = ()


@overload
async def together(
    one: Coroutine[Any, Any, _One], other: Coroutine[Any, Any, _Other], /
) -> tuple[_One, _Other]: ...
@overload
async def together(*asked: Coroutine[Any, Any, _One]) -> tuple[_One, ...]: ...
async def together(*asked: Coroutine[Any, Any, Any]) -> tuple[Any, ...]:
    """The answers to several questions that are asked at once. Raises the first error."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in asked]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return tuple(task.result() for task in tasks)


async def find_layout(source: PrometheusSource, target: SeriesTarget, window: Window) -> Layout | Missing:
    """What this Prometheus has of the target at the window's end. Raises PrometheusError."""
    return await _Search(source, target, window).find()


@dataclass(frozen=True, slots=True)
class _Seen:
    count: int
    """Of series by pod, model and version."""
    labels: Mapping[str, str]
    """Of one of them."""


class _Search:
    def __init__(self, source: PrometheusSource, target: SeriesTarget, window: Window) -> None:
        self._source = source
        self._target = target
        self._window = window
        self._lookback = min(_LOOKBACK, max(window.seconds, 300.0))

    async def find(self) -> Layout | Missing:
        common = await together(*(self._seen(*names) for names in _POD_LABELS[:_COMMON]))
        for names, seen in zip(_POD_LABELS, common, strict=False):
            if seen.count:
                return await self._layout(*names, seen)
        for names in _POD_LABELS[_COMMON:]:
            seen = await self._seen(*names)
            if seen.count:
                return await self._layout(*names, seen)
        return await self._nothing()

    async def _seen(self, pod: str, namespace: str) -> "_Seen":
        """Series of Triton's, under these names of the pod and the namespace."""
        held = f"last_over_time({self._selector(pod, namespace)}[{duration(self._lookback)}])"
        counted, one = await together(
            self._at_end(f"count(count by ({pod}, model, version) ({held}))"),
            self._at_end(f"topk(1, {held})"),
        )
        count = int(counted.series[0].points[0][1] or 0) if counted.series else 0
        return _Seen(count, one.series[0].labels if one.series else {})

    def _selector(self, pod: str, namespace: str) -> str:
        """An instance is no pod's name, so the target cannot narrow it."""
        scope = {} if pod == "instance" else {pod: "{pods}"}
        more = {pod: "!"}
        if self._target.namespace:  # or none at all: not every scrape tells it
            more[namespace] = f"({escape_regex(self._target.namespace)})?"
        if pod == "instance":
            more |= {label: "" for label, _ in _POD_LABELS if label != "instance"}
        return build_selector(FAMILY, self._target, scope, more)

    async def _layout(self, pod: str, namespace: str, seen: "_Seen") -> Layout:
        labels = {k: v for k, v in seen.labels.items() if k != "__name__"}
        samples = await self._at_end(f"{FAMILY}{{{conditions(exactly(labels))}}}[{duration(self._lookback)}]")
        times = [at for series in samples.series[:1] for at, _ in series.points]
        interval = scrape_interval(times) or DEFAULT_INTERVAL
        node = next((label for label in _NODE_LABELS if label in labels), "")
        told = {"pod": pod, "namespace": namespace if namespace in labels else "", "gpu": "gpu_uuid"}
        by = ("pod", "node") if node else ("pod",)
        scope = {} if pod == "instance" else {"namespace": "{namespace}", "pod": "{pods}"}
        grid = make_grid(self._window, interval)
        notes = (_NO_PODS,) if pod == "instance" else ()
        return Layout(
            Names(told | ({"node": node} if node else {})), scope, grid, interval, seen.count, by, notes
        )

    async def _nothing(self) -> Missing:
        """No series of the target's: what there is instead, so that a wrong name is seen."""
        there = await self._at_end(f"count by (namespace, exported_namespace) ({FAMILY})")
        spaces = sorted({name for series in there.series for name in series.labels.values()})
        looked = self._selector(*_POD_LABELS[1])
        if not there.series:
            said = f"it has no {FAMILY} at the window's end"
            remedy = "scrape Triton's metrics port (8002), for instance with a PodMonitor, or give another Prometheus"
            return Missing("no_series", f"{said} (asked for {looked})", remedy)
        said = f"none of its {FAMILY} is of {looked}; it has some in namespaces {', '.join(spaces[:5]) or 'without a name'}"
        return Missing(
            "no_series", said, "check -n and the target, or give the Prometheus that scrapes these pods"
        )

    async def _at_end(self, promql: str) -> PrometheusAnswer:
        return await self._source.query(promql, self._window.end)
