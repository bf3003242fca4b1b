"""What the agent tells when driver or kubelet refuse, hang or leave out: a problem by name, and no value in its place."""

from pathlib import Path

import grpc
import pytest

from tests.gpu_agent.agent import SECONDS, becomes, running_agent
from tests.gpu_agent.fake_kubelet import FakeContainer, FakeKubelet
from tests.gpu_agent.fake_nvml import GIB, FakeGpu, table
from tests.local_process import eventually

WHOLE = [FakeGpu(0), FakeGpu(1, used=5 * GIB, utilization=0, reasons=0x1)]
TRITON = FakeContainer("inference", "triton-0", "triton", [FakeGpu(0).uuid])


@pytest.mark.parametrize(
    ("code", "problem"),
    [(9, "no_driver"), (4, "no_permission"), (18, "driver_mismatch"), (999, "nvml_error")],
)
async def test_nvml_that_does_not_open_is_told(tmp_path: Path, code: int, problem: str) -> None:
    async with running_agent(tmp_path, table(WHOLE, init=code)) as agent:
        assert await agent.problems() == {(problem, "")}
        assert await agent.values("triton_gpu_memory_used_bytes") == {}
        assert (await agent.get("/livez"))[0] == 200
        assert problem in (await agent.get("/readyz?verbose"))[1]
        assert f'"problem": "{problem}"' in agent.process.log_tail()
        agent.nvml(table(WHOLE))
        await eventually(becomes(agent.problems, set()), seconds=SECONDS)


async def test_without_a_library_it_lives_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").touch()  # found before a real one of this machine, and no library
    async with running_agent(tmp_path, None, libraries=[tmp_path]) as agent:
        assert await agent.problems() == {("no_driver", "")}
        assert (await agent.get("/livez"))[0] == 200


async def test_a_driver_that_names_no_gpu_is_told(tmp_path: Path) -> None:
    """As in a container to which the runtime gave the library and no GPU (NVIDIA_VISIBLE_DEVICES=none)."""
    async with running_agent(tmp_path, table([])) as agent:
        assert await agent.problems() == {("no_gpu", "")}
        agent.nvml(table(WHOLE))
        await eventually(becomes(agent.problems, set()), seconds=SECONDS)


async def test_a_gpu_that_may_not_be_looked_at_is_told_alone(tmp_path: Path) -> None:
    gpus = [FakeGpu(0, codes={"nvmlDeviceGetHandleByIndex_v2": 4}), FakeGpu(1)]
    async with running_agent(tmp_path, table(gpus)) as agent:
        assert await agent.problems() == {("no_permission", "0")}
        assert await agent.values("triton_gpu_memory_used_bytes", "gpu") == {("1",): 30 * GIB}


async def test_what_a_gpu_does_not_support_is_missing_and_no_problem(tmp_path: Path) -> None:
    unsupported = {
        "nvmlDeviceGetMemoryInfo_v2": 3,
        "nvmlDeviceGetUtilizationRates": 3,
        "nvmlDeviceGetMigMode": 3,
    }
    gpus = [FakeGpu(0, codes=unsupported | {"nvmlDeviceGetCurrentClocksThrottleReasons": 3})]
    async with running_agent(tmp_path, table(gpus)) as agent:
        assert await agent.problems() == set()
        names = {name for name, _ in await agent.series()}
        assert "triton_gpu_sm_clock_hertz" in names
        missing = {"triton_gpu_memory_used_bytes", "triton_gpu_utilization_ratio", "triton_gpu_throttled"}
        assert not names & missing


async def test_a_value_that_is_refused_is_missing_and_told(tmp_path: Path) -> None:
    async with running_agent(tmp_path, table([FakeGpu(0, codes={"nvmlDeviceGetMemoryInfo_v2": 4})])) as agent:
        assert await agent.problems() == {("no_permission", "0")}
        assert await agent.values("triton_gpu_memory_used_bytes") == {}
        assert await agent.values("triton_gpu_utilization_ratio", "gpu") == {("0",): 0.55}


async def test_a_gpu_on_which_the_driver_hangs_leaves_the_others_and_the_probes(tmp_path: Path) -> None:
    gpus = [FakeGpu(0, codes={"nvmlDeviceGetMemoryInfo_v2": "hang"}), FakeGpu(1)]
    async with running_agent(tmp_path, table(gpus)) as agent:
        await agent.new_look()
        assert await agent.problems() == {("nvml_hangs", "0")}
        assert await agent.values("triton_gpu_memory_used_bytes", "gpu") == {("1",): 30 * GIB}
        assert (await agent.get("/livez"))[0] == 200


async def test_an_nvml_that_never_opens_is_told_and_does_not_hold_up_the_end(tmp_path: Path) -> None:
    """`running_agent` stops the process within 10 s or fails."""
    async with running_agent(tmp_path, table(WHOLE, init="hang")) as agent:
        assert await agent.problems() == {("nvml_hangs", "")}
        assert (await agent.get("/livez"))[0] == 200


