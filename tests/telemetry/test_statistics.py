"""The statistics API as counters: once an execution, with a history that its failures cannot turn into a leap."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from telemetry.exposition import SeriesTable, parse_exposition
from telemetry.statistics import COMPUTED, FAMILIES, statistics_page
from telemetry.statistics_reader import StatisticsReader
from telemetry.target import Phase, PodKey, Target
from telemetry.window import PodWindow, RowKey, RowWindow

KEY = RowKey("m", "1", "")
TARGET = Target(PodKey("n", "p", "u"), "http://p:8002/metrics", "http://p:8000", Phase.RUNNING, ready=True)


def answer(nanoseconds: int, name: str = "m") -> bytes:
    """Two batch sizes, three phases each."""
    batch = {
        phase: {"count": 1, "ns": nanoseconds // 6}
        for phase in ("compute_input", "compute_infer", "compute_output")
    }
    model: dict[str, Any] = {
        "name": name,
        "version": "1",
        "batch_stats": [{"batch_size": 1, **batch}, {"batch_size": 4, **batch}],
    }
    return msgspec.json.encode({"model_stats": [model]})


def test_batches_and_phases_are_added_up_by_model_and_version() -> None:
    page = parse_exposition(statistics_page(answer(600, 'a"b\\c\nd')).decode(), SeriesTable(FAMILIES))
    assert [(dict(series.labels), value) for series, value in page] == [
        ({"model": 'a"b\\c\nd', "version": "1"}, 600.0)
    ]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":"forbidden"}', b'{"model_stats":[{}]}', b"\xff"])
def test_what_is_no_statistics_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="no statistics of Triton"):
        statistics_page(body)


class _Told:
    """A way to pods that answers what the test says; None: HTTP 403."""

    def __init__(self) -> None:
        self.body: bytes | None = answer(600)
        self.asked: list[str] = []

    @asynccontextmanager
    async def turn(self, *, mute: bool) -> AsyncIterator[None]:
        yield

    async def read(self, url: str, most: int) -> bytes:
        self.asked.append(url)
        if self.body is None:
            raise aiohttp.ClientError("answers HTTP 403")
        return self.body


def _windows(at: float) -> dict[float, PodWindow]:
    return {30.0: PodWindow(at, True, {KEY: RowWindow(30.0, {"nv_inference_request_success": 3.0}, {}, {})})}


async def _computed(reader: StatisticsReader, at: float) -> float | None:
    found = await reader.add(TARGET, at, _windows(at))
    return found[30.0].rows[KEY].increase.get(COMPUTED)


async def test_an_outage_of_the_api_is_missing_and_makes_no_leap_after() -> None:
    told = _Told()
    reader = StatisticsReader(told, {30.0}, interval=5.0, timeout=1.0)
    found: list[float | None] = []
    for step in range(16):
        told.body = None if step in (9, 10) else answer(6_000_000 * (step + 1))
        found.append(await _computed(reader, 5.0 * step))
    assert found[:6] == [None] * 6, "its past before the first answer is unknown"
    assert found[6:9] == [pytest.approx(36e6)] * 3
    assert found[9:11] == [None, None]
    assert found[11:] == [pytest.approx(36e6, rel=0.2)] * 5
    assert set(told.asked) == {"http://p:8000/v2/models/stats"}


async def test_pods_that_are_gone_are_forgotten_and_those_without_an_address_not_asked() -> None:
    told = _Told()
    reader = StatisticsReader(told, {30.0}, interval=5.0, timeout=1.0)
    for step in range(8):
        await reader.add(TARGET, 5.0 * step, _windows(5.0 * step))
    reader.keep([])
    assert await _computed(reader, 45.0) is None
    nowhere = Target(PodKey("n", "q", "u"), None, None, Phase.RUNNING, ready=True)
    assert await reader.add(nowhere, 50.0, {}) == {}
    assert len(told.asked) == 9
