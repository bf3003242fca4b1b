"""The whole way, on real parts: Tritons with a fault, the autoscaler that tells their models' states, Prometheus with the shipped
alert rules, Alertmanager as the shipped example has it, the API server, `serve` with the rights of its manifests, and a strict
Slack. Only times are shortened: `for` and the intervals of evaluation; promtool's tests hold the rules to those.

Two nights side by side, since both are mostly waiting: a model that does not load, which is mended, and more requests than a model
can do."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from tests.controlplane.control_plane import ControlPlane
from tests.deploy.helm import NAMESPACE as OWN
from tests.deploy.triage_daemon import MANIFESTS, NAME, RIGHTS, TRITONS
from tests.e2e.daemon import Daemon
from tests.latency.fleet_under_load import PROMPT_DISCOVERY, SELECTOR, fleet_under_load
from tests.local_process import eventually
from tests.oncall.fleet import MODEL, Fleet, mended, unready_fleet
from tests.oncall.on_call_service import OnCallService, on_call
from tests.prometheus.alertmanager import AlertmanagerServer
from tests.prometheus.build_tools import AlertmanagerTools, PrometheusTools
from tests.prometheus.server import PrometheusServer, Target
from tests.slack.slack_api import Kept, SlackApi, slack_api
from tests.tritons.install import TritonInstall
from tests.tritons.repository import Model

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

CHECKOUT = Path(__file__).parents[2]
BROKEN, BUSY = "night-broken", "night-busy"
CALM_SECONDS = 45.0
FIRST_LINE_SECONDS, REPORT_SECONDS = 10.0, 30.0
"""Of a person's patience: a Slack that takes a message a second, and what DESIGN.md promises of a report whose sources are slow."""


@dataclass(frozen=True)
class Told:
    """One incident's thread at its end, with when its alert began to fire and when it was told."""

    incident: dict[str, Any]
    thread: dict[str, Kept]
    fired_at: float

    @property
    def first_line_seconds(self) -> float:
        return float(self.thread["root"].ts) - self.fired_at

    @property
    def report_seconds(self) -> float:
        return float(self.incident["report_at"]) - self.fired_at


@dataclass(frozen=True)
class Nights:
    broken: Told
    busy: Told
    metrics: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nights(
    control_plane: ControlPlane,
    triton_install: TritonInstall,
    prometheus_tools: PrometheusTools,
    alertmanager_tools: AlertmanagerTools,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Nights]:
    folder = tmp_path_factory.mktemp("nights")
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(slack_api())
        polling = ["--model-control-mode=poll", "--repository-poll-secs=1"]
        broken = await stack.enter_async_context(
            unready_fleet(control_plane, triton_install, BROKEN, folder / "broken", arguments=polling)
        )
        busy = await stack.enter_async_context(
            fleet_under_load(
                control_plane,
                triton_install,
                folder / "busy",
                namespace=BUSY,
                model=Model("slow", parameters={"service_ms": "100"}),
            )
        )
        await busy.until_ready()
        kubeconfig = await granted(control_plane)
        watched = {"kubernetes": {"namespaces": [BROKEN, BUSY], "selector": SELECTOR}}
        autoscaler = Daemon(
            control_plane, folder, {"targets": watched, "model_index": {"interval": "1s", "timeout": "900ms"}}
        )
        await stack.enter_async_context(autoscaler)
        oncall = on_call(
            folder / "service",
            Fleet(control_plane, broken),
            slack,
            kubeconfig=kubeconfig,
            tritons={"namespaces": [BROKEN, BUSY], "selector": SELECTOR, "unready_after": "1h"},
            record={"namespace": OWN},
        )
        alertmanager = AlertmanagerServer(alertmanager_tools, folder / "alertmanager", routed_to(oncall))
        tritons = [*broken.servers.items(), *busy.tritons.servers.items()]
        targets = [
            Target(
                server.metrics_url.split("/")[2],
                {"namespace": BROKEN if pod in broken.servers else BUSY, "pod": pod, "node": "node-0"},
            )
            for pod, server in tritons
        ]
        prometheus = PrometheusServer(
            prometheus_tools,
            folder / "prometheus",
            [
                *targets,
                Target(autoscaler.plain_url.removeprefix("http://"), {"namespace": OWN, "pod": "autoscaler"}),
            ],
            honor_labels=True,
            rule_files=hurried(folder / "rules"),
            alertmanagers=[alertmanager.address],
            evaluation_interval="1s",
            arguments=PROMPT_DISCOVERY,
        )
        await stack.enter_async_context(alertmanager)
        await stack.enter_async_context(prometheus)
        oncall.config["prometheus"] = {"url": prometheus.url, "window": "1m"}
        await stack.enter_async_context(oncall)
        await oncall.until_ready()
        busy.send(per_second=6)

        async def overloaded() -> Told:
            await asyncio.sleep(CALM_SECONDS)
            busy.send(per_second=20)
            return await whole(control_plane, slack, "p99", BUSY)

        async def failing() -> Told:
            told = await whole(control_plane, slack, "load-failure", BROKEN)
            await asyncio.to_thread(mended, folder / "broken" / "models")
            await eventually(lambda: loads(broken), seconds=60)
            await Fleet(control_plane, broken).report(ready=True)
            return await whole(
                control_plane, slack, "load-failure", BROKEN, *("resolved", "outcome"), fired_at=told.fired_at
            )

        async with asyncio.TaskGroup() as group:
            first, second = group.create_task(failing()), group.create_task(overloaded())
        yield Nights(first.result(), second.result(), await oncall.metrics())
        assert not slack.wrong


