"""The agent as a process, between NVML's ABI and the kubelet's protocol: what NVML and the kubelet say is what Prometheus gets."""

import json
from dataclasses import replace
from pathlib import Path

from telemetry.gpu_agent.problems import MEANING
from tests.gpu_agent.agent import SECONDS, becomes, running_agent
from tests.gpu_agent.fake_kubelet import FakeContainer, FakeKubelet
from tests.gpu_agent.fake_nvml import GIB, FakeGpu, FakeMig, FakeXid, table
from tests.local_process import eventually

DEVICE = ("node", "gpu", "uuid", "gpu_instance", "mig_profile")
OWNER = ("namespace", "pod", "container")
WHOLE = [FakeGpu(0), FakeGpu(1, used=5 * GIB, utilization=0, reasons=0x1)]
MIG = FakeGpu(
    0,
    migs=[
        FakeMig(1, "MIG-1"),
        FakeMig(2, "MIG-2", used=2 * GIB),
        FakeMig(5, "MIG-5", slices=3, memory_mib=40192),
    ],
)
TRITON = FakeContainer("inference", "triton-0", "triton", [FakeGpu(0).uuid])


async def test_whole_gpus_with_their_owners(tmp_path: Path, kubelet: FakeKubelet) -> None:
    """Every family, whole."""
    kubelet.containers = [TRITON]
    kubelet.offered = [gpu.uuid for gpu in WHOLE]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        await agent.new_look()
        held = ("node-a", "0", WHOLE[0].uuid, "", "", "inference", "triton-0", "triton")
        free = ("node-a", "1", WHOLE[1].uuid, "", "", "", "", "")
        labels = (*DEVICE, *OWNER)
        assert await agent.values("triton_gpu_memory_used_bytes", *labels) == {held: 30 * GIB, free: 5 * GIB}
        assert await agent.values("triton_gpu_memory_free_bytes", *labels) == {held: 49 * GIB, free: 74 * GIB}
        assert await agent.values("triton_gpu_memory_reserved_bytes", *labels) == {held: GIB, free: GIB}
        assert await agent.values("triton_gpu_memory_total_bytes", *labels) == {
            held: 80 * GIB,
            free: 80 * GIB,
        }
        assert await agent.values("triton_gpu_utilization_ratio", *labels) == {held: 0.55, free: 0.0}
        assert await agent.values("triton_gpu_sm_clock_hertz", *labels) == {held: 1.41e9, free: 1.41e9}
        assert await agent.values("triton_gpu_sm_clock_max_hertz", *labels) == {held: 1.98e9, free: 1.98e9}
        assert await agent.values("triton_gpu_xid_watched", *labels) == {held: 1, free: 1}
        assert await agent.values("triton_gpu_owner", *labels) == {held: 1}
        throttled = await agent.values("triton_gpu_throttled", "gpu", "reason")
        assert {key for key, holds in throttled.items() if holds} == {
            ("0", "sw_power_cap"),
            ("1", "gpu_idle"),
        }
        assert ("0", "display_clock_setting") not in throttled, "this GPU does not support it"
        assert len(throttled) == 2 * 8
        assert await agent.problems() == set()
        assert (await agent.values("triton_gpu_agent_snapshot_age_seconds"))[()] < 3


async def test_mig_instances_have_their_own_memory_and_the_whole_gpu_its_clock(
    tmp_path: Path, kubelet: FakeKubelet
) -> None:
    kubelet.containers = [
        FakeContainer("inference", "small", "triton", ["MIG-1"], "nvidia.com/mig-1g.10gb"),
        FakeContainer("inference", "large", "triton", ["MIG-5"], "nvidia.com/mig-3g.40gb"),
    ]
    async with running_agent(tmp_path, table([MIG]), kubelet) as agent:
        await agent.new_look()
        assert await agent.values("triton_gpu_memory_used_bytes", *DEVICE, "pod") == {
            ("node-a", "0", MIG.uuid, "1", "1g.10gb", "small"): GIB,
            ("node-a", "0", MIG.uuid, "2", "1g.10gb", ""): 2 * GIB,
            ("node-a", "0", MIG.uuid, "5", "3g.40gb", "large"): GIB,
        }
        assert await agent.values("triton_gpu_utilization_ratio") == {}
        whole = ("node-a", "0", MIG.uuid, "", "", "")
        assert await agent.values("triton_gpu_sm_clock_hertz", *DEVICE, "pod") == {whole: 1.41e9}
        owners = await agent.values("triton_gpu_owner", "gpu_instance", "mig_profile", "pod")
        assert owners == {("1", "1g.10gb", "small"): 1, ("5", "3g.40gb", "large"): 1}


async def test_compute_instances_of_one_gpu_instance_are_one_series(tmp_path: Path) -> None:
    """They share its memory: two series would tell it twice."""
    shared = FakeGpu(0, migs=[FakeMig(1, "MIG-a", slices=2), FakeMig(1, "MIG-b", slices=2)])
    async with running_agent(tmp_path, table([shared])) as agent:
        assert await agent.values("triton_gpu_memory_used_bytes", "gpu_instance") == {("1",): GIB}


