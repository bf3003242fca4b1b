"""The pure core: device ids, owners, what is lost and what an XID counts for."""

import pytest

from telemetry.gpu_agent.devices import Gpu, GpuInstance, mig_profile, throttled
from telemetry.gpu_agent.families import device_families
from telemetry.gpu_agent.owners import DeviceIndex, DeviceKey, Holding, Owner, find_owners
from telemetry.gpu_agent.problems import Problem
from telemetry.gpu_agent.snapshot import MOST_XIDS, FromKubelet, FromNvml, Snapshot, take_snapshot

PLAIN = Gpu(0, "GPU-0a", minor=3)
SLICED = Gpu(1, "GPU-1b", minor=1, mig=True, instances=(GpuInstance(5, "1g.10gb", ("MIG-x", "MIG-y"), None),))
ONE, TWO = Owner("a", "one", "triton"), Owner("b", "two", "triton")


@pytest.mark.parametrize(
    ("resource", "device", "found"),
    [
        ("nvidia.com/gpu", "GPU-0a", DeviceKey("GPU-0a")),
        ("nvidia.com/gpu.shared", "GPU-0a::7", DeviceKey("GPU-0a")),
        ("example.com/renamed", "GPU-0a", DeviceKey("GPU-0a")),
        ("nvidia.com/mig-1g.10gb", "MIG-y", DeviceKey("GPU-1b", 5)),
        ("nvidia.com/mig-1g.10gb", "MIG-y::2", DeviceKey("GPU-1b", 5)),
        ("nvidia.com/mig-1g.10gb", "MIG-GPU-1b/5/0", DeviceKey("GPU-1b", 5)),
        ("nvidia.com/gpu", "nvidia3", DeviceKey("GPU-0a")),
        ("nvidia.com/gpu", "nvidia3/vgpu1", DeviceKey("GPU-0a")),
        ("nvidia.com/gpu", "nvidia1/gi5", DeviceKey("GPU-1b", 5)),
        ("nvidia.com/gpu", "nvidia1/gi5/vgpu0", DeviceKey("GPU-1b", 5)),
        ("gpu.nvidia.com", "gpu-3", DeviceKey("GPU-0a")),
        ("gpu.nvidia.com", "gpu-1-mig-19-4-1", None),
        ("nvidia.com/gpu", "GPU-0", None),
        ("nvidia.com/gpu", "nvidia0", None),
        ("nvidia.com/gpu", "MIG-GPU-ff/5/0", None),
        ("example.com/nic", "eth0", None),
    ],
)
def test_a_device_is_found_by_what_plugins_call_it(
    resource: str, device: str, found: DeviceKey | None
) -> None:
    assert DeviceIndex([PLAIN, SLICED]).find(resource, device) == found


def test_a_container_that_holds_two_shares_holds_the_device_alone() -> None:
    owners = find_owners(
        [Holding(ONE, (("nvidia.com/gpu", "GPU-0a::0"), ("nvidia.com/gpu", "GPU-0a::1")))], [PLAIN]
    )
    assert owners.only(DeviceKey("GPU-0a")) == ONE


def test_only_nvidias_devices_can_be_unknown() -> None:
    holding = Holding(
        ONE, (("example.com/nic", "eth0"), ("nvidia.com/gpu", "GPU-z"), ("nvidia.com/hostdev", "h0"))
    )
    assert find_owners([holding], [PLAIN]).unknown == [("GPU-z", ONE)]
    [told] = take_snapshot(Snapshot(), FromNvml([PLAIN]), FromKubelet([holding])).problems
    assert str(told) == "unknown_device: a/one/triton holds GPU-z"


@pytest.mark.parametrize(
    ("slices", "mib", "gpu_mib", "profile"),
    [
        (1, 4864, 40536, "1g.5gb"),  # A100 40 GB: nvidia-smi mig -lgip says 4.75 GiB
        (3, 20096, 40536, "3g.20gb"),
        (7, 40192, 40536, "7g.40gb"),
        (1, 9728, 81920, "1g.10gb"),  # A100 80 GB
        (1, 19968, 81920, "1g.20gb"),
        (7, 80896, 81920, "7g.80gb"),
        (1, 5952, 24576, "1g.6gb"),  # A30
        (0, 9728, 81920, ""),
        (1, 9728, 0, ""),
    ],
)
def test_a_profile_is_called_as_the_device_plugin_calls_it(
    slices: int, mib: int, gpu_mib: int, profile: str
) -> None:
    assert mig_profile(slices, mib, gpu_mib * 2**20) == profile


def test_only_reasons_that_a_gpu_supports_are_told() -> None:
    assert throttled(0x4, 0x5) == {"gpu_idle": False, "sw_power_cap": True}
    assert len(throttled(0x0, None)) == 9
    assert throttled(None, 0xFF) == {}


def test_what_is_not_told_has_no_series() -> None:
    """Neither 0 nor NaN."""
    snapshot = take_snapshot(Snapshot(), FromNvml([PLAIN]), FromKubelet())
    told = {sample.name for family in device_families("n", snapshot) for sample in family.samples}
    assert told == {"triton_gpu_xid_watched"}


