"""A rollout whose new pod cannot load its model, on a real control plane: who serves, whether they stay, and commands that a real
kubectl runs and a real controller obeys."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kube_client import Object
from tests.controlplane.kubelet import HELD, crash_loop
from tests.loadfailures.failure import End, Failure
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Outcomes, Seen
from tests.loadfailures.test_triage_is_right import assert_right
from tests.local_process import eventually
from triage.build_report import build_report
from triage.look import Sources, look
from triage.render_text import render_text
from triage.report import Report

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "rollout-of-a-failure"
FAILURE = next(f for f in FAILURES if f.end is End.ENDED and f.exit_code == 1 and f.cause.model)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(control_plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    await control_plane.create_namespace(NAMESPACE)
    yield control_plane
    await control_plane.delete_namespace(NAMESPACE)


@pytest.mark.parametrize("failure", [FAILURE], ids=str)
async def test_stopped_resumed_and_taken_back(
    failure: Failure, outcomes: Outcomes, plane: ControlPlane
) -> None:
    seen = await outcomes[failure.id]
    await plane.api.apply(deployment("triton:1"))
    await ready(plane, 3)
    await plane.api.apply(deployment("triton:2", held=True))
    pod = await new_pod(plane)
    await be_the_failure(plane, failure, seen, pod)

    report = await ask(seen, plane)
    assert_right(report.verdict, failure, shown=failure.log_shows)
    assert report.verdict.confidence == "confirmed", report.unseen
    assert report.headline.startswith("STOP THE ROLLOUT of deployment/llm, then FIX ")
    assert report.impact[:2] == (
        f"1 of 4 pods not ready: {pod}",
        "3 ready pods of revision 1 still serve: the rollout takes no more of them away while the new pods are not ready",
    )
    changed = "only pods of revision 2 fail, the latest: image of triton: triton:1 -> triton:2"
    assert report.impact[2].startswith(changed)  # and the annotation by which the test holds them
    print(render_text(report, 110))
    stop = report.actions[0]
    assert stop.command is not None
    await run(plane, stop.command)
    paused = await ask(seen, plane)
    assert paused.headline.startswith("FIX ")
    assert "they stay: the rollout is paused" in paused.impact[1]
    await run(plane, stop.undo)
    await run(plane, stop.command)
    # Taken back whether or not it was stopped before: the command is that of the first report.
    back = next(each.command for each in report.actions if " rollout undo " in (each.command or ""))
    assert back is not None
    await run(plane, back)

    async def gone() -> bool:
        pods = await plane.api.list("v1", "Pod", NAMESPACE)
        return {each["spec"]["containers"][0]["image"] for each in pods} == {"triton:1"}

    await eventually(gone, seconds=30)


@pytest.mark.parametrize("failure", [FAILURE], ids=str)
async def test_a_statefulset_is_held_by_its_partition_and_taken_back_with_its_failing_pod(
    failure: Failure, outcomes: Outcomes, plane: ControlPlane
) -> None:
    seen = await outcomes[failure.id]
    await plane.api.apply(statefulset("triton:1"))
    await ready(plane, 2, "StatefulSet", "ranked")
    await plane.api.apply(statefulset("triton:2", held=True))
    pod = await new_pod(plane)
    await be_the_failure(plane, failure, seen, pod)

    report = await ask(seen, plane, "sts/ranked")
    assert report.headline.startswith("STOP THE ROLLOUT of statefulset/ranked, then FIX ")
    stop = report.actions[0].command
    assert stop is not None
    await run(plane, stop)
    held = await ask(seen, plane, "sts/ranked")
    assert held.headline.startswith("FIX ")
    assert "they stay: the partition of statefulset/ranked is 100000" in held.impact[1]

    back = next(each.command for each in held.actions if " rollout undo " in (each.command or ""))
    assert back is not None
    assert back.endswith(f" -n {NAMESPACE} delete pod {pod}")
    await run(plane, back)
    await ready(plane, 2, "StatefulSet", "ranked")
    pods = await plane.api.list("v1", "Pod", NAMESPACE, selector="app=ranked")
    assert {each["spec"]["containers"][0]["image"] for each in pods} == {"triton:1"}


async def be_the_failure(plane: ControlPlane, failure: Failure, seen: Seen, pod: str) -> None:
    file = await plane.kubelet.log_file(NAMESPACE, pod, "triton", previous=True)
    await asyncio.to_thread(file.write_bytes, cri_lines(seen.log))
    assert failure.exit_code is not None
    await plane.kubelet.report(NAMESPACE, pod, crash_loop("triton", exit_code=failure.exit_code))


async def ask(seen: Seen, plane: ControlPlane, target: str = "deploy/llm") -> Report:
    sources = Sources(target=target, namespace=NAMESPACE, kubeconfig=str(plane.kubeconfig))
    return build_report(await look(sources, "", seen.rules, seen.make_seal), seen.rules)


async def ready(plane: ControlPlane, wanted: int, kind: str = "Deployment", name: str = "llm") -> None:
    async def all_ready() -> bool:
        status = (await plane.api.get("apps/v1", kind, name, NAMESPACE)).get("status", {})
        return bool(status.get("availableReplicas") == wanted)

    await eventually(all_ready, seconds=30)


async def new_pod(plane: ControlPlane) -> str:
    found: list[str] = []

    async def there() -> bool:
        pods = await plane.api.list("v1", "Pod", NAMESPACE)
        found[:] = [
            each["metadata"]["name"]
            for each in pods
            if each["spec"]["containers"][0]["image"] == "triton:2" and each["spec"].get("nodeName")
        ]
        return len(found) == 1

    await eventually(there, seconds=30)
    return found[0]


async def run(plane: ControlPlane, command: str) -> None:
    """Pasted into a shell as it stands, with the test's kubectl and its kubeconfig."""
    folder: Path = plane.kubectl.parent
    process = await asyncio.create_subprocess_shell(
        command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={  # kubectl keeps what it discovers at home
            "PATH": f"{folder}:/usr/bin:/bin",
            "KUBECONFIG": str(plane.kubeconfig),
            "HOME": str(plane.kubeconfig.parent),
        },
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


def deployment(image: str, *, held: bool = False) -> Object:
    """`held`: its pods' states are the test's."""
    template: Object = {
        "metadata": {"labels": {"app": "llm"}},
        "spec": {
            "nodeName": "node-0",
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "triton", "image": image}],
            "terminationGracePeriodSeconds": 0,
        },
    }
    if held:
        template["metadata"]["annotations"] = {HELD: "held"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "llm", "namespace": NAMESPACE},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "llm"}}, "template": template},
    }


def statefulset(image: str, *, held: bool = False) -> Object:
    """Of two pods; its controller waits for each before it replaces the next."""
    made = deployment(image, held=held)
    made["kind"], made["metadata"]["name"] = "StatefulSet", "ranked"
    spec = made["spec"]
    spec["selector"]["matchLabels"] = spec["template"]["metadata"]["labels"] = {"app": "ranked"}
    return {**made, "spec": {**spec, "replicas": 2, "serviceName": "ranked"}}