async def test_a_gpu_in_mig_mode_without_instances_tells_its_memory(tmp_path: Path) -> None:
    async with running_agent(tmp_path, table([FakeGpu(0, mig=True)])) as agent:
        assert await agent.values("triton_gpu_memory_used_bytes", "gpu_instance") == {("",): 30 * GIB}
        assert await agent.values("triton_gpu_utilization_ratio") == {}


async def test_mig_without_the_right_to_look_at_it_is_told(tmp_path: Path) -> None:
    """What NVML refuses without the driver's mig-monitor capability (NVIDIA/nvidia-container-toolkit#842, NVIDIA/gpu-operator#685):
    the rest of the GPU is still told."""
    async with running_agent(tmp_path, table([replace(MIG, hidden=True), FakeGpu(1)])) as agent:
        assert await agent.problems() == {("no_permission", "0")}
        assert await agent.values("triton_gpu_memory_used_bytes", "gpu") == {("1",): 30 * GIB}
        assert await agent.values("triton_gpu_sm_clock_hertz", "gpu") == {("0",): 1.41e9, ("1",): 1.41e9}


async def test_a_shared_gpu_is_counted_once_and_names_all_its_owners(
    tmp_path: Path, kubelet: FakeKubelet
) -> None:
    """Time-slicing and MPS: replicas of one UUID. One container with two replicas holds its GPU alone."""
    kubelet.containers = [
        FakeContainer("a", "one", "triton", [f"{WHOLE[0].uuid}::0"], "nvidia.com/gpu.shared"),
        FakeContainer("b", "two", "triton", [f"{WHOLE[0].uuid}::3"], "nvidia.com/gpu.shared"),
        FakeContainer(
            "b", "three", "triton", [f"{WHOLE[1].uuid}::0", f"{WHOLE[1].uuid}::1"], "nvidia.com/gpu.shared"
        ),
    ]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        await agent.new_look()
        used = await agent.values("triton_gpu_memory_used_bytes", "gpu", *OWNER)
        assert used == {("0", "", "", ""): 30 * GIB, ("1", "b", "three", "triton"): 5 * GIB}
        owners = await agent.values("triton_gpu_owner", "gpu", "namespace", "pod")
        assert owners == {("0", "a", "one"): 1, ("0", "b", "two"): 1, ("1", "b", "three"): 1}
        assert await agent.problems() == set()


async def test_a_gpu_given_by_dra_has_its_owner(tmp_path: Path, kubelet: FakeKubelet) -> None:
    kubelet.containers = [FakeContainer("a", "one", "triton", claimed=["gpu-1"])]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        await agent.new_look()
        assert await agent.values("triton_gpu_owner", "gpu", "pod") == {("1", "one"): 1}


async def test_a_lost_gpu_is_told_and_has_no_values_but_its_owner(
    tmp_path: Path, kubelet: FakeKubelet
) -> None:
    """And comes back after a reset, for which NVML has to be opened anew; errors are counted then as before."""
    kubelet.containers = [TRITON]
    lost = replace(WHOLE[0], codes={"nvmlDeviceGetHandleByIndex_v2": 15})
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        await agent.new_look()
        agent.nvml(table([lost, WHOLE[1]], xids=[FakeXid(1, 0, 79)]))
        await eventually(becomes(agent.problems, {("gpu_lost", "0")}), seconds=SECONDS)
        assert await agent.values("triton_gpu_memory_used_bytes", "gpu") == {("1",): 5 * GIB}
        assert await agent.values("triton_gpu_xid_watched", "gpu") == {("1",): 1}
        assert await agent.values("triton_gpu_owner", "gpu", "pod") == {("0", "triton-0"): 1}
        assert (await agent.get("/livez"))[0] == 200
        status, ready = await agent.get("/readyz?verbose")
        assert status == 200
        assert "gpu_lost (GPU 0)" in ready
        agent.nvml(table(WHOLE))
        await eventually(becomes(agent.problems, set()), seconds=SECONDS)
        assert len(await agent.values("triton_gpu_memory_used_bytes", "gpu")) == 2
        watched = lambda: agent.values("triton_gpu_xid_watched", "gpu")  # noqa: E731
        await eventually(becomes(watched, {("0",): 1, ("1",): 1}), seconds=SECONDS)
        agent.nvml(table(WHOLE, xids=[FakeXid(2, 0, 31)]))
        wanted = {("0", "79"): 1.0, ("0", "31"): 1.0}
        await eventually(
            becomes(lambda: agent.values("triton_gpu_xid_total", "gpu", "xid"), wanted), seconds=SECONDS
        )


async def test_a_gpu_that_answers_with_an_unknown_error_is_seen_again_after_a_reset(tmp_path: Path) -> None:
    """So some drivers answer for one that fell off the bus ("Unable to determine the device handle": NVIDIA/dcgm-exporter#604)."""
    lost = replace(WHOLE[0], codes={"nvmlDeviceGetHandleByIndex_v2": 999})
    async with running_agent(tmp_path, table([lost, WHOLE[1]])) as agent:
        assert await agent.problems() == {("nvml_error", "0")}
        agent.nvml(table(WHOLE))
        await eventually(becomes(agent.problems, set()), seconds=SECONDS)