@pytest.mark.parametrize("leave_socket", [False, True])
async def test_a_kubelet_that_restarts_is_found_again(
    tmp_path: Path, kubelet: FakeKubelet, leave_socket: bool
) -> None:
    kubelet.containers = [TRITON]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        await agent.new_look()
        await kubelet.stop(leave_socket=leave_socket)
        await eventually(becomes(agent.problems, {("pod_resources_unreachable", "")}), seconds=SECONDS)
        assert await agent.values("triton_gpu_owner") == {}
        assert len(await agent.values("triton_gpu_memory_used_bytes", "gpu")) == 2
        await kubelet.start()
        await eventually(becomes(agent.problems, set()), seconds=SECONDS)
        await agent.new_look()
        assert await agent.values("triton_gpu_owner", "pod") == {("triton-0",): 1}


async def test_root_without_any_capability_may_ask_the_kubelet(tmp_path: Path) -> None:
    """As the chart runs it: the folder is the owner's and its group's, the socket the owner's to write."""
    folder = tmp_path / "pod-resources"
    folder.mkdir(mode=0o750)
    async with FakeKubelet(folder / "kubelet.sock") as kubelet:
        kubelet.socket.chmod(0o755)
        kubelet.containers = [TRITON]
        async with running_agent(tmp_path, table(WHOLE), kubelet, capabilities=False) as agent:
            assert await agent.problems() == set()
            assert await agent.values("triton_gpu_owner", "pod") == {("triton-0",): 1}


@pytest.mark.parametrize(("folder", "socket"), [(0o750, 0o000), (0o000, 0o755)])
async def test_a_socket_that_is_not_open_to_it_is_told(tmp_path: Path, folder: int, socket: int) -> None:
    at = tmp_path / "pod-resources"
    at.mkdir()
    async with FakeKubelet(at / "kubelet.sock") as kubelet:
        kubelet.socket.chmod(socket)
        at.chmod(folder)
        try:
            async with running_agent(tmp_path, table(WHOLE), kubelet, capabilities=False) as agent:
                assert await agent.problems() == {("pod_resources_forbidden", "")}
                assert len(await agent.values("triton_gpu_memory_used_bytes", "gpu")) == 2
        finally:
            at.chmod(0o750)


async def test_a_kubelet_that_does_not_answer_is_told_and_holds_up_nothing(
    tmp_path: Path, kubelet: FakeKubelet
) -> None:
    kubelet.hangs = True
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        assert await agent.problems() == {("pod_resources_unreachable", "")}
        assert len(await agent.values("triton_gpu_memory_used_bytes", "gpu")) == 2
        assert (await agent.get("/livez"))[0] == 200


async def test_a_kubelet_that_answers_garbage_is_told(tmp_path: Path, kubelet: FakeKubelet) -> None:
    kubelet.garbage = True
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        assert await agent.problems() == {("pod_resources_error", "")}
        kubelet.garbage = False
        await eventually(becomes(agent.problems, set()), seconds=SECONDS)


async def test_a_kubelet_that_answers_with_an_error_is_told(tmp_path: Path, kubelet: FakeKubelet) -> None:
    kubelet.refuses = grpc.StatusCode.RESOURCE_EXHAUSTED  # it allows 100 calls a second
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        assert await agent.problems() == {("pod_resources_error", "")}


async def test_a_kubelet_of_before_1_23_tells_owners_all_the_same(
    tmp_path: Path, kubelet: FakeKubelet
) -> None:
    kubelet.containers, kubelet.offered = [TRITON], None
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        assert await agent.values("triton_gpu_owner", "pod") == {("triton-0",): 1}
        assert await agent.problems() == set()


async def test_a_kubelet_that_does_not_tell_what_it_offers_still_tells_owners(
    tmp_path: Path, kubelet: FakeKubelet
) -> None:
    """As from 1.21 to 1.22, whose feature gate answers so."""
    kubelet.containers, kubelet.refuses_offered = [TRITON], grpc.StatusCode.UNKNOWN
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        assert await agent.values("triton_gpu_owner", "pod") == {("triton-0",): 1}
        assert await agent.problems() == set()


async def test_a_gpu_that_the_kubelet_does_not_offer_is_told(tmp_path: Path, kubelet: FakeKubelet) -> None:
    kubelet.offered = [f"{WHOLE[0].uuid}::0"]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        assert await agent.problems() == {("not_offered", "1")}


async def test_a_device_that_nvml_does_not_show_is_told(tmp_path: Path, kubelet: FakeKubelet) -> None:
    kubelet.containers = [FakeContainer("a", "one", "triton", ["GPU-of-another-node"])]
    async with running_agent(tmp_path, table(WHOLE), kubelet) as agent:
        assert await agent.problems() == {("unknown_device", "")}
