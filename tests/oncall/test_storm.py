"""A thousand alerts in ten seconds over fifty workloads that have one cause; a fifth of it runs with every `make test`, and
all of it with `make storm`: Slack takes a message a second."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.cri import cri_lines
from tests.controlplane.kubelet import crash_loop
from tests.local_process import eventually
from tests.oncall.fleet import Fleet, deployment
from tests.oncall.on_call_service import OnCallService, alert, children, on_call
from tests.slack.slack_api import SlackApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

NAMESPACE = "storm"
AT_ONCE = 2
MOST_MEGABYTES = 200
"""Of the service itself, beside its triages."""
LOG = (
    b"E1130 02:41:00.100000 1 model_lifecycle.cc:642] "
    b"\"failed to load 'resnet50' version 1: Internal: ModuleNotFoundError: No module named 'torch'\"\n"
)


@pytest.mark.parametrize(
    ("workloads", "alerts", "seconds"),
    [(5, 200, 2.0), pytest.param(50, 1000, 10.0, marks=[pytest.mark.accuracy, pytest.mark.timeout(600)])],
)
async def test_a_storm_is_one_incident_a_workload_and_its_cause_is_told_once(
    workloads: int,
    alerts: int,
    seconds: float,
    control_plane: ControlPlane,
    fleet: Fleet,
    slack: SlackApi,
    tmp_path: Path,
) -> None:
    await control_plane.create_namespace(NAMESPACE)
    names = [f"web-{number}" for number in range(workloads)]
    await control_plane.api.apply([deployment(NAMESPACE, name=name, replicas=1) for name in names])
    await crash_all(control_plane, workloads)
    tritons = {"namespaces": [NAMESPACE], "unready_after": "1h"}
    async with on_call(tmp_path, fleet, slack, tritons=tritons, at_once=AT_ONCE) as oncall:
        await oncall.until_ready()
        most = Most()
        watching = asyncio.create_task(most.watch(oncall))
        began = time.monotonic()
        answers = await storm(oncall, names, alerts, seconds)
        taken_seconds = time.monotonic() - began
        assert set(answers) == {200}
        assert len(oncall.incidents()) == workloads

        async def all_done() -> bool:
            incidents = await asyncio.to_thread(oncall.incidents)
            # Whose cause is another's too is found out just after a report is stored.
            alone = [one for one in incidents if not one["same_as"]]
            done = all(one["work"] == "done" for one in incidents)
            return (
                done
                and len(slack.messages) > 0
                and len(alone) == 1
                and len(alone[0]["also"]) == workloads - 1
            )

        await eventually(all_done, seconds=240)
        watching.cancel()
        incidents = oncall.incidents()
        assert len(incidents) == workloads
        assert {one["report"]["verdict"]["category"] for one in incidents} == {"runtime_version"}
        told = [one for one in incidents if not one["same_as"]]
        assert len(told) == 1
        assert len(told[0]["also"]) == workloads - 1
        assert {one["same_as"] for one in incidents} == {"", told[0]["name"]}
        print(
            f"storm: {alerts} alerts taken in {taken_seconds:.1f} s, {workloads} incidents, at most {most.children} "
            f"triages at once, {most.megabytes} MB"
        )
        assert most.children <= AT_ONCE
        assert most.megabytes <= MOST_MEGABYTES

        async def linked() -> bool:
            roots = [one for messages in slack.messages.values() for one in messages if one.part == "root"]
            details = [
                one for messages in slack.messages.values() for one in messages if one.part == "details"
            ]
            follow = [one for one in roots if one.incident != told[0]["name"]]
            return (
                len(roots) == workloads
                and [one.incident for one in details] == [told[0]["name"]]
                and all("/archives/" in str(one.blocks) for one in follow)
            )

        await eventually(linked, seconds=240)
        assert not slack.wrong
    await control_plane.delete_namespace(NAMESPACE)


async def storm(oncall: OnCallService, names: list[str], alerts: int, seconds: float) -> list[int]:
    """Two notifications of each workload, evenly spread."""
    notifications = 2 * len(names)

    async def send(number: int) -> int:
        await asyncio.sleep(number * seconds / notifications)
        name = names[number % len(names)]
        told = [
            alert(
                f"TritonAlert{kind}",
                namespace=NAMESPACE,
                workload=name,
                fingerprint=f"{name}-{number}-{kind}",
            )
            for kind in range(alerts // notifications)
        ]
        return await oncall.send(*told)

    return await asyncio.gather(*(send(number) for number in range(notifications)))


@dataclass
class Most:
    """What was seen at most: triages at once, and the service's own memory."""

    children: int = 0
    megabytes: int = 0

    async def watch(self, oncall: OnCallService) -> None:
        """Runs until cancelled."""
        assert oncall.process is not None
        while True:
            self.children = max(self.children, len(await children(oncall)))
            self.megabytes = max(self.megabytes, resident(oncall.process.pid))
            await asyncio.sleep(0.05)


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


async def crash_all(control_plane: ControlPlane, pods: int) -> None:
    """Every pod's server ended, with the same words in its log."""

    async def there() -> bool:
        return len(await control_plane.api.list("v1", "Pod", NAMESPACE)) == pods

    await eventually(there, seconds=60)
    for pod in await control_plane.api.list("v1", "Pod", NAMESPACE):
        name = pod["metadata"]["name"]
        file = await control_plane.kubelet.log_file(NAMESPACE, name, "triton", previous=True)
        await asyncio.to_thread(file.write_bytes, cri_lines(LOG))
        await control_plane.kubelet.report(NAMESPACE, name, crash_loop("triton", exit_code=1))
