"""`triton-triage p99` on real incidents, end to end: a real API server rolls out, real Tritons serve, a real Prometheus keeps the
history, and the command is run as a person on call would, with the rights that one has.

Two incidents run side by side, since both are mostly waiting: a version that is slower, and more work than the fleet can do
shortly after a rollout that is innocent. What came of every command is kept; each test is a claim about that."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.latency.fleet_under_load import PROMPT_DISCOVERY, Fleet, fleet_under_load, pod_of
from tests.latency.on_call import NO_RIGHTS, on_call
from tests.latency.triage_process import Ended, triage, triage_at_a_terminal
from tests.local_process import eventually
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model
from triage.bundle import load_bundle
from triage.evidence import Missing, Snapshot
from triage.report import Report
from triage.report_of import report_of

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SLOWER, BUSIER = "p99-slower", "p99-busier"
CALM_SECONDS = 20.0
INCIDENT_SECONDS = 14.0
BUDGET_SECONDS = 25.0
FOUND, CANNOT_TELL = 1, 3
CLUSTER = ("cluster_events", "placements", "rollouts", "hpa", "nodes")
MOST_QUERIES = 60
NOBODY_TELLS = ("how large requests are", "who sends the added requests", "what added capacity takes")
"""There is no gateway, and simulated pods are ready as they start."""


@dataclass(frozen=True)
class Incident:
    began: float
    """When requests really became slow, in seconds since 1970; no triage is told."""
    asked: Ended
    """By somebody with the rights that are needed, with everything there is to ask."""
    forbidden: Ended
    """By somebody whom the cluster answers nothing."""
    bundle: Path


@dataclass(frozen=True)
class Night:
    slower: Incident
    busier: Incident
    history: Ended
    """The slower version, asked of Prometheus alone."""
    queries: int
    """That Prometheus answered for it."""
    stopped: Ended
    """The same, once there was no Prometheus any more."""
    first_line: str
    """What somebody at a terminal sees whose Prometheus never answers."""
    while_looking: bool
    """Whether that was there before the report."""
    hung: Ended


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def night(
    control_plane: ControlPlane,
    triton_install: TritonInstall,
    prometheus_tools: PrometheusTools,
    tmp_path_factory: pytest.TempPathFactory,
) -> Night:
    folder = tmp_path_factory.mktemp("night")
    prometheus = PrometheusServer(prometheus_tools, folder / "prometheus", arguments=PROMPT_DISCOVERY)
    async with (
        fleet_under_load(
            control_plane, triton_install, folder / SLOWER, namespace=SLOWER, model=sleeping(40, instances=2)
        ) as slower,
        fleet_under_load(
            control_plane, triton_install, folder / BUSIER, namespace=BUSIER, model=sleeping(100)
        ) as busier,
    ):
        async with prometheus:
            fleets = [slower, busier]
            finding = [asyncio.create_task(fleet.find_targets(prometheus, fleets)) for fleet in fleets]
            await slower.until_ready()
            await busier.until_ready()
            slower.send(per_second=10)
            busier.send(per_second=6)
            await eventually(partial(has_rates, prometheus), seconds=60)
            start = time.time()
            async with asyncio.TaskGroup() as group:
                first = group.create_task(gets_slower(slower, prometheus, start))
                second = group.create_task(gets_busier(busier, prometheus, start))
                hung = group.create_task(nobody_answers(slower))
            window = f"{start:.0f}..now"
            alone = ("p99", "-n", SLOWER, "--window", window, "--prometheus", prometheus.url)
            queries = await prometheus.queries()
            history = await triage(*alone, "-o", "json")
            queries = await prometheus.queries() - queries
            for task in finding:
                task.cancel()
        stopped = await triage(*alone)
    line, looking, ended = hung.result()
    return Night(first.result(), second.result(), history, queries, stopped, line, looking, ended)


async def has_rates(prometheus: PrometheusServer) -> bool:
    """Whether all pods are known so well that none looks new in a window that starts now."""
    counted = "min(count_over_time(nv_inference_request_success[1h]))"
    found = await prometheus.ask("query", query=f"{counted} and count(nv_inference_request_success) == 4")
    return any(float(row["value"][1]) >= 6 for row in found["result"])


def sleeping(milliseconds: int, *, version: int = 1, instances: int = 1) -> Model:
    parameters = {"service_ms": str(milliseconds)}
    return Model("slow", versions=(version,), instances=instances, parameters=parameters)


async def gets_slower(fleet: Fleet, prometheus: PrometheusServer, start: float) -> Incident:
    await asyncio.sleep(CALM_SECONDS)
    fleet.serve_from_now_on(sleeping(140, version=2, instances=2))
    began = await fleet.roll_out({"spec": pod_of("web:2")})
    await asyncio.sleep(max(0.0, began + INCIDENT_SECONDS - time.time()))
    return await asked(fleet, prometheus, start, began)


async def gets_busier(fleet: Fleet, prometheus: PrometheusServer, start: float) -> Incident:
    """Twenty a second are what it can do. The rollout changes nothing that a request could feel."""
    await asyncio.sleep(CALM_SECONDS / 2)
    await fleet.roll_out({"metadata": {"labels": {"team": "search"}}})
    await asyncio.sleep(5.0)
    began = fleet.send(per_second=20)
    await asyncio.sleep(INCIDENT_SECONDS)
    return await asked(fleet, prometheus, start, began)


async def asked(fleet: Fleet, prometheus: PrometheusServer, start: float, began: float) -> Incident:
    bundle = fleet.folder / "bundle.json.gz"
    words: list[str | Path] = [
        "p99",
        "deploy/web",
        "-n",
        fleet.namespace,
        "--window",
        f"{start:.0f}..now",
        "-o",
        "json",
    ]
    words += ["--prometheus", prometheus.url, "--capture", "3s", *fleet.addresses()]
    may = await on_call(fleet.control_plane, fleet.namespace, "on-call")
    may_not = await on_call(fleet.control_plane, fleet.namespace, "stranger", NO_RIGHTS)
    async with asyncio.TaskGroup() as group:
        seen = group.create_task(triage(*words, "--kubeconfig", may, "--save", bundle))
        unseen = group.create_task(triage(*words, "--kubeconfig", may_not))
    return Incident(began, seen.result(), unseen.result(), bundle)


async def nobody_answers(fleet: Fleet) -> tuple[str, bool, Ended]:
    kubeconfig = await on_call(fleet.control_plane, fleet.namespace, "early")
    async with silence() as url:
        words = ("p99", "deploy/web", "-n", fleet.namespace, "--prometheus", url, "-o", "json")
        return await triage_at_a_terminal(*words, "--kubeconfig", kubeconfig)


@asynccontextmanager
async def silence() -> AsyncIterator[str]:
    """A server that takes every request and never answers."""

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())


async def test_a_version_that_is_slower_is_named_with_its_date_and_the_command_that_holds_the_rollout(
    night: Night,
) -> None:
    report = night.slower.asked.report
    assert night.slower.asked.code == FOUND
    assert (report.verdict.category, report.verdict.also) == ("slower_version", ())
    assert report.verdict.confidence in ("confirmed", "likely")
    assert report.verdict.model == "slow"
    assert onset(report) == pytest.approx(night.slower.began, abs=3)
    assert report.freeze is not None
    assert report.freeze.startswith("kubectl --kubeconfig ")  # of the cluster that was looked at
    assert report.freeze.endswith(f" -n {SLOWER} rollout pause deployment/web")
    rollout = "deployment/web revision 2: image of triton: web:1 -> web:2"
    assert [moment.evidence for moment in report.timeline if moment.what == rollout] == ["rollouts"]


async def test_more_work_than_the_fleet_can_do_is_not_blamed_on_the_rollout_before_it(night: Night) -> None:
    report = night.busier.asked.report
    assert night.busier.asked.code == FOUND
    assert (report.verdict.category, report.verdict.also) == ("overload", ())
    assert onset(report) == pytest.approx(night.busier.began, abs=3)
    rollout = "deployment/web revision 2: label team added"
    assert [moment.evidence for moment in report.timeline if moment.what == rollout] == ["rollouts"]
    assert report.freeze is not None
    assert report.freeze.endswith(f" -n {BUSIER} rollout pause deployment/web")


@pytest.mark.parametrize("name", ["slower", "busier"])
async def test_nothing_is_unseen_but_what_nobody_measures_here_and_the_nodes(night: Night, name: str) -> None:
    """The namespace's rights do not reach the nodes."""
    incident: Incident = getattr(night, name)
    assert [
        row
        for row in incident.asked.report.unseen
        if not (row.reason == "no_series" and row.what.startswith(("Prometheus at", "metrics of Triton at")))
        and row.what not in NOBODY_TELLS
        and (row.what, row.reason) != ("nodes of deploy/web", "forbidden")
    ] == []