async def loads(tritons: Any) -> bool:
    return all(
        [
            MODEL in {row["name"] for row in await server.index() if row.get("state") == "READY"}
            for server in tritons.servers.values()
        ]
    )


async def granted(control_plane: ControlPlane) -> Path:
    """The rights of the shipped manifests in both namespaces, and no others; the account's kubeconfig."""
    await control_plane.api.apply((CHECKOUT / "deploy" / "triagereports.yaml").read_text())
    await control_plane.until_served("triagereports.triton-ops.io")
    await control_plane.create_namespace(OWN)
    shipped = [each for each in MANIFESTS if each["kind"] in RIGHTS]
    for each in shipped:
        for namespace in (BROKEN, BUSY) if each["metadata"].get("namespace") == TRITONS else ("",):
            own = {"namespace": namespace} if namespace else {}
            await control_plane.api.apply({**each, "metadata": {**each["metadata"], **own}})
    return await control_plane.service_account_kubeconfig(OWN, NAME)


def routed_to(oncall: OnCallService) -> dict[str, Any]:
    """deploy/examples/alertmanager.yaml, for this machine's addresses and a test's patience."""
    configured: dict[str, Any] = yaml.safe_load(
        (CHECKOUT / "deploy" / "examples" / "alertmanager.yaml").read_text()
    )
    (hook,) = configured["receivers"][0]["webhook_configs"]
    hook["url"] = oncall.url
    hook["http_config"]["authorization"]["credentials_file"] = oncall.config["webhook"]["token_file"]
    route = configured["route"]["routes"][0]
    route |= {"group_wait": "100ms", "group_interval": "1s"}
    return configured


def hurried(folder: Path) -> list[Path]:
    """The shipped rules with short times, which promtool's tests hold them to; their expressions are as they are."""
    folder.mkdir()
    for file in sorted((CHECKOUT / "rules" / "prometheus").glob("*.yaml")):
        text = re.sub(r"(?m)^(\s+)for: \w+$", r"\1for: 2s", file.read_text())
        (folder / file.name).write_text(re.sub(r"(?m)^(\s+)interval: \w+$", r"\1interval: 1s", text))
    return sorted(folder.glob("*.yaml"))


async def whole(
    control_plane: ControlPlane,
    slack: SlackApi,
    tree: str,
    namespace: str,
    *parts: str,
    fired_at: float = 0.0,
) -> Told:
    """The incident of this tree once its thread has its details, and these parts."""
    found: list[dict[str, Any]] = []

    async def told() -> bool:
        kept = await control_plane.api.list("triton-ops.io/v1alpha1", "TriageReport", OWN)
        mine = [one["spec"]["incident"]["incident"] for one in kept]
        found[:] = [one for one in mine if (one["tree"], one["namespace"]) == (tree, namespace)]
        assert len(found) <= 1, "one incident for a workload and a tree"
        if not found or found[0]["work"] != "done":
            return False
        thread = slack.thread(incident=found[0]["name"])
        return {"root", "details", *parts} <= thread.keys() and "LOOKING" not in thread["root"].text

    await eventually(told, seconds=150)
    (incident,) = found
    starts = [alert["starts_at"] for alert in incident["alerts"]]
    return Told(incident, dict(slack.thread(incident=incident["name"])), fired_at or min(starts))


async def test_a_model_that_does_not_load_is_told_mended_and_followed_to_its_end(nights: Nights) -> None:
    told = nights.broken
    assert {alert["name"] for alert in told.incident["alerts"]} >= {"TritonModelUnavailable"}
    assert (told.incident["workload"], told.incident["model"]) == ("deployment/web", MODEL)
    assert told.incident["report"]["verdict"]["category"] == "runtime_version"
    assert f"FIX {MODEL}" in told.thread["root"].text
    assert told.thread["root"].text.startswith("RESOLVED")
    assert told.incident["outcome"]["worked"] == "yes"
    assert "IT WORKED" in told.thread["outcome"].text


async def test_more_requests_than_a_model_can_do_are_told_as_that(nights: Nights) -> None:
    told = nights.busy
    assert {alert["name"] for alert in told.incident["alerts"]} >= {"TritonQueueDurationHigh"}
    assert (told.incident["workload"], told.incident["model"]) == ("deployment/web", "slow")
    verdict = told.incident["report"]["verdict"]
    assert verdict["category"] in ("overload", "traffic_growth"), told.thread["root"].text


async def test_the_first_line_and_the_report_come_in_time(nights: Nights) -> None:
    for name, told in (("model that does not load", nights.broken), ("overload", nights.busy)):
        print(
            f"{name}: from firing to first line {told.first_line_seconds:.1f} s, to report {told.report_seconds:.1f} s"
        )
        assert told.first_line_seconds <= FIRST_LINE_SECONDS
        assert told.report_seconds <= REPORT_SECONDS


async def test_its_own_metrics_tell_of_both(nights: Nights) -> None:
    for line in (
        'triton_triage_triages_total{outcome="verdict",tree="load-failure"}',
        'triton_triage_triages_total{outcome="verdict",tree="p99"}',
        "triton_triage_first_line_seconds_count 2.0",
    ):
        assert line in nights.metrics
