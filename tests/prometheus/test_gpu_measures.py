"""GPUs through a real Prometheus: triton-gpu-agent's and dcgm-exporter's series, with the label names of several versions, MIG
instances, GPUs that several pods share, and what DCGM writes where it knows nothing."""

import math
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from telemetry.prometheus import PrometheusAnswer, PrometheusError, PrometheusSource
from telemetry.rules_dir import rules_dir
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.gpu_pages import (
    BESIDE,
    EXPORTED,
    GIB,
    HONOURED,
    OF_SERVICE,
    OLD,
    SERVICE,
    agent,
    always,
    dcgm,
)
from tests.prometheus.samples import Samples
from tests.prometheus.server import PrometheusServer
from triage.evidence import Missing
from triage.gpu_errors import problems_of, xids_seen
from triage.gpus import find_devices
from triage.latency.facts import Ranges
from triage.latency.grid import Window, make_grid
from triage.latency.measures import Alternative
from triage.latency.queries import SeriesTarget
from triage.latency.rules import latency_rules_from_folder
from triage.probes.prometheus_reading import Reader, Reading

ROWS = {row.measure: row for row in latency_rules_from_folder(rules_dir()).sources["platform"]}
END = int(time.time()) // 60 * 60 - 1800
START = END - 3600
GRID = make_grid(Window(START, END), 15.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    prometheus_tools: PrometheusTools, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrometheusServer]:
    started = PrometheusServer(prometheus_tools, tmp_path_factory.mktemp("prometheus"))
    samples = Samples(START, END)
    agent(samples, "n1", HONOURED, {"instance": "10.0.0.1:9400"}, "honoured")
    agent(samples, "n2", EXPORTED, BESIDE, "exported")
    agent(samples, "n3", OF_SERVICE, SERVICE, "service")
    dcgm(samples, "endpoint", OF_SERVICE, "hostname", SERVICE)
    dcgm(samples, "new", HONOURED, "hostname", {})
    dcgm(samples, "old", EXPORTED, "Hostname", BESIDE)
    dcgm(samples, "oldest", OLD, "Hostname", {})
    unnamed = {"gpu": "0", "UUID": "GPU-u", "Hostname": "node-u"}
    samples.add("DCGM_FI_DEV_SM_CLOCK", unnamed, partial(always, 1200))
    both = {"gpu": "0", "UUID": "GPU-n1-0", "hostname": "n1", "pod": "honoured-0", "namespace": "serving"}
    for family in ("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE"):
        samples.add(family, both, partial(always, 7 * 1024))
    await started.backfill(str(samples))
    async with started:
        yield started


async def read(
    server: PrometheusServer, workload: str, *measures: str, node: str = "", pods: tuple[str, ...] = ()
) -> dict[str, Ranges | Missing]:
    target = SeriesTarget("serving", pods, workload, nodes=(node,) if node else ())
    async with PrometheusSource(server.url) as source:
        reader = Reader(source)
        return {
            name: await reader.read(Reading(ROWS[name], ROWS[name].by, target, GRID)) for name in measures
        }


def last(found: Ranges | Missing) -> dict[tuple[str, ...], float | None]:
    """The values at the end by device, and what else tells them apart."""
    assert isinstance(found, Ranges), found
    by = ["gpu", "gpu_instance", "namespace", "pod", "reason", "xid"]
    return {tuple(s.labels[name] for name in by if name in s.labels): s.values[-1] for s in found.series}


def gib(sizes: dict[tuple[str, ...], float | None]) -> dict[tuple[str, ...], float]:
    """Evidence keeps six digits."""
    return {device: round((size or math.nan) / GIB, 3) for device, size in sizes.items()}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("pods", "node"), [("honoured", "n1"), ("exported", "n2"), ("service", "n3")])
