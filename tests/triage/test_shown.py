"""Facts beside a verdict: what each says, that it is told only where it belongs, and that a missing source is unknown."""

import msgspec
import pytest

from tests.triage.snapshots import RULES, container, evidence, failed, gone, log, own, pod, report
from triage.answers import Answer, view_of
from triage.case import make_case, primary
from triage.cluster_views import Nodes, NodeView
from triage.evidence import (
    ContainerUse,
    ContainerView,
    Evidence,
    GpuHolder,
    GpuHolders,
    GpuMemory,
    GpuUse,
    LogExcerpt,
    LogLine,
    Missing,
    MountView,
    PodUse,
    PodView,
    ProbeView,
    VolumeView,
)
from triage.shown import SHOWN, spell
from triage.tree import Test, TestKind

NOW = "2026-07-28T12:00:00Z"  # when every evidence here was fetched
ALL = ("log", "index", "pod", "use", "node", "gpu_memory", "gpu_holders", "helper_log")
HANGS = container(began_at="2026-07-28T11:48:00Z", restarts=2)


def shown(kind: TestKind, *found: Evidence) -> Answer:
    case = make_case("web-1", found, RULES.signatures)
    return SHOWN[kind](Test(kind=kind, reads=ALL), view_of(case, primary(case)))


def told(id: str, probe: str, facts: object) -> Evidence:
    return evidence(f"{id}:web-1", probe, facts, pod="web-1")  # type: ignore[arg-type]


def used(cores: float) -> Evidence:
    use = PodUse(NOW, 30.0, (ContainerUse("proxy", 9.0, 1), ContainerUse("triton", cores, 1)))
    return told("use", "use", use)


@pytest.mark.parametrize(
    ("cores", "said"),
    [(0.0007, "it waits for something"), (0.049, "it waits"), (0.05, "does a little"), (0.69, "a little"), (0.7, "computes")],
)  # fmt: skip
def test_cpu_tells_who_waits_from_who_computes(cores: float, said: str) -> None:
    answer = shown("at_work", pod("web-1", HANGS), used(cores))
    assert (answer.value, said in answer.because) == ("yes", True)


@pytest.mark.parametrize("reason", ["forbidden", "not_found", "timeout"])
def test_cpu_that_nobody_tells_is_unknown_and_not_none(reason: str) -> None:
    answer = shown("at_work", pod("web-1", HANGS), gone("use", reason, "web-1"))
    assert answer.value == "unknown"


def test_a_hang_is_told_by_its_times_and_its_port() -> None:
    lines = LogExcerpt((LogLine(1, own("loading: m:1", "I")),), 1, 1, ends_at="2026-07-28T11:49:30Z")
    closed = evidence(
        "index:web-1", "index", None, Missing("not_started", "nobody listens on port 8000", "wait"), "web-1"
    )
    answer = shown("quiet", pod("web-1", HANGS), told("log", "log", lines), closed)
    # The log's id names no container here, so that its last line is nobody's.
    assert (
        answer.because == "container triton has run for 12 min after 2 restarts; nobody listens on port 8000"
    )
    named = msgspec.structs.replace(told("log", "log", lines), id="log:web-1/triton")
    answer = shown("quiet", pod("web-1", HANGS), named, closed)
    assert "; its last line came 10 min ago; nobody" in answer.because
    assert answer.evidence == ("pod:web-1", "log:web-1/triton", "index:web-1")


def test_what_does_not_run_is_not_quiet() -> None:
    assert shown("quiet", pod("web-1", container("waiting: CrashLoopBackOff"))).value == "no"
    assert shown("quiet").value == "unknown"


PATIENT = container(
    began_at="2026-07-28T11:59:00Z",
    probes=(ProbeView("liveness", "TCP :8000"), ProbeView("startup", "GET :8000/ready", 5, 10, 1, 30)),
)


def test_the_startup_probe_s_time_is_told_against_the_run() -> None:
    answer = shown("probe_time", pod("web-1", PATIENT))
    assert answer.because == (
        "the startup probe of container triton (GET :8000/ready) gives up 305 s after the start (5 s + 30 x 10 s);"
        " it has run for 60 s"
    )


def test_probes_are_told_only_where_the_failure_is_about_one() -> None:
    killed = container(
        "terminated: OOMKilled",
        exit_code=137,
        ended_by="OOMKilled",
        limits={"memory": "2Gi"},
        probes=PATIENT.probes,
    )
    assert shown("probe_time", pod("web-1", killed)).value == "no"
    assert (
        shown("memory_limit", pod("web-1", killed)).because == "the memory limit of container triton is 2Gi"
    )
    unlimited = msgspec.structs.replace(killed, limits={})
    assert "has no memory limit" in shown("memory_limit", pod("web-1", unlimited)).because
    assert shown("memory_limit", pod("web-1", HANGS)).value == "no"


def of_line(line: str, triton: ContainerView, *volumes: VolumeView) -> tuple[Evidence, Evidence]:
    facts = PodView("prod", "web-1", "Running", False, containers=(triton,), volumes=volumes)
    return told("pod", "pod", facts), log(own("loading: m:1", "I"), own(line), failed("m", line), pod="web-1")


