"""Devices out of series: each once, whoever shares or repeats it, and missing is never a number."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.gpu_exporters.devices import Device, DeviceKey, GpuSeries, TargetName, read_devices
from telemetry.gpu_exporters.exporter import load_gpu_exporters
from telemetry.gpu_exporters.snapshot import GpuSnapshot, memory_of, merged, utilization_of
from telemetry.prometheus_pages import PodName
from telemetry.rules_dir import rules_dir

EXPORTERS = load_gpu_exporters(rules_dir() / "gpu_exporters")
MIB = 1 << 20
USED, FREE, UTIL = "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE", "DCGM_FI_DEV_GPU_UTIL"
ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"


def series(family: str, *points: tuple[float, float], uuid: str = "GPU-1", **labels: str) -> GpuSeries:
    return GpuSeries({"__name__": family, "UUID": uuid, "job": "dcgm", "instance": "n1", **labels}, points)


def device(*shown: GpuSeries, added: Mapping[TargetName, Mapping[str, str]] | None = None) -> Device:
    (found,) = read_devices(shown, EXPORTERS, added or {})
    return found


def held_by(pod: str, **more: str) -> dict[str, Any]:
    return {"namespace": "prod", "pod": pod, **more}


def test_memory_is_used_and_free_of_the_same_scrape() -> None:
    told = device(series(USED, (1.0, 100.0), (2.0, 300.0)), series(FREE, (2.0, 700.0), (3.0, 600.0)))
    assert told.memory == ((2.0, 300.0 * MIB, 1000.0 * MIB),)
    assert told.at == 3.0


def test_owners_are_those_of_the_newest_scrape_and_samples_from_before_them_are_anothers() -> None:
    """The pod before, busy, and the one that took its GPU over."""
    told = device(
        series(UTIL, (1.0, 10.0), (2.0, 30.0), **held_by("before")),
        series(UTIL, (3.0, 50.0), **held_by("now")),
    )
    assert told.owners == {PodName("prod", "now")}
    assert told.utilization == ((3.0, 0.5),)


def test_who_joins_a_shared_gpu_leaves_its_samples_as_they_were() -> None:
    told = device(
        series(UTIL, (1.0, 10.0), (2.0, 30.0), (3.0, 50.0), **held_by("before", vgpu="0")),
        series(UTIL, (3.0, 50.0), **held_by("joined", vgpu="1")),
    )
    assert told.owners == {PodName("prod", "before"), PodName("prod", "joined")}
    assert told.utilization == ((1.0, 0.1), (2.0, 0.3), (3.0, 0.5))


def test_a_gpu_that_is_given_to_a_pod_keeps_no_sample_from_before() -> None:
    told = device(series(UTIL, (1.0, 10.0)), series(UTIL, (2.0, 90.0), **held_by("a")))
    assert told.utilization == ((2.0, 0.9),)


def test_a_gpu_that_is_given_back_keeps_its_samples() -> None:
    told = device(series(UTIL, (1.0, 90.0), **held_by("a")), series(UTIL, (2.0, 10.0)))
    assert (told.owners, told.utilization) == (frozenset(), ((1.0, 0.9), (2.0, 0.1)))


def test_a_gpu_in_instances_is_its_instances() -> None:
    found = read_devices(
        [
            series(ACTIVE, (1.0, 0.5)),
            series(ACTIVE, (1.0, 0.25), GPU_I_ID="3", **held_by("a")),
            series(UTIL, (1.0, 0.0), GPU_I_ID="3", **held_by("a")),
        ],
        EXPORTERS,
        {},
    )
    assert [(one.key, one.utilization) for one in found] == [(DeviceKey("GPU-1", "3"), ((1.0, 0.25),))]


@pytest.mark.parametrize("later", [0.0, 5.0])
def test_an_exporter_that_names_no_pods_does_not_hide_who_holds_a_gpu(later: float) -> None:
    """Two dcgm-exporters on a node, of which one runs without --kubernetes: who is scraped last must not decide."""
    shown = [
        series(UTIL, (1.0, 50.0), (6.0, 50.0), **held_by("a")),
        series(UTIL, (3.0, 50.0), (3.0 + later, 50.0), instance="host"),
    ]
    assert device(*shown).owners == {PodName("prod", "a")}


def test_instances_of_a_store_that_lowers_labels_are_instances_too() -> None:
    """As NVIDIA/dcgm-exporter issue 577 shows them, out of AKS: an instance is not its GPU."""
    shown = {"uuid": "gpu-1", "job": "dcgm", "instance": "n1", "namespace": "prod"}
    rows = [
        GpuSeries(
            {"__name__": "dcgm_fi_prof_gr_engine_active", **shown, "gpu_i_id": number, "pod": pod},
            ((1.0, busy),),
        )
        for number, pod, busy in (("11", "a", 0.5), ("12", "b", 0.25))
    ]
    assert [(one.key.gpu_instance, one.utilization) for one in read_devices(rows, EXPORTERS, {})] == [
        ("11", ((1.0, 0.5),)),
        ("12", ((1.0, 0.25),)),
    ]


def test_a_gpu_that_is_in_instances_no_more_is_a_gpu_again() -> None:
    """At the first scrape after MIG was switched off, not when the instances have left the window."""
    found = read_devices(
        [series(ACTIVE, (1.0, 0.25), GPU_I_ID="3"), series(UTIL, (2.0, 40.0), **held_by("a"))], EXPORTERS, {}
    )
    assert [one.key for one in found if one.owners] == [DeviceKey("GPU-1", "")]


def test_what_prometheus_adds_names_no_holder() -> None:
    added = {TargetName("dcgm", "n1"): {"namespace": "gpu-operator", "pod": "dcgm-exporter-x"}}
    own = {"namespace": "gpu-operator", "pod": "dcgm-exporter-x"}
    assert device(series(UTIL, (1.0, 50.0), **own), added=added).owners == frozenset()
    exported = {**own, "exported_namespace": "prod", "exported_pod": "a"}
    told = [series(UTIL, (1.0, 50.0), **exported), series(FREE, (1.0, 50.0), uuid="GPU-2", **own)]
    assert [one.owners for one in read_devices(told, EXPORTERS, {})] == [{PodName("prod", "a")}, frozenset()]


def test_a_pod_of_the_exporters_namespace_holds_nothing_for_having_the_holders_name() -> None:
    """A job that gives its targets a namespace and no pod: Prometheus renames the page's namespace alone."""
    own = {"namespace": "gpu-operator", "service": "dcgm-exporter"}
    held = device(series(UTIL, (1.0, 50.0), **own, exported_namespace="prod", pod="a"))
    assert held.owners == {PodName("prod", "a")}
    assert device(series(UTIL, (1.0, 50.0), **own)).owners == frozenset()


