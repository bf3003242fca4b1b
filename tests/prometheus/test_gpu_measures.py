"""GPUs through a real Prometheus: triton-gpu-agent's and dcgm-exporter's series, with the label names of several versions, MIG
instances, GPUs that several pods share, and what DCGM writes where it knows nothing."""

import math
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from telemetry.prometheus import PrometheusSource
from telemetry.rules_dir import rules_dir
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.samples import Samples
from tests.prometheus.server import PrometheusServer
from triage.evidence import Missing
from triage.gpus import find_devices, problems_of, xids_seen
from triage.latency.facts import Ranges
from triage.latency.grid import Window, make_grid
from triage.latency.queries import SeriesTarget
from triage.latency.rules import latency_rules_from_folder
from triage.probes.prometheus_reading import Reader, Reading

ROWS = {row.measure: row for row in latency_rules_from_folder(rules_dir()).sources["platform"]}
END = int(time.time()) // 60 * 60 - 1800
START = END - 3600
GRID = make_grid(Window(START, END), 15.0)
GIB = 2**30
BLANK = 9223372036854775794
"""DCGM_INT64_NOT_SUPPORTED, as old exporters print it."""


def always(value: float, t: float) -> float:
    return value


def halfway(before: float, during: float, t: float) -> float:
    return before if t < 1800 else during


def now_and_then_blank(value: float, t: float) -> float:
    return BLANK if t % 60 == 0 else value


def rising(rate: float, t: float) -> float:
    return rate * t


def agent(samples: Samples, node: str, names: tuple[str, str], beside: dict[str, str], pods: str) -> None:
    """A node of triton-gpu-agent: GPU 0 is one pod's, GPU 1 is shared, GPU 2 is split. `names`: under which the owner comes out of
    Prometheus; `beside`: the target's own labels."""
    pod, namespace = names

    def of(
        index: int, owner: str = "", space: str = "serving", instance: str = "", profile: str = ""
    ) -> dict[str, str]:
        labels = {
            **beside,
            "node": node,
            "gpu": str(index),
            "uuid": f"GPU-{node}-{index}",
            "gpu_instance": instance,
        }
        return {**labels, "mig_profile": profile, pod: owner, namespace: space if owner else ""}

    for place, (labels, owners) in enumerate(
        (
            (of(0, f"{pods}-0"), [of(0, f"{pods}-0")]),
            (of(1), [of(1, f"{pods}-1"), of(1, "notebook-0", "data")]),
            (of(2, f"{pods}-2", "serving", "7", "1g.10gb"), [of(2, f"{pods}-2", "serving", "7", "1g.10gb")]),
            (of(2, "other-0", "data", "8", "1g.10gb"), [of(2, "other-0", "data", "8", "1g.10gb")]),
            (of(3, "other-1", "data"), [of(3, "other-1", "data")]),
        )
    ):
        samples.add("triton_gpu_memory_used_bytes", labels, partial(always, (place + 1) * GIB))
        samples.add("triton_gpu_memory_free_bytes", labels, partial(always, (9 - place) * GIB))
        for owner in owners:
            samples.add("triton_gpu_owner", owner, partial(always, 1))
        if not labels["gpu_instance"]:
            samples.add("triton_gpu_utilization_ratio", labels, partial(always, 0.5))
    for index in range(4):
        clock = partial(halfway, 1.98e9, 0.9e9) if index == 0 else partial(always, 1.5e9)
        samples.add("triton_gpu_sm_clock_hertz", of(index), clock)
        for reason in ("hw_thermal_slowdown", "gpu_idle", "sw_power_cap"):
            hot = index == 0 and reason == "hw_thermal_slowdown"
            value = partial(halfway, 0, 1) if hot else partial(always, float(reason == "gpu_idle"))
            samples.add("triton_gpu_throttled", {**of(index), "reason": reason}, value)
        samples.add("triton_gpu_xid_watched", of(index), partial(always, 1))
    late = Samples(START + 1800, END)
    late.add("triton_gpu_xid_total", {**of(1), "xid": "79"}, partial(always, 1))
    samples.lines.setdefault("triton_gpu_xid_total", []).extend(late.lines["triton_gpu_xid_total"])
    lost = {**beside, "node": node, "problem": "gpu_lost", "gpu": "3"}
    samples.add("triton_gpu_agent_problem", lost, partial(halfway, 0, 1))
    samples.add("triton_gpu_agent_problem", {**lost, "problem": "no_driver", "gpu": ""}, partial(always, 0))