def test_gpus_are_told_only_where_the_line_is_about_one() -> None:
    about = "device memory ran out"
    assert shown("gpus_asked", *of_line(about, container())).value == "yes"
    assert (
        shown("gpus_asked", *of_line(about, container(limits={"nvidia.com/mig-1g.5gb": "1"}))).value == "no"
    )
    assert shown("gpus_asked", *of_line("no version of 'm'", container())).value == "no"
    assert shown("gpus_asked", *of_line(about, container(limits={"nvidia.com/gpu": "0"}))).value == "yes"


def test_dev_shm_is_told_only_where_the_line_is_about_it() -> None:
    mounted = container(mounts=(MountView("shm", "/dev/shm/"),))
    assert shown("shared_memory", *of_line("no version of 'm'", mounted)).value == "no"


@pytest.mark.parametrize(
    ("node", "value", "said"),
    [
        (NodeView("n", True), "no", "node n is ready and under no pressure"),
        (NodeView("n", False, taints=("a:NoExecute",)), "yes", "node n is not ready, has taint a:NoExecute"),
        (NodeView("n", True, pressures=("MemoryPressure",)), "yes", "node n has MemoryPressure"),
        (NodeView("n", True, taints=("gpu=true:NoSchedule",)), "no", "node n is ready and under no pressure"),
    ],
)
def test_a_node_is_told_where_something_is_wrong_with_it(node: NodeView, value: str, said: str) -> None:
    answer = shown("node", told("node", "node", Nodes((node,))))
    assert (answer.value, answer.because) == (value, said)


def test_gpus_that_others_were_given_are_told_and_one_s_own_are_not() -> None:
    memory = told("gpu_memory", "gpu_memory", GpuMemory((GpuUse("GPU-1", 2.0**30, 2.0**34),)))
    mine = told("gpu_holders", "gpu_holders", GpuHolders("n", (GpuHolder("prod", "web-1", 1),)))
    theirs = told(
        "gpu_holders", "gpu_holders", GpuHolders("n", (GpuHolder("prod", "web-1", 1), GpuHolder("a", "b", 1)))
    )
    assert shown("gpu_memory", memory, mine).because == "1.0 of 16.0 GiB of GPU-1 are used"
    assert shown("gpu_memory", memory, theirs).because.endswith("; on node n GPUs were given to a/b too")
    assert shown("gpu_memory", mine).value == "no"
    assert shown("gpu_memory", gone("gpu_memory", "forbidden", "web-1")).value == "unknown"


FETCH = container("terminated: Completed, exit code 0", name="fetch", init=True, ready=True, exit_code=0)
WARNED = LogExcerpt((LogLine(1, "device memory ran out"),), 1, 1)


def test_what_a_helper_said_is_told_and_never_the_cause_of_a_server_that_is_well() -> None:
    helper = evidence("helper_log:web-1/fetch", "helper_log", WARNED, pod="web-1")
    well = log(
        own("successfully loaded 'm'", "I"), own("Started HTTPService at 0.0.0.0:8000", "I"), pod="web-1"
    )
    healthy = report(pod("web-1", FETCH, container(ready=True), is_ready=True), helper, well)
    assert healthy.verdict.category == "not_a_load_failure"
    broken = report(pod("web-1", FETCH, container()), helper, log(failed("m", "Internal: y"), pod="web-1"))
    assert (broken.verdict.category, broken.verdict.confidence) == ("gpu_memory", "possible")
    named = report(
        pod("web-1", FETCH, container()), helper, log(failed("m", "no version of 'm'"), pod="web-1")
    )
    assert named.verdict.category == "repository_layout"


def test_the_words_of_a_helper_are_never_taken_for_triton_s() -> None:
    """It may print what looks like Triton's own line."""
    forged = LogExcerpt((LogLine(1, failed("m", "device memory ran out")),), 1, 1)
    helper = evidence("helper_log:web-1/fetch", "helper_log", forged, pod="web-1")
    fetch = container("terminated: Error, exit code 1", name="fetch", init=True, exit_code=1)
    held_up = report(pod("web-1", fetch, container("waiting: PodInitializing")), helper)
    assert (held_up.verdict.category, held_up.verdict.confidence) == ("gpu_memory", "likely")
    assert held_up.verdict.model is None
    alone = report(helper)
    assert alone.verdict.category == "cannot_tell"


@pytest.mark.parametrize(("seconds", "said"), [(-3, "0 s"), (45, "45 s"), (720, "12 min"), (12600, "3.5 h")])
def test_times_are_spelled_as_one_says_them(seconds: float, said: str) -> None:
    assert spell(seconds) == said


def test_a_pod_of_another_namespace_and_the_same_name_is_another() -> None:
    both = GpuHolders("n", (GpuHolder("dev", "web-1", 1), GpuHolder("prod", "web-1", 1)))
    found = shown("gpu_memory", pod("web-1", HANGS), told("gpu_holders", "gpu_holders", both))
    assert found.because == "on node n GPUs were given to dev/web-1 too"


def test_of_many_gpus_the_fullest_are_told_and_one_that_triton_cannot_read_is_not_told_as_empty() -> None:
    gpus = [GpuUse(f"GPU-{number}", number * 2.0**30, 2.0**34) for number in range(1, 7)]
    memory = told("gpu_memory", "gpu_memory", GpuMemory((*gpus, GpuUse("GPU-0", 0.0, 0.0))))
    said = shown("gpu_memory", memory).because.split("; ")
    assert said == [
        "Triton cannot read how full GPU-0 is",
        *(f"{number}.0 of 16.0 GiB of GPU-{number} are used" for number in (6, 5, 4)),
        "3 more are less full",
    ]
