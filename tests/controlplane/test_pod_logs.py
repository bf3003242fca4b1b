"""Simulated pods tell what a test lets them tell, through the real API server and the real kubectl."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import ApiRefused, Object
from tests.controlplane.kubelet import HELD, crash_loop, running, terminated, waiting

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "pod-logs"
FAILED_LOAD = """\
I1122 12:00:00.000001 1 model_lifecycle.cc:472] "loading: llm:1"
E1122 12:00:01.000001 1 model_lifecycle.cc:654] "failed to load 'llm' version 1: Internal: no space, Gerät \N{BOXING GLOVE}"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(control_plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    """With a namespace that this module's tests share; each takes pods of its own."""
    await control_plane.create_namespace(NAMESPACE)
    yield control_plane
    await control_plane.delete_namespace(NAMESPACE)


async def test_kubectl_prints_what_the_container_wrote(plane: ControlPlane) -> None:
    await plane.api.apply([pod("a"), pod("b")])
    for name, container, text in (
        ("a", "triton", FAILED_LOAD),
        ("a", "sidecar", "of a sidecar\n"),
        ("a", "download", "of an init container\n"),
        ("b", "triton", "of another pod, and no newline"),
    ):
        (await plane.kubelet.log_file(NAMESPACE, name, container)).write_bytes(cri_lines(text))
        assert await kubectl(plane, "logs", name, "-c", container) == text


async def test_a_line_longer_than_the_runtimes_buffer_is_printed_whole(plane: ControlPlane) -> None:
    """It is in the file in pieces, cut anywhere in its bytes; `--tail` counts pieces, as a real kubelet's does."""
    text = f"before\n{'é' * 20_000}\nafter\n"
    await plane.api.apply(pod("long"))
    file = await plane.kubelet.log_file(NAMESPACE, "long", "triton")
    file.write_bytes(cri_lines(text))
    assert [line.split(b" ")[2] for line in file.read_bytes().splitlines()] == [b"F", b"P", b"P", b"F", b"F"]
    assert await kubectl(plane, "logs", "long") == text
    assert len(await kubectl(plane, "logs", "long", "--tail=2")) == (40_000 - 2 * 16_384) // 2 + len(
        "\nafter\n"
    )


async def test_the_run_before_the_restart_has_a_log_of_its_own(plane: ControlPlane) -> None:
    await plane.api.apply(pod("restarted"))
    now = await plane.kubelet.log_file(NAMESPACE, "restarted", "triton")
    now.write_bytes(cri_lines("this run\n"))
    log = f"/api/v1/namespaces/{NAMESPACE}/pods/restarted/log"
    before = {"container": "triton", "previous": "true"}
    with pytest.raises(ApiRefused, match=r"400 .*no such file") as refused:
        await plane.api.call("GET", log, query=before)
    assert refused.value.reason == "BadRequest"
    previous = await plane.kubelet.log_file(NAMESPACE, "restarted", "triton", previous=True)
    previous.write_bytes(cri_lines("the run before\n"))
    assert await kubectl(plane, "logs", "restarted", "--previous") == "the run before\n"
    assert await kubectl(plane, "logs", "restarted") == "this run\n"


async def test_limits_hold_for_the_head_and_the_tail(plane: ControlPlane) -> None:
    await plane.api.apply(pod("limited"))
    file = await plane.kubelet.log_file(NAMESPACE, "limited", "triton")
    file.write_bytes(cri_lines("one\ntwo\nthree\n"))
    assert await kubectl(plane, "logs", "limited", "--limit-bytes=5") == "one\nt"
    assert await kubectl(plane, "logs", "limited", "--tail=2") == "two\nthree\n"
    file.write_bytes(file.read_bytes() + cri_lines("four\n"))
    assert await kubectl(plane, "logs", "limited", "--tail=1") == "four\n"


async def test_a_log_file_is_given_to_the_pods_own_containers_alone(plane: ControlPlane) -> None:
    await plane.api.apply(pod("strict"))
    with pytest.raises(ValueError, match="pod pod-logs/strict has no container 'tritn'"):
        await plane.kubelet.log_file(NAMESPACE, "strict", "tritn")


