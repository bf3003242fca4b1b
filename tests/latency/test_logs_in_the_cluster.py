"""What Triton's log says of a load while it serves, asked for through a real API server with the rights of somebody on call; and
what its configuration says before and after a change."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.latency.fleet_under_load import SELECTOR, deployment
from tests.latency.on_call import RIGHTS, on_call
from tests.latency.runtime_logs import runtime_logs
from tests.latency.triage_process import Ended, triage
from tests.local_process import eventually
from tests.triage.latency.peers import ask_all
from tests.tritons.install import TritonInstall
from tests.tritons.pods import PodTritons
from tests.tritons.repository import Model, lay_out
from tests.tritons.server import TritonRefused, TritonServer
from triage.bundle import load_bundle
from triage.evidence import Evidence, Facts, LogExcerpt, Missing, Snapshot
from triage.latency.change import Change
from triage.latency.facts import ModelSettings
from triage.latency.incident import Incident
from triage.latency.rules import LatencyRules
from triage.probes.settings import with_settings
from triage.probes.triton_url import triton_questions

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

NAMESPACE = "p99-logs"
WITHOUT_LOGS = {**RIGHTS, "": ("pods", "events")}
NEAR_SECONDS = 0.3
"""The runtime stamps a line when it comes, here some hundredths of a second late."""


@dataclass(frozen=True)
class Looked:
    pod: str
    loads: dict[str, tuple[float, float]]
    """By model, when the load was asked for and when it was answered."""
    asked: Ended
    forbidden: Ended
    snapshot: Snapshot
    changes: list[Change]
    again: dict[str, Facts | Missing]
    """What the server told of its settings before it was given a second instance, and after."""

    @property
    def log(self) -> Evidence:
        return next(one for one in self.snapshot.evidence if one.id == f"log:{self.pod}/triton")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def looked(
    control_plane: ControlPlane, triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Looked]:
    folder = tmp_path_factory.mktemp("logs")
    await control_plane.create_namespace(NAMESPACE)
    workload = deployment(NAMESPACE)
    workload["spec"]["replicas"] = 1
    await control_plane.api.apply(workload)
    repository = lay_out(
        folder / "repository", "slow", Model("slow", name="newcomer"), Model("slow", name="bad")
    )
    (repository / "bad" / "1" / "model.py").write_text("raise ValueError('password=hunter2hunter2')\n")
    arguments = ("--model-control-mode=explicit", "--load-model=slow")
    tritons = PodTritons(control_plane, triton_install, NAMESPACE, SELECTOR, repository, folder, arguments)
    async with tritons, runtime_logs(control_plane, tritons, "triton"):
        await tritons.until(1, seconds=90)
        yield await look(control_plane, tritons, folder)
    await control_plane.delete_namespace(NAMESPACE)


async def look(control_plane: ControlPlane, tritons: PodTritons, folder: Path) -> Looked:
    ((pod, server),) = tritons.servers.items()
    await asyncio.sleep(1.0)  # that the start and the loads while serving are apart
    loads = {}
    for model in ("newcomer", "bad"):
        began = time.time()
        try:
            await server.load(model)
        except TritonRefused:
            assert model == "bad"
        loads[model] = (began, time.time())
    await server.unload("newcomer")
    file = await control_plane.kubelet.log_file(NAMESPACE, pod, "triton")
    await eventually(partial(has, file, b"successfully unloaded 'newcomer'"), seconds=20)
    bundle = folder / "bundle.json.gz"
    words = ["p99", "deploy/web", "-n", NAMESPACE, "--capture", "2s", "-o", "json"]
    words += ["--triton", server.url, "--metrics", server.metrics_url]
    may = await on_call(control_plane, NAMESPACE, "on-call")
    may_not = await on_call(control_plane, NAMESPACE, "no-logs", WITHOUT_LOGS)
    asked = await triage(*words, "--kubeconfig", may, "--save", bundle)
    forbidden = await triage(*words, "--kubeconfig", may_not)
    snapshot, rules = load_bundle(bundle)
    assert isinstance(rules, LatencyRules)
    changes = list(Incident(snapshot, rules.measures, rules.quantities).changes)
    return Looked(pod, loads, asked, forbidden, snapshot, changes, await twice(server))


async def twice(server: TritonServer) -> dict[str, Facts | Missing]:
    async with aiohttp.ClientSession() as session:
        questions = triton_questions(server.url, session)
        questions = with_settings(questions, server.url, session, again_after=0.0)
        first, later = (each for each in questions if each.probe == "index")
        found = await ask_all([first])
        configuration = await server.call("GET", "/v2/models/slow/config")
        configuration["instance_group"][0]["count"] = 2
        await server.load("slow", configuration=json.dumps(configuration))
        return found | await ask_all([later])


async def has(file: Path, text: bytes) -> bool:
    return text in await asyncio.to_thread(file.read_bytes)


async def test_a_load_while_serving_is_a_change_from_its_begin_to_its_end(looked: Looked) -> None:
    (load,) = [c for c in looked.changes if c.kind == "load" and c.model == "newcomer"]
    began, ended = looked.loads["newcomer"]
    assert [load.at, load.latest] == pytest.approx([began, ended], abs=NEAR_SECONDS)
    assert (load.pods, load.evidence) == ((looked.pod,), (looked.log.id,))
    assert load.what.startswith(f"newcomer version 1 loads in {looked.pod}, for ")


async def test_a_load_that_fails_says_why_and_its_secrets_are_masked(looked: Looked) -> None:
    (load,) = [c for c in looked.changes if c.kind == "load" and c.model == "bad"]
    began, ended = looked.loads["bad"]
    assert [load.at, load.latest] == pytest.approx([began, ended], abs=NEAR_SECONDS)
    assert "fails to load" in load.what
    assert "ValueError" in load.what
    assert b"hunter2" not in msgspec.json.encode(looked.snapshot) + looked.asked.output
    assert looked.log.masked > 0


async def test_an_unload_is_a_change_and_what_was_loaded_at_the_start_is_none(looked: Looked) -> None:
    assert [c.model for c in looked.changes if c.kind == "unload" and looked.log.id in c.evidence] == [
        "newcomer"
    ]
    assert [c.model for c in looked.changes if c.kind == "load" and looked.log.id in c.evidence] == [
        "newcomer",
        "bad",
    ]


async def test_of_the_log_is_kept_what_tells_something(looked: Looked) -> None:
    log = looked.log.facts
    assert isinstance(log, LogExcerpt)
    assert (log.cut, 0 < len(log.lines) < log.lines_read) == (False, True)
    assert not any("| Option " in line.text for line in log.lines)


async def test_the_report_tells_the_load_in_its_timeline(looked: Looked) -> None:
    told = [m.what for m in looked.asked.report.timeline if m.evidence == looked.log.id]
    assert any(what.startswith("newcomer version 1 loads in ") for what in told), told


async def test_somebody_who_may_not_read_logs_is_told_the_rule_that_would_let_them(looked: Looked) -> None:
    rows = [row for row in looked.forbidden.report.unseen if row.what.startswith("log of ")]
    assert [(row.reason, row.remedy) for row in rows] == [
        ("forbidden", 'add to the Role: apiGroups: [""], resources: [pods/log], verbs: [get]')
    ]


async def test_settings_that_changed_while_it_was_looked_at_are_told_again(looked: Looked) -> None:
    told = {id: facts.instances for id, facts in looked.again.items() if isinstance(facts, ModelSettings)}
    assert told == {"settings:slow": 1, "settings/later:slow": 2}
