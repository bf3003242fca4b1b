"""Exporters asked directly: those on our nodes alone, each for itself, and what they said stands for its time."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import msgspec
import pytest

from telemetry.gpu_exporters.exporter import load_gpu_exporters
from telemetry.gpu_exporters.scraper import NOT_ASKED, ExporterPods, ExporterTargets, GpuScraper
from telemetry.gpu_exporters.snapshot import utilization_of
from telemetry.http_body import StatusError
from telemetry.listwatch import EventType
from telemetry.pods import Pod
from telemetry.prometheus_queries import TickReport
from telemetry.rules_dir import rules_dir
from telemetry.target import Phase, PodKey, Target, Targets
from tests.api.strict_api import StrictApi

EXPORTERS = load_gpu_exporters(rules_dir() / "gpu_exporters")


class FakePages:
    """Pages by URL; a URL that nobody gave fails the test."""

    def __init__(self) -> None:
        self.shown: dict[str, str | Exception] = {}
        self.turns: list[bool] = []

    def turn(self, *, mute: bool) -> AbstractAsyncContextManager[object]:
        self.turns.append(mute)
        return nullcontext()

    async def read(self, url: str, most: int) -> bytes:
        found = self.shown[url]
        if isinstance(found, Exception):
            raise found
        return found.encode()


METRICS = ({"containerPort": 9400, "name": "metrics"},)


def exporter_pod(name: str, node: str, ports: Sequence[Mapping[str, Any]] = METRICS) -> Pod:
    raw = {
        "metadata": {"name": name, "namespace": "gpu", "uid": name},
        "spec": {
            "nodeName": node,
            "containers": [{"name": "e", "ports": ports}],
        },
        "status": {"phase": "Running", "podIP": f"ip-{name}"},
    }
    return msgspec.json.decode(msgspec.json.encode(raw), type=Pod)


def busy(percent: float, uuid: str = "GPU-1") -> str:
    return f'DCGM_FI_DEV_GPU_UTIL{{UUID="{uuid}",namespace="prod",pod="a"}} {percent}\n'


class Round:
    """A scraper over the pods of two nodes, of which n1 has one of ours."""

    def __init__(self, *others: ExporterTargets) -> None:
        self.now = 100.0
        self.pages = FakePages()
        self.reports: list[TickReport] = []
        holders = Targets()
        ours = Target(PodKey("prod", "a", "u"), None, None, Phase.RUNNING, ready=True, node="n1")
        holders.replace({ours.key: ours})
        self.group = ExporterTargets(StrictApi("", {}), ExporterPods("gpu", "app=x"), lambda: self.now)
        self.scraper = GpuScraper(
            EXPORTERS,
            [self.group, *others],
            holders,
            self.pages,
            lambda: self.now,
            interval=15.0,
            timeout=1.0,
            max_age=40.0,
            window=30.0,
            on_tick=self.reports.append,
        )

    async def tick(self, shown: Mapping[str, Any]) -> dict[str, float | None]:
        self.pages.shown = {f"http://ip-{pod}:9400/metrics": page for pod, page in shown.items()}
        await self.scraper.tick()
        found = {}
        for device in self.scraper.snapshot.devices:
            told = utilization_of(device, 30.0, self.now - 40.0)
            found[device.key.uuid] = None if told is None else told.ratio
        return found


@pytest.mark.parametrize(
    ("ports", "asked"),
    [
        pytest.param(
            [{"containerPort": 1, "name": "http"}, {"containerPort": 2, "name": "metrics"}], 2, id="named"
        ),
        pytest.param([{"containerPort": 8080, "name": "http"}], 8080, id="the only one"),
        pytest.param([{"containerPort": 1}, {"containerPort": 2}], 9400, id="neither of two"),
        pytest.param([], 9400, id="none"),
    ],
)
def test_the_port_of_an_exporter_is_found(ports: list[dict[str, Any]], asked: int) -> None:
    group = ExporterTargets(StrictApi("", {}), ExporterPods("gpu", "app=x"), lambda: 0.0)
    pod = exporter_pod("e", "n1", ports)
    group.apply(EventType.ADDED, pod)
    assert group.by_key[pod.key].metrics_url == f"http://ip-e:{asked}/metrics"


async def test_only_exporters_on_our_nodes_are_asked() -> None:
    scraped = Round()
    assert scraped.scraper.snapshot.failure == NOT_ASKED
    scraped.group.replace([exporter_pod("here", "n1"), exporter_pod("there", "n2")])
    assert await scraped.tick({"here": busy(50)}) == {"GPU-1": 0.5}
    assert scraped.reports[-1].outcome == "ok"


async def test_pages_are_averaged_over_the_window_and_stand_until_they_are_too_old() -> None:
    scraped = Round()
    scraped.group.replace([exporter_pod("here", "n1")])
    await scraped.tick({"here": busy(50)})
    scraped.now += 15
    assert await scraped.tick({"here": busy(100)}) == {"GPU-1": 0.75}
    scraped.now += 40
    assert await scraped.tick({"here": StatusError("answers HTTP 500")}) == {"GPU-1": 0.75}
    assert scraped.scraper.snapshot.failure == "exporters do not answer: answers HTTP 500"
    scraped.now += 1
    assert await scraped.tick({"here": TimeoutError()}) == {"GPU-1": None}
    assert scraped.scraper.snapshot.failure == "exporters do not answer: timed out"
    assert scraped.reports[-1].outcome == "no_samples"


async def test_an_exporter_that_fails_costs_itself_alone() -> None:
    scraped = Round()
    scraped.group.replace([exporter_pod("one", "n1"), exporter_pod("two", "n1")])
    pages = {"one": busy(50), "two": "not a page"}
    assert await scraped.tick(pages) == {"GPU-1": 0.5}
    assert scraped.reports[-1].outcome == "partial"
    assert scraped.scraper.snapshot.failure is None


async def test_an_exporter_that_timed_out_waits_beside_the_others() -> None:
    """A hundred are asked at once, ten seconds each: 400 nodes that drop packets would make the others' pages too old."""
    scraped = Round()
    scraped.group.replace([exporter_pod("mute", "n1"), exporter_pod("here", "n1")])
    pages = {"mute": TimeoutError(), "here": busy(50)}
    await scraped.tick(pages)
    assert scraped.pages.turns == [False, False]
    await scraped.tick(pages)
    assert scraped.pages.turns == [False, False, True, False]


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("".join(busy(5, f"GPU-{n}") for n in range(513)), "tells of more than 512 GPUs and instances"),
        ("".join(busy(5).replace('pod="a"', f'pod="p{n}"') for n in range(8193)), "shows more than 8192 samples of GPUs"),
    ],
)  # fmt: skip
async def test_a_page_with_more_than_a_node_can_have_is_none_at_all(page: str, says: str) -> None:
    """One pod with new UUIDs at each round made half a gigabyte, and ten seconds of work a round."""
    scraped = Round()
    scraped.group.replace([exporter_pod("odd", "n1"), exporter_pod("here", "n1")])
    assert await scraped.tick({"odd": page, "here": busy(50)}) == {"GPU-1": 0.5}
    assert await scraped.tick({"odd": page, "here": StatusError(says)}) == {"GPU-1": 0.5}
    assert scraped.scraper.snapshot.failure == f"exporters do not answer: {says}"