async def test_a_crash_loop_stays_until_the_test_ends_it(plane: ControlPlane) -> None:
    await plane.api.apply(pod("crashing"))
    await plane.kubelet.report(NAMESPACE, "crashing", crash_loop("triton", exit_code=137, reason="OOMKilled"))
    assert await said_later(plane, "crashing") == (
        "Running",
        "False containers with unready status: [triton]",
        {"triton": "waiting CrashLoopBackOff after OOMKilled 137, 5 restarts", "sidecar": "running ready"},
    )
    assert "1/2     CrashLoopBackOff" in await kubectl(plane, "get", "pod", "crashing")
    await plane.kubelet.report(NAMESPACE, "crashing", running("triton", restart_count=6))
    assert (await said_later(plane, "crashing"))[1] == "True "


async def test_a_container_that_never_ran_keeps_its_pod_pending(plane: ControlPlane) -> None:
    """kwok would make such a pod ready at once."""
    await plane.api.apply([pod("unpulled"), pod("held", annotations={HELD: "held"})])
    backing_off = waiting("triton", "ImagePullBackOff", 'Back-off pulling image "triton"')
    await plane.kubelet.report(NAMESPACE, "unpulled", backing_off)
    await plane.kubelet.report(NAMESPACE, "held", terminated("download", exit_code=1))
    assert (await said_later(plane, "unpulled"))[::2] == (
        "Pending",
        {"triton": "waiting ImagePullBackOff", "sidecar": "running ready"},
    )
    assert (await said_later(plane, "held"))[::2] == (
        "Pending",
        {"triton": "waiting PodInitializing", "sidecar": "waiting PodInitializing"},
    )
    assert "Init:Error" in await kubectl(plane, "get", "pod", "held")


async def test_a_held_pod_can_still_be_deleted(plane: ControlPlane) -> None:
    await plane.api.apply(pod("goner"))
    await plane.kubelet.report(NAMESPACE, "goner", running("triton", ready=False))
    await kubectl(plane, "delete", "pod", "goner", "--timeout=20s")
    assert not await plane.api.list("v1", "Pod", NAMESPACE, fields="metadata.name=goner")


async def test_events_are_found_by_the_pods_uid(plane: ControlPlane) -> None:
    (made,) = await plane.api.apply(pod("eventful"))
    words = "Back-off restarting failed container triton"
    await plane.kubelet.event(NAMESPACE, "eventful", "BackOff", words, count=12, container="triton")
    about = f"involvedObject.uid={made['metadata']['uid']}"
    found = await plane.api.list("v1", "Event", NAMESPACE, fields=about)
    assert [(event["reason"], event["message"], event["count"]) for event in found] == [
        ("BackOff", words, 12)
    ]


async def said_later(plane: ControlPlane, name: str) -> tuple[str, str, dict[str, str]]:
    """Phase, Ready condition and containers, once kwok has had time to undo them: it has made a later pod ready meanwhile."""
    canary = f"{name}-canary"
    await plane.api.apply(pod(canary))
    async with asyncio.timeout(20):
        async for _, found in plane.api.watch("v1", "Pod", NAMESPACE, fields=f"metadata.name={canary}"):
            if found["status"].get("phase") == "Running":
                break
    status = (await plane.api.get("v1", "Pod", name, NAMESPACE))["status"]
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    containers = {each["name"]: said(each) for each in status["containerStatuses"]}
    return status["phase"], f"{ready['status']} {ready.get('message', '')}", containers


def said(status: Object) -> str:
    ((state, told),) = status["state"].items()
    words = f"{state} {told.get('reason', '')}".strip()
    if ended := status["lastState"].get("terminated"):
        words += f" after {ended['reason']} {ended['exitCode']}, {status['restartCount']} restarts"
    return words + (" ready" if status["ready"] else "")


async def kubectl(plane: ControlPlane, *arguments: str) -> str:
    """What it prints; it must not fail."""
    process = await asyncio.create_subprocess_exec(
        plane.kubectl,
        f"--kubeconfig={plane.kubeconfig}",
        f"--namespace={NAMESPACE}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors
    return output.decode()


def pod(name: str, **metadata: object) -> Object:
    """With an init container, Triton and a sidecar."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {
            "nodeName": "node-0",
            "initContainers": [{"name": "download", "image": "download"}],
            "containers": [{"name": "triton", "image": "triton"}, {"name": "sidecar", "image": "sidecar"}],
        },
    }