@pytest.mark.parametrize("name", ["slower", "busier"])
async def test_a_replay_gives_the_same_bytes(night: Night, name: str) -> None:
    incident: Incident = getattr(night, name)
    again = await triage("replay", incident.bundle, "-o", "json")
    assert (again.code, again.output) == (incident.asked.code, incident.asked.output)


@pytest.mark.parametrize("forbidden", [*([probe] for probe in CLUSTER), CLUSTER], ids="-".join)
@pytest.mark.parametrize("name", ["slower", "busier"])
async def test_without_a_right_the_cause_stays_or_cannot_be_told(
    night: Night, name: str, forbidden: Sequence[str]
) -> None:
    incident: Incident = getattr(night, name)
    snapshot, rules = load_bundle(incident.bundle)
    verdict = report_of(without(snapshot, forbidden), rules).verdict
    assert verdict.category in (incident.asked.report.verdict.category, "cannot_tell")


@pytest.mark.parametrize("name", ["slower", "busier"])
async def test_somebody_whom_the_cluster_refuses_everything_is_told_so_and_no_other_cause(
    night: Night, name: str
) -> None:
    incident: Incident = getattr(night, name)
    report = incident.forbidden.report
    assert report.verdict.category in (incident.asked.report.verdict.category, "cannot_tell")
    refused = " ".join(row.what for row in report.unseen if row.reason == "forbidden")
    for what in ("events", "pods", "rollouts", "autoscaler", "nodes"):
        assert f"{what} of deploy/web" in refused
    assert report.freeze is None