@pytest.mark.parametrize("uuid", ["GPU-1\nALERT", "G" * 1000, "GPU-\u202e1", "", " "])
def test_what_cannot_be_a_uuid_names_no_device(uuid: str) -> None:
    """It would be in errors, and so in the HPA's status: lines of its own there, or no room for what to do."""
    assert read_devices([series(UTIL, (1.0, 50.0), uuid=uuid, **held_by("a"))], EXPORTERS, {}) == []
    instance = series(UTIL, (1.0, 50.0), GPU_I_ID=uuid or "\n", **held_by("a"))
    assert read_devices([instance], EXPORTERS, {}) == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0, 101.5, 2147483632.0, 2.0**47, 2.0**63])
def test_what_is_no_measurement_is_none(wrong: float) -> None:
    assert device(series(UTIL, (1.0, wrong), **held_by("a"))).utilization == ()


def test_a_reading_is_the_mean_of_its_window_and_too_old_is_none() -> None:
    told = device(series(UTIL, *((float(at), float(at)) for at in range(0, 100, 10))))
    found = utilization_of(told, 30.0, 0.0)
    assert found is not None
    assert found.ratio == pytest.approx(0.8)
    assert found.at == 90.0
    assert utilization_of(told, 30.0, 90.1) is None
    assert memory_of(told, 30.0, 0.0) is None