async def test_an_open_nvml_that_fails_is_opened_anew(tmp_path: Path) -> None:
    """As when the driver is loaded again beneath it."""
    async with running_agent(tmp_path, table(WHOLE)) as agent:
        agent.nvml(table(WHOLE, count=9))
        await eventually(becomes(agent.problems, {("no_driver", "")}), seconds=SECONDS)
        assert await agent.values("triton_gpu_memory_used_bytes") == {}
        agent.nvml(table(WHOLE))
        await eventually(becomes(agent.problems, set()), seconds=SECONDS)
        watched = lambda: agent.values("triton_gpu_xid_watched", "gpu")  # noqa: E731
        await eventually(becomes(watched, {("0",): 1, ("1",): 1}), seconds=SECONDS)


async def test_a_gpu_that_is_not_even_named_any_more_is_lost(tmp_path: Path) -> None:
    async with running_agent(tmp_path, table(WHOLE)) as agent:
        agent.nvml(table(WHOLE[:1]))
        await eventually(becomes(agent.problems, {("gpu_lost", "1")}), seconds=SECONDS)


async def test_an_xid_counts_for_who_held_the_gpu_when_it_came(tmp_path: Path, kubelet: FakeKubelet) -> None:
    kubelet.containers = [TRITON]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        await agent.new_look()
        assert await agent.values("triton_gpu_xid_total") == {}
        agent.nvml(table(WHOLE, xids=[FakeXid(1, 0, 31), FakeXid(2, 0, 31), FakeXid(3, 1, 79)]))
        wanted = {("0", "31", "triton-0"): 2.0, ("1", "79", ""): 1.0}
        await eventually(
            becomes(lambda: agent.values("triton_gpu_xid_total", "gpu", "xid", "pod"), wanted),
            seconds=SECONDS,
        )
        kubelet.containers = [replace(TRITON, pod="triton-1")]
        await agent.new_look()
        assert await agent.values("triton_gpu_xid_total", "gpu", "xid", "pod") == wanted


async def test_the_log_says_what_began_what_it_means_and_whom_it_met(
    tmp_path: Path, kubelet: FakeKubelet
) -> None:
    kubelet.containers = [TRITON]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        lost = replace(WHOLE[1], codes={"nvmlDeviceGetHandleByIndex_v2": 15})
        agent.nvml(table([WHOLE[0], lost], xids=[FakeXid(1, 0, 31)]))
        await eventually(becomes(agent.problems, {("gpu_lost", "1")}), seconds=SECONDS)
        counted = lambda: agent.values("triton_gpu_xid_total", "xid")  # noqa: E731
        await eventually(becomes(counted, {("31",): 1}), seconds=SECONDS)
        said = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line[:1] == "{"]
    [began] = [each for each in said if each["event"] == "a problem began"]
    assert (
        began.items()
        >= {
            "problem": "gpu_lost",
            "gpu": "1",
            "detail": "asking NVML: GPU is lost",
            "means": MEANING["gpu_lost"],
        }.items()
    )
    [xid] = [each for each in said if each["event"] == "XID"]
    assert xid.items() >= {"xid": 31, "gpu": "0", "owner": "inference/triton-0/triton"}.items()


async def test_an_xid_of_a_mig_instance_names_it(tmp_path: Path) -> None:
    async with running_agent(tmp_path, table([MIG])) as agent:
        agent.nvml(table([MIG], xids=[FakeXid(1, 0, 43, gpu_instance=5)]))
        told = lambda: agent.values("triton_gpu_xid_total", "gpu_instance", "mig_profile", "xid")  # noqa: E731
        await eventually(becomes(told, {("5", "3g.40gb", "43"): 1.0}), seconds=SECONDS)


async def test_a_watch_that_fails_is_told_and_begun_again(tmp_path: Path) -> None:
    async with running_agent(tmp_path, table(WHOLE, wait=999)) as agent:
        watched = lambda: agent.values("triton_gpu_xid_watched", "gpu")  # noqa: E731
        await eventually(becomes(watched, {("0",): 0, ("1",): 0}), seconds=SECONDS)
        agent.nvml(table(WHOLE, xids=[FakeXid(1, 1, 79)]))
        await eventually(becomes(watched, {("0",): 1, ("1",): 1}), seconds=SECONDS)
        await eventually(
            becomes(lambda: agent.values("triton_gpu_xid_total", "gpu", "xid"), {("1", "79"): 1}),
            seconds=SECONDS,
        )


async def test_where_events_may_not_be_watched_their_absence_says_nothing(tmp_path: Path) -> None:
    gpus = [FakeGpu(0, codes={"nvmlDeviceRegisterEvents": 4}), FakeGpu(1)]
    async with running_agent(tmp_path, table(gpus)) as agent:
        await agent.new_look()
        assert await agent.values("triton_gpu_xid_watched", "gpu") == {("0",): 0, ("1",): 1}