async def test_the_history_alone_shows_the_same_cause_for_a_bounded_number_of_queries(night: Night) -> None:
    print(f"p99 asked Prometheus {night.queries} queries")
    assert night.history.report.verdict.category == "slower_version"
    assert 0 < night.queries <= MOST_QUERIES


async def test_without_its_only_source_it_cannot_tell_and_says_what_to_mend(night: Night) -> None:
    text = night.stopped.output.decode()
    assert night.stopped.code == CANNOT_TELL
    assert text.startswith("CANNOT TELL why requests are slow: no source told how requests fare.")
    assert "cannot be reached" in text
    assert "Traceback" not in text + night.stopped.talk


async def test_a_prometheus_that_never_answers_costs_no_more_than_the_budget(night: Night) -> None:
    assert night.first_line.startswith("looking, for at most 25 s")
    assert night.while_looking
    report = night.hung.report
    assert (night.hung.code, report.verdict.category) == (CANNOT_TELL, "cannot_tell")
    assert report.took_seconds <= BUDGET_SECONDS
    assert [row.reason for row in report.unseen if row.what.startswith("Prometheus at")] == ["timeout"]
    assert [moment.evidence for moment in report.timeline] == ["cluster_events"]


def onset(report: Report) -> float | None:
    return report.onset.at if report.onset else None


def without(snapshot: Snapshot, probes: Sequence[str]) -> Snapshot:
    """As it would be if the cluster had refused these."""
    refused = Missing("forbidden", "403", "add to the Role")
    evidence = tuple(
        msgspec.structs.replace(one, facts=None, missing=refused) if one.probe in probes else one
        for one in snapshot.evidence
    )
    return msgspec.structs.replace(snapshot, evidence=evidence)