_PODS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8, unique=True)
_POINTS = st.lists(st.tuples(st.integers(0, 100), st.integers(0, 40_000)), min_size=1, max_size=6).map(
    lambda pairs: [(float(at), float(value)) for at, value in sorted(dict(pairs).items())]
)


@given(_PODS, _POINTS, st.integers(1, 3))
def test_a_device_copied_to_pods_jobs_and_replicas_counts_once(
    pods: list[str], points: list[tuple[float, float]], copies: int
) -> None:
    alone = device(series(USED, *points), series(FREE, *points), series(UTIL, (points[-1][0], 50.0)))
    shown = [
        one
        for copy in range(copies)
        for part, pod in enumerate(pods)
        for one in (
            series(USED, *points, vgpu=str(part), replica=str(copy), **held_by(pod)),
            series(FREE, *points, vgpu=str(part), replica=str(copy), **held_by(pod)),
            series(UTIL, (points[-1][0], 50.0), vgpu=str(part), replica=str(copy), **held_by(pod)),
        )
    ]
    shared = device(*shown)
    assert (shared.memory, shared.utilization) == (alone.memory, alone.utilization)
    assert shared.owners == {PodName("prod", pod) for pod in pods}


@given(_PODS, st.lists(st.integers(0, 100), min_size=8, max_size=8), st.integers(0, 100))
def test_shares_of_processes_never_stand_for_the_device(
    pods: list[str], shares: list[int], whole: int
) -> None:
    split = [
        series(UTIL, (1.0, float(share)), **held_by(pod)) for pod, share in zip(pods, shares, strict=False)
    ]
    with_whole = device(series(UTIL, (1.0, float(whole))), *split)
    ((_, told_whole),) = with_whole.utilization
    assert told_whole == pytest.approx(whole / 100)
    told = {share for _, share in zip(pods, shares, strict=False)}
    assert bool(device(*split).utilization) == (len(told) == 1), (
        "only one that all agree on can be the device's"
    )


@given(st.permutations(range(6)))
def test_the_order_of_series_says_nothing(order: list[int]) -> None:
    shown = [
        series(USED, (1.0, 5.0), **held_by("a")),
        series(USED, (1.0, 5.0), **held_by("b")),
        series(FREE, (1.0, 7.0), **held_by("a")),
        series(USED, (1.0, 5.0), uuid="GPU-2"),
        series(ACTIVE, (1.0, 0.5), uuid="GPU-2", GPU_I_ID="1", **held_by("c")),
        series(UTIL, (0.5, 9.0), instance="n2", **held_by("old")),
    ]
    assert read_devices([shown[at] for at in order], EXPORTERS, {}) == read_devices(shown, EXPORTERS, {})


def test_an_answer_in_part_takes_no_device_away_until_it_would_be_gone_from_a_whole_one() -> None:
    """A store that never answers makes every answer one in part: nodes that come and go would add up."""
    first, second = (device(series(UTIL, (1.0, 50.0), uuid=uuid)) for uuid in ("GPU-1", "GPU-2"))
    newer = device(series(UTIL, (2.0, 60.0), uuid="GPU-2"))
    assert merged((first, second), (newer,), since=1.0) == (first, newer)
    assert merged((first, second), (newer,), since=1.5) == (newer,)


def test_a_pod_of_one_name_in_two_clusters_is_told() -> None:
    found = read_devices(
        [
            series(UTIL, (1.0, 50.0), uuid=f"GPU-{n}", instance=f"n{n}", cluster=f"eu{n}", **held_by("a"))
            for n in (1, 2)
        ],
        EXPORTERS,
        {},
    )
    assert GpuSnapshot(tuple(found)).in_clusters == {PodName("prod", "a")}