async def test_the_pages_of_an_exporter_that_is_gone_stand_for_their_time() -> None:
    """A rollout of a DaemonSet takes each node's exporter away for half a minute: no pod of the node is missing meanwhile."""
    scraped = Round()
    pod = exporter_pod("here", "n1")
    scraped.group.apply(EventType.ADDED, pod)
    await scraped.tick({"here": busy(50)})
    scraped.group.apply(EventType.DELETED, pod)
    scraped.now += 15
    assert await scraped.tick({}) == {"GPU-1": 0.5}
    scraped.group.apply(EventType.ADDED, exporter_pod("next", "n1"))
    scraped.now += 15
    assert await scraped.tick({"next": busy(90)}) == {"GPU-1": 0.9}
    scraped.group.replace([])
    scraped.now += 41
    assert await scraped.tick({}) == {}
    assert scraped.scraper.snapshot.absent.startswith("no pod of gpu.exporters runs")


class Forbidden(ExporterTargets):
    """Pods that nobody may list."""

    def __init__(self) -> None:
        super().__init__(StrictApi("", {}), ExporterPods("other", "app=y"), lambda: 0.0)

    @property
    def problem(self) -> str | None:
        return "answers HTTP 403"


async def test_exporters_that_cannot_be_listed_are_told_although_others_answer() -> None:
    """Else of a pod on their nodes it would be said that no exporter names it."""
    scraped = Round(Forbidden())
    scraped.group.replace([exporter_pod("e1", "n1")])
    assert await scraped.tick({"e1": busy(50)}) == {"GPU-1": 0.5}
    assert scraped.scraper.snapshot.failure == "some exporters' pods cannot be listed: answers HTTP 403"
    scraped.group.replace([])
    await scraped.tick({})
    assert scraped.scraper.snapshot.failure == "exporters' pods cannot be listed: answers HTTP 403"