async def test_the_agent_s_devices_are_those_that_the_pods_hold_alone_shared_or_in_part(
    server: PrometheusServer, pods: str, node: str
) -> None:
    told = await read(
        server, pods, "gpu_device_memory_used", "gpu_device_memory_free", "gpu_holders", "gpu_clock", "gpu_sm_busy",
        "gpu_throttled", "gpu_throttle_reasons", "gpu_xid_count", "gpu_xid_watched", "gpu_agent_problem", node=node,
    )  # fmt: skip
    whole, shared, split = (f"GPU-{node}-{index}" for index in range(3))
    assert gib(last(told["gpu_device_memory_used"])) == {(whole,): 1, (shared,): 2, (split, "7"): 3}
    assert last(told["gpu_holders"]) == {
        (whole, "serving", f"{pods}-0"): 1,
        (shared, "data", "notebook-0"): 1,
        (shared, "serving", f"{pods}-1"): 1,
        (split, "7", "serving", f"{pods}-2"): 1,
    }
    assert last(told["gpu_clock"]) == {(whole,): 900, (shared,): 1500, (split,): 1500}
    assert last(told["gpu_sm_busy"]) == {(whole,): 0.5, (shared,): 0.5}  # NVML tells none of a split one
    assert last(told["gpu_throttled"]) == {(whole,): 1, (shared,): 0, (split,): 0}  # idling is no throttling
    reasons = last(told["gpu_throttle_reasons"])
    assert (
        reasons[whole, "hw_thermal_slowdown"],
        reasons[whole, "sw_power_cap"],
        reasons[shared, "gpu_idle"],
    ) == (1, 0, 1)
    ranges = [(f"platform/{name}", found) for name, found in told.items() if isinstance(found, Ranges)]
    assert [device.name for device in find_devices(ranges)] == [
        f"GPU 0 of node {node} ({whole})",
        f"GPU 1 of node {node} ({shared})",
        f"GPU 2 of node {node} ({split}, MIG 1g.10gb 7)",
    ]
    memory = [device.memory for device in find_devices(ranges)]
    assert [(round(m[0] / GIB, 3), round(m[1] / GIB, 3)) for m in memory if m] == [(1, 10), (2, 10), (3, 10)]
    (seen,) = xids_seen(ranges)
    assert (seen.device[0], seen.code) == (shared, 79)
    assert seen.at == pytest.approx(START + 1800, abs=15)
    assert [one.says for one in problems_of(ranges)] == [
        f"node {node}: triton-gpu-agent reports gpu_lost (GPU 3)"
    ]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("pods", ["new", "old", "oldest", "endpoint"])
async def test_dcgm_s_copies_count_once_its_instances_apart_and_its_blanks_not_at_all(
    server: PrometheusServer, pods: str
) -> None:
    told = await read(
        server, pods, "gpu_device_memory_used", "gpu_holders", "gpu_clock", "gpu_power", "gpu_temperature", "gpu_sm_busy",
        "gpu_throttled", "gpu_throttle_reasons", "gpu_xid", "gpu_xid_count",
    )  # fmt: skip
    whole, split = f"GPU-{pods}-0", f"GPU-{pods}-1"
    assert gib(last(told["gpu_device_memory_used"])) == {(whole,): 30, (split, "7"): 7}
    assert last(told["gpu_holders"]) == {
        (whole, "serving", f"{pods}-0"): 1,
        (whole, "data", "notebook-0"): 1,
        (split, "7", "serving", f"{pods}-1"): 1,
    }
    clock = told["gpu_clock"]
    assert isinstance(clock, Ranges)
    assert {value for value in clock.series[0].values if value is not None} == {
        1980
    }  # not blanks' share of a mean
    assert clock.series[0].labels["node"] == f"node-{pods}"
    for blank in (told["gpu_power"], told["gpu_temperature"]):
        assert isinstance(blank, Missing)
        assert blank.reason == "no_series"
    assert last(told["gpu_sm_busy"]) == {(split, "7"): 0.07}
    throttled = last(told["gpu_throttled"])
    assert throttled[(whole,)] == pytest.approx(0.2)
    reasons = last(told["gpu_throttle_reasons"])
    assert {reason for (_, reason), value in reasons.items() if value} == {
        "hw_thermal_slowdown",
        "sw_power_cap",
    }
    ranges = [(f"platform/{name}", found) for name, found in told.items() if isinstance(found, Ranges)]
    (seen,) = xids_seen(ranges)
    assert (seen.device[0], seen.code) == (whole, 31)
    assert seen.at == pytest.approx(START + 1800, abs=15)
    assert isinstance(told["gpu_xid_count"], Missing)