def dcgm(samples: Samples, pods: str, names: tuple[str, str], host: str, beside: dict[str, str]) -> None:
    """A node of dcgm-exporter: GPU 0 is shared by two pods, with the same values twice; GPU 1 is split."""
    pod, namespace = names
    for owner, space in ((f"{pods}-0", "serving"), ("notebook-0", "data")):
        labels = {
            **beside,
            "gpu": "0",
            "UUID": f"GPU-{pods}-0",
            host: f"node-{pods}",
            pod: owner,
            namespace: space,
        }
        samples.add("DCGM_FI_DEV_SM_CLOCK", labels, partial(now_and_then_blank, 1980))
        samples.add("DCGM_FI_DEV_FB_USED", labels, partial(always, 30 * 1024))
        samples.add("DCGM_FI_DEV_FB_FREE", labels, partial(always, 50 * 1024))
        samples.add("DCGM_FI_DEV_GPU_UTIL", labels, partial(always, 90))
        samples.add("DCGM_FI_DEV_POWER_USAGE", labels, partial(always, BLANK))
        samples.add("DCGM_FI_DEV_XID_ERRORS", labels, partial(halfway, 0, 31))
        samples.add("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", labels, partial(halfway, 1, 0x44))
        samples.add("DCGM_FI_DEV_THERMAL_VIOLATION", labels, partial(rising, 2e8))
    split = {
        **beside,
        "gpu": "1",
        "UUID": f"GPU-{pods}-1",
        host: f"node-{pods}",
        pod: f"{pods}-1",
        namespace: "serving",
    }
    for instance, owner in (("7", f"{pods}-1"), ("8", "other-0")):
        labels = {**split, "GPU_I_ID": instance, "GPU_I_PROFILE": "1g.10gb", pod: owner}
        samples.add("DCGM_FI_DEV_FB_USED", labels, partial(always, 1024 * int(instance)))
        samples.add("DCGM_FI_DEV_FB_FREE", labels, partial(always, 1024 * (10 - int(instance))))
        samples.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, partial(always, 0.01 * int(instance)))


HONOURED, EXPORTED, OLD = (
    ("pod", "namespace"),
    ("exported_pod", "exported_namespace"),
    ("pod_name", "pod_namespace"),
)
BESIDE = {"pod": "exporter-x2v9k", "namespace": "monitoring"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(
    prometheus_tools: PrometheusTools, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[PrometheusServer]:
    started = PrometheusServer(prometheus_tools, tmp_path_factory.mktemp("prometheus"))
    samples = Samples(START, END)
    agent(samples, "n1", HONOURED, {}, "honoured")
    agent(samples, "n2", EXPORTED, BESIDE, "exported")
    dcgm(samples, "new", HONOURED, "hostname", {})
    dcgm(samples, "old", EXPORTED, "Hostname", BESIDE)
    dcgm(samples, "oldest", OLD, "Hostname", {})
    unnamed = {"gpu": "0", "UUID": "GPU-u", "Hostname": "node-u"}
    samples.add("DCGM_FI_DEV_SM_CLOCK", unnamed, partial(always, 1200))
    await started.backfill(str(samples))
    async with started:
        yield started


async def read(
    server: PrometheusServer, pods: str, *measures: str, node: str = ""
) -> dict[str, Ranges | Missing]:
    target = SeriesTarget("serving", workload=pods, nodes=(node,) if node else ())
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
@pytest.mark.parametrize(("pods", "node"), [("honoured", "n1"), ("exported", "n2")])
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
    assert [problem[:3] for problem in problems_of(ranges)] == [(node, "gpu_lost", "3")]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("pods", ["new", "old", "oldest"])
async def test_dcgm_s_copies_count_once_its_instances_apart_and_its_blanks_not_at_all(
    server: PrometheusServer, pods: str
) -> None:
    told = await read(
        server, pods, "gpu_device_memory_used", "gpu_holders", "gpu_clock", "gpu_power", "gpu_sm_busy", "gpu_throttled",
        "gpu_throttle_reasons", "gpu_xid", "gpu_xid_count",
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
    power = told["gpu_power"]
    assert isinstance(power, Missing)
    assert power.reason == "no_series"
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
async def test_without_pods_the_nodes_gpus_are_told_and_nobody_holds_them(server: PrometheusServer) -> None:
    told = await read(server, "nobody", "gpu_clock", "gpu_holders", node="node-u")
    assert last(told["gpu_clock"]) == {("GPU-u",): 1200}
    assert isinstance(told["gpu_holders"], Missing)


def test_a_blank_of_either_kind_lies_above_what_is_taken() -> None:
    bounds = {
        way.below
        for row in ROWS.values()
        for way in row.alternatives
        if way.family.startswith("DCGM_") and way.kind != "present"
    }
    assert None not in bounds
    assert max(bound for bound in bounds if bound) < 2.0**63 - 16
    assert min(bound for bound in bounds if bound) < 2.0**47
    assert math.isfinite(float(BLANK))
