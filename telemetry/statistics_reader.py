"""Each pod's statistics API beside its page, with a history of its own: it may fail where the page does not."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from telemetry.exposition import SeriesTable, parse_exposition
from telemetry.http_body import FAILURES, Pages, say_failure
from telemetry.statistics import FAMILIES, statistics_page
from telemetry.target import PodKey, Target
from telemetry.window import Families, PodHistory, PodWindow, RowWindow

_MAX_BYTES: Final = 32 * 2**20
"""A model tells a row for each batch size that it ever ran."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Pod:
    history: PodHistory
    table: SeriesTable
    failure: str | None = None


class StatisticsReader:
    """`windows`, `interval` and `timeout` in seconds, as for the scrapes beside which it asks."""

    def __init__(self, pages: Pages, windows: Collection[float], *, interval: float, timeout: float) -> None:
        self._pages = pages
        self._windows = tuple(windows)
        self._interval = interval
        self._timeout = timeout
        self._pods: dict[PodKey, _Pod] = {}

    def keep(self, current: Collection[PodKey]) -> None:
        """Forgets all other pods."""
        self._pods = {key: pod for key, pod in self._pods.items() if key in current}

    async def add(
        self, target: Target, at: float, windows: Mapping[float, PodWindow]
    ) -> Mapping[float, PodWindow]:
        """The windows of a page of second `at`, with the statistics' increases; without them where the API does not answer, or has
        not done so for a whole window."""
        if target.http_url is None:
            return windows
        pod = self._pods.get(target.key) or self._new()
        self._pods[target.key] = pod
        failure: str | None = None
        try:
            async with asyncio.timeout(self._timeout):
                body = await self._pages.read(f"{target.http_url}/v2/models/stats", _MAX_BYTES)
            page = parse_exposition(statistics_page(body).decode(), pod.table)
            found = pod.history.add(at, page)
            windows = {seconds: _merged(window, found[seconds]) for seconds, window in windows.items()}
        except FAILURES as error:
            failure = say_failure(error)
        if failure != pod.failure:
            log.info(
                "statistics_changed", pod=target.key.pod, namespace=target.key.namespace, failure=failure
            )
        pod.failure = failure
        return windows

    def _new(self) -> _Pod:
        families = Families(FAMILIES, frozenset(), frozenset())
        return _Pod(PodHistory(families, self._windows, self._interval), SeriesTable(FAMILIES))


def _merged(window: PodWindow, statistics: PodWindow) -> PodWindow:
    if not statistics.full:
        return window
    rows = {
        key: _with(row, statistics.rows[key]) if key in statistics.rows else row
        for key, row in window.rows.items()
    }
    return replace(window, rows=rows)


def _with(row: RowWindow, statistics: RowWindow) -> RowWindow:
    """With the statistics' increases over as many seconds as the row's own."""
    if statistics.seconds <= 0:
        return row
    stretched = row.seconds / statistics.seconds
    more = {family: increase * stretched for family, increase in statistics.increase.items()}
    return replace(row, increase={**row.increase, **more})