def test_with_no_driver_no_gpu_is_lost() -> None:
    """They were not looked at."""
    before = take_snapshot(Snapshot(), FromNvml([PLAIN]), FromKubelet())
    blind = FromNvml(problems=[Problem("no_driver")], answers=False)
    assert take_snapshot(before, blind, FromKubelet()).problems == (Problem("no_driver"),)


def test_a_driver_that_names_no_gpu_is_told() -> None:
    """On a node that was chosen for its GPUs silence would read as GPUs that nobody uses."""
    assert take_snapshot(Snapshot(), FromNvml(), FromKubelet()).problems == (Problem("no_gpu"),)
    refused = FromNvml(problems=[Problem("no_permission", "0")])
    assert take_snapshot(Snapshot(), refused, FromKubelet()).problems == (Problem("no_permission", "0"),)


def test_a_gpu_that_hangs_is_not_lost_as_well() -> None:
    before = take_snapshot(Snapshot(), FromNvml([PLAIN]), FromKubelet())
    hangs = FromNvml(problems=[Problem("nvml_hangs", "0")])
    assert take_snapshot(before, hangs, FromKubelet()).problems == (Problem("nvml_hangs", "0"),)


def test_a_gpu_that_is_gone_is_told_whoever_has_its_numbers_now() -> None:
    """NVML counts anew without it when it is opened again: index and minor number are another GPU's then, with its own problems."""
    first, second = Gpu(0, "GPU-0a", minor=1), Gpu(1, "GPU-1b", minor=0)
    before = take_snapshot(Snapshot(), FromNvml([first, second]), FromKubelet())
    moved = Gpu(0, "GPU-0a", minor=0)
    refused = Problem("no_permission", "0")
    by_minor = FromKubelet([Holding(ONE, (("nvidia.com/gpu", "nvidia0"),))])
    after = take_snapshot(before, FromNvml([moved], [refused]), by_minor)
    assert [(problem.kind, problem.gpu) for problem in after.problems] == [
        ("no_permission", "0"),
        ("gpu_lost", "1"),
    ]
    assert after.owners.by_device == {DeviceKey("GPU-0a"): [ONE]}
    other = take_snapshot(before, FromNvml([Gpu(0, "GPU-1b", minor=0)], [refused]), FromKubelet())
    assert [(problem.kind, problem.gpu) for problem in other.problems] == [
        ("no_permission", "0"),
        ("gpu_lost", "0"),
    ]


def test_an_xid_counts_for_who_held_the_gpu_at_the_look_before() -> None:
    """It often ends its pod at once; the pod that gets the GPU next has had none."""
    before = take_snapshot(Snapshot(), FromNvml([PLAIN]), _holds(ONE))
    after = take_snapshot(before, FromNvml([PLAIN], xids={(0, None, 79): 2}), _holds(TWO))
    later = take_snapshot(after, FromNvml([PLAIN], xids={(0, None, 79): 1}), _holds(TWO))
    assert {at.owner: count for at, count in later.xids.items()} == {ONE: 2, TWO: 1}


def test_an_xid_is_nobodys_where_its_holder_was_not_known() -> None:
    """Who holds the GPU now may have got it since. Of a GPU that was known to be free, who has it now had the error."""
    blind = FromKubelet(problems=[Problem("pod_resources_unreachable")])
    error = FromNvml([PLAIN], xids={(0, None, 79): 1})
    for before, owner in ((blind, None), (FromKubelet(), TWO)):
        then = take_snapshot(Snapshot(), FromNvml([PLAIN]), before)
        assert [at.owner for at in take_snapshot(then, error, _holds(TWO)).xids] == [owner]


def test_xids_of_ever_new_pods_are_kept_by_the_latest() -> None:
    """A job whose every pod has an error would else be one more series for ever, in the agent and in Prometheus."""
    snapshot = Snapshot()
    for pod in range(MOST_XIDS + 1):
        held = _holds(Owner("a", f"job-{pod}", "main"))
        snapshot = take_snapshot(snapshot, FromNvml([PLAIN]), held)
        xid = (0, None, 43 if pod == 0 else 31)
        snapshot = take_snapshot(snapshot, FromNvml([PLAIN], xids={xid: 1}), held)
    assert len(snapshot.xids) == MOST_XIDS
    assert {at.code for at in snapshot.xids} == {31}, "the oldest has gone"


def test_a_gpu_in_mig_mode_is_offered_by_its_instances() -> None:
    offered = [("nvidia.com/mig-1g.10gb", "MIG-x")]
    snapshot = take_snapshot(Snapshot(), FromNvml([PLAIN, SLICED]), FromKubelet(offered=offered))
    assert [(problem.kind, problem.gpu) for problem in snapshot.problems] == [("not_offered", "0")]


@pytest.mark.parametrize("offered", [None, [], [("example.com/nic", "eth0")]])
def test_where_the_kubelet_offers_no_gpu_none_is_missed(offered: list[tuple[str, str]] | None) -> None:
    assert take_snapshot(Snapshot(), FromNvml([PLAIN]), FromKubelet(offered=offered)).problems == ()


def _holds(owner: Owner) -> FromKubelet:
    return FromKubelet([Holding(owner, (("nvidia.com/gpu", "GPU-0a"),))])