@pytest.mark.asyncio(loop_scope="module")
async def test_where_some_nodes_have_the_agent_and_others_dcgm_the_gpus_of_both_are_told_once(
    server: PrometheusServer,
) -> None:
    told = await read(
        server, "mixed", "gpu_clock", "gpu_device_memory_used", "gpu_holders", "gpu_throttled", pods=(
            "honoured-0", "honoured-2", "new-0", "new-1")
    )  # fmt: skip
    assert last(told["gpu_clock"]) == {("GPU-n1-0",): 900, ("GPU-n1-2",): 1500, ("GPU-new-0",): 1980}
    assert gib(last(told["gpu_device_memory_used"])) == {
        ("GPU-n1-0",): 1,
        ("GPU-n1-2", "7"): 3,
        ("GPU-new-0",): 30,
        ("GPU-new-1", "7"): 7,
    }
    assert {(gpu, pod) for gpu, *_, pod in last(told["gpu_holders"])} == {
        ("GPU-n1-0", "honoured-0"),
        ("GPU-n1-2", "honoured-2"),
        ("GPU-new-0", "new-0"),
        ("GPU-new-0", "notebook-0"),
        ("GPU-new-1", "new-1"),
    }
    assert set(last(told["gpu_throttled"])) == {("GPU-n1-0",), ("GPU-n1-2",), ("GPU-new-0",)}


class DcgmHangs(PrometheusSource):
    async def query_range(
        self, promql: str, start: float, end: float, step: float, *, timeout_seconds: float | None = None
    ) -> PrometheusAnswer:
        if "DCGM_" in promql:
            raise PrometheusError("timeout", "no answer within 5 s", "look how busy it is")
        return await super().query_range(promql, start, end, step, timeout_seconds=timeout_seconds)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_exporter_that_could_not_be_asked_is_told_beside_the_one_that_was(
    server: PrometheusServer,
) -> None:
    row = ROWS["gpu_clock"]
    async with DcgmHangs(server.url) as source:
        told = await Reader(source).read(Reading(row, row.by, SeriesTarget("serving", ("honoured-0",)), GRID))
    assert last(told) == {("GPU-n1-0",): 900}
    assert isinstance(told, Ranges)
    assert told.warnings == ("dcgm-exporter could not be asked: no answer within 5 s",)


@pytest.mark.asyncio(loop_scope="module")
async def test_without_pods_the_nodes_gpus_are_told_and_nobody_holds_them(server: PrometheusServer) -> None:
    told = await read(server, "nobody", "gpu_clock", "gpu_holders", node="node-u")
    assert last(told["gpu_clock"]) == {("GPU-u",): 1200}
    assert isinstance(told["gpu_holders"], Missing)


@pytest.mark.parametrize(
    "way",
    [
        way
        for row in ROWS.values()
        for way in row.alternatives
        if way.family.startswith("DCGM_") and way.kind != "present"
    ],
    ids=lambda way: way.family,
)
def test_every_blank_lies_above_what_is_taken(way: Alternative) -> None:
    """Nanoseconds may be larger than a blank of 32 bits."""
    lowest = 2.0**63 - 16 if way.family.endswith("_VIOLATION") else 0x7FFFFFF0
    assert way.below is not None
    assert way.below <= lowest
