"""What a cluster is asked about the pods of a target, and what each answer and refusal is taken for: a strict API server."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from telemetry.kube_client import KubernetesClient
from telemetry.rules_dir import rules_dir
from tests.kube.api_server import ApiServer, Reply, answer, api_server, kubeconfig, page, refusal
from tests.triage.rules import small_rules
from triage.build_report import build_report
from triage.collect import collect
from triage.evidence import (
    Asked,
    ContainerView,
    EventView,
    Evidence,
    LogExcerpt,
    LogLine,
    Missing,
    PodEvents,
    PodList,
    PodView,
    Readiness,
)
from triage.probes.container_logs import LOG_BYTES, SMALL_BYTES
from triage.probes.pod import pod_questions
from triage.probes.pod_triton import pod_triton_questions
from triage.rules import seals_from_folder
from triage.seal import Seal

PODS = "/api/v1/namespaces/prod/pods"
NO_EVENTS = Missing(
    "expired",
    "the cluster has no events of this pod: none were made, or they are over an hour old",
    "look in the event archive, if there is one",
)
SURROUNDINGS = ("node", "use")
"""Told in tests of their own."""
RUNNING = ContainerView(name="triton", image="t", init=False, ready=False, restarts=0, state="running")
STARTED = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
CRASHED = {"terminated": {"exitCode": 1, "reason": "Error", "message": "see log"}}
WAITING = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}


class Plain:
    masked = 0

    def line(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


def status(name: str, state: object, ready: bool = False, **more: object) -> dict[str, object]:
    return {"name": name, "state": state, "ready": ready, **more}


def pod(name: str, *statuses: dict[str, object], phase: str = "Running", **spec: Any) -> dict[str, Any]:
    """Not ready, with a container `triton` unless others are given."""
    conditions = [{"type": "Ready", "status": "False"}]
    return {
        "metadata": {"name": name, "namespace": "prod", "uid": f"uid-{name}"},
        "spec": {"containers": [{"name": "triton", "image": "tritonserver:24.10"}], "nodeName": "n1", **spec},
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": list(statuses)},
    }


def expect_pod(server: ApiServer, found: dict[str, Any], events: Reply | None = None) -> None:
    name = found["metadata"]["name"]
    server.expect_any(f"{PODS}/{name}", answer(found))
    server.expect_any(
        f"/api/v1/namespaces/prod/events?fieldSelector=involvedObject.uid=uid-{name}&limit=500",
        events or page(),
    )
    for path in ("/api/v1/nodes/n1", f"/apis/metrics.k8s.io/v1beta1/namespaces/prod/pods/{name}"):
        server.expect_any(path, refusal(404, "NotFound", "not here"))


def log_of(name: str, container: str = "triton", previous: bool = False, most: int = LOG_BYTES) -> str:
    asked = f"{PODS}/{name}/log?container={container}&limitBytes={most}"
    return asked + ("&previous=true" if previous else "") + "&timestamps=true"


def text(*lines: str) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(
            text="".join(f"2026-01-01T00:00:00.{n:09}Z {line}\n" for n, line in enumerate(lines))
        )

    return reply


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


async def asked(server: ApiServer, folder: Path, target: str, **deadlines: str) -> tuple[Evidence, ...]:
    rules = small_rules(**deadlines)
    async with KubernetesClient(kubeconfig=kubeconfig(folder, server.url)) as client:
        questions = pod_questions(client, "prod", target, rules.signatures)
        snapshot = await collect(questions, Asked(tree="load-failure"), rules.tree, lambda: Seal(Plain()))
    return tuple(each for each in snapshot.evidence if each.probe not in SURROUNDINGS)


async def answers(server: ApiServer, folder: Path, target: str, **deadlines: str) -> dict[str, object]:
    found = await asked(server, folder, target, **deadlines)
    return {evidence.id: evidence.facts or evidence.missing for evidence in found}


async def test_a_crashing_pod_brings_its_state_its_events_and_both_logs(tmp_path: Path) -> None:
    crashing = pod("llm-0", status("triton", WAITING, restartCount=3, lastState=CRASHED))
    event = {
        "reason": "BackOff",
        "message": "Back-off restarting",
        "count": 9,
        "lastTimestamp": "2026-01-01T01:00:00Z",
    }
    async with api_server() as server:
        server.expect_any(f"{PODS}/llm-0", answer(crashing))
        expect_pod(server, crashing, page(event))
        server.expect_any(log_of("llm-0"), text("now", ""))
        server.expect_any(log_of("llm-0", previous=True), text("before"))
        got = await answers(server, tmp_path, "pod/llm-0")
    container = ContainerView(
        name="triton",
        image="tritonserver:24.10",
        init=False,
        ready=False,
        restarts=3,
        state="waiting: CrashLoopBackOff: back-off 5m0s",
        last_state="terminated: Error, exit code 1: see log",
        exit_code=1,
        ended_by="Error",
    )
    assert got == {
        "pods": PodList(("llm-0",), ("llm-0",), ("llm-0",)),
        "pod:llm-0": PodView("prod", "llm-0", "Running", False, "n1", containers=(container,)),
        "events:llm-0": PodEvents((EventView("2026-01-01T01:00:00Z", "BackOff", "Back-off restarting", 9),)),
        "log:llm-0/triton": LogExcerpt(
            (LogLine(1, "now"), LogLine(2, "")), 2, 5, ends_at="2026-01-01T00:00:00Z"
        ),
        "previous_log:llm-0/triton": LogExcerpt(
            (LogLine(1, "before"),), 1, 7, ends_at="2026-01-01T00:00:00Z"
        ),
    }


async def test_each_answer_shows_the_call_and_the_command_that_asks_the_same(tmp_path: Path) -> None:
    crashing = pod("llm-0", status("triton", WAITING, restartCount=1))
    async with api_server() as server:
        expect_pod(server, crashing)
        server.expect_any(log_of("llm-0"), text("now"))
        server.expect_any(log_of("llm-0", previous=True), text("before"))
        got = {e.id: (e.query, e.command) for e in await asked(server, tmp_path, "pod/llm-0")}
    assert got == {
        "pods": ("pod/llm-0 in namespace prod", "kubectl -n prod get pod/llm-0"),
        "pod:llm-0": (f"GET {PODS}/llm-0", "kubectl -n prod get pod llm-0 -o yaml"),
        "events:llm-0": (
            "GET /api/v1/namespaces/prod/events?fieldSelector=involvedObject.uid=uid-llm-0",
            "kubectl -n prod get events --field-selector involvedObject.uid=uid-llm-0",
        ),
        "log:llm-0/triton": (
            f"GET {PODS}/llm-0/log?container=triton",
            "kubectl -n prod logs llm-0 -c triton",
        ),
        "previous_log:llm-0/triton": (
            f"GET {PODS}/llm-0/log?container=triton&previous=true",
            "kubectl -n prod logs llm-0 -c triton --previous",
        ),
    }


@pytest.mark.parametrize("selector", ["app=llm", "app in (a, b)", "!canary"])
async def test_a_selector_without_pods_is_told_with_a_command_that_kubectl_takes(
    tmp_path: Path, selector: str
) -> None:
    async with api_server() as server:
        server.expect(f"{PODS}?labelSelector={selector}&limit=500", page())
        (got,) = await asked(server, tmp_path, selector)
    quoted = selector if selector == "app=llm" else f"'{selector}'"
    assert (got.missing, got.command) == (
        Missing(
            "not_found", f"{selector} has no pods in namespace prod", "check the name, the selector and -n"
        ),
        f"kubectl -n prod get pods -l {quoted}",
    )


async def looked_at(tmp_path: Path, *found: dict[str, Any]) -> PodList:
    async with api_server() as server:
        server.expect_any(f"{PODS}?labelSelector=app=llm&limit=500", page(*found))
        for each in found:
            expect_pod(server, each)
            server.expect_any(log_of(each["metadata"]["name"]), text("a"))
        listed = (await answers(server, tmp_path, "app=llm"))["pods"]
    assert isinstance(listed, PodList)
    return listed


async def test_unready_pods_are_looked_at_and_ready_ones_only_where_all_are(tmp_path: Path) -> None:
    well = pod("a") | {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    assert await looked_at(tmp_path, well, pod("b")) == PodList(("a", "b"), ("b",), ("b",))
    assert await looked_at(tmp_path, well) == PodList(("a",), (), ("a",))


async def test_evicted_pods_do_not_take_the_place_of_the_pod_that_fails_now(tmp_path: Path) -> None:
    evicted = [pod(f"a{n}", phase="Failed") for n in range(5)]
    listed = await looked_at(tmp_path, *evicted, pod("b"))
    assert listed.looked_at == ("b", "a0", "a1", "a2", "a3")


async def test_the_logs_that_may_tell_are_triton_s_and_those_of_who_brings_it_its_models(
    tmp_path: Path,
) -> None:
    """Of an init container that has done its work a little, of a sidecar only where it has the models' volume."""
    found = pod(
        "llm-0",
        status("triton", STARTED),
        status("proxy", STARTED),
        initContainers=[{"name": "fetch", "image": "s3"}, {"name": "chown", "image": "busybox"}],
        containers=[
            {"name": "proxy", "image": "envoy", "volumeMounts": [{"name": "token", "mountPath": "/token"}]},
            {"name": "sync", "image": "git-sync", "volumeMounts": [{"name": "models", "mountPath": "/git"}]},
            {
                "name": "server",
                "image": "own:1",
                "ports": [{"containerPort": 8000}],
                "volumeMounts": [
                    {"name": "models", "mountPath": "/models"},
                    {"name": "token", "mountPath": "/token"},
                ],
            },
        ],
        volumes=[{"name": "models", "emptyDir": {}}, {"name": "token", "projected": {}}],
    )
    found["status"]["initContainerStatuses"] = [
        status("fetch", CRASHED),
        status("chown", {"terminated": {"exitCode": 0, "reason": "Completed"}}, ready=True),
    ]
    async with api_server() as server:
        expect_pod(server, found)
        server.expect_any(log_of("llm-0", "fetch"), text("denied"))
        server.expect_any(log_of("llm-0", "server"), text("a"))
        server.expect_any(log_of("llm-0", "sync"), text("a"))
        server.expect_any(log_of("llm-0", "chown", most=SMALL_BYTES), text("a"))
        got = await answers(server, tmp_path, "pod/llm-0")
    logs = {
        "log:llm-0/server",
        "helper_log:llm-0/fetch",
        "helper_log:llm-0/sync",
        "helper_log:llm-0/chown",
    }
    assert set(got) == {"pods", "pod:llm-0", "events:llm-0", *logs}


GRANT = "grant the right that the message names, or give the log as --log FILE"


async def test_a_right_that_is_missing_costs_what_it_is_for_and_nothing_else(tmp_path: Path) -> None:
    """403 on the logs alone and on the events alone."""
    async with api_server() as server:
        expect_pod(server, pod("llm-0", status("triton", STARTED)), refusal(403, "Forbidden", "no events"))
        server.expect_any(log_of("llm-0"), refusal(403, "Forbidden", "no logs"))
        got = await answers(server, tmp_path, "pod/llm-0")
    told = {name: missing for name, missing in got.items() if isinstance(missing, Missing)}
    assert told == {
        "events:llm-0": Missing(
            "forbidden",
            'cannot list events in namespace "prod": 403 no events;'
            ' grant this identity the right to list events in namespace "prod"',
            GRANT,
        ),
        "log:llm-0/triton": Missing(
            "forbidden",
            'cannot get pods/log "llm-0" in namespace "prod": 403 no logs;'
            ' grant this identity the right to get pods/log "llm-0" in namespace "prod"',
            GRANT,
        ),
    }


async def test_a_node_that_does_not_give_its_logs_costs_only_the_logs(tmp_path: Path) -> None:
    async with api_server() as server:
        expect_pod(server, pod("llm-0", status("triton", WAITING, restartCount=1)))
        server.expect_any(log_of("llm-0"), hang)
        server.expect_any(log_of("llm-0", previous=True), hang)
        got = await answers(server, tmp_path, "pod/llm-0", log="200ms", previous_log="200ms")
    told = {name: found.reason for name, found in got.items() if isinstance(found, Missing)}
    assert told == {
        "events:llm-0": "expired",
        "log:llm-0/triton": "timeout",
        "previous_log:llm-0/triton": "timeout",
    }


@pytest.mark.parametrize(
    ("reply", "missing"),
    [
        (
            refusal(
                400, "BadRequest", 'container "triton" in pod "llm-0" is waiting to start: ContainerCreating'
            ),
            Missing(
                "not_started",
                'container "triton" in pod "llm-0" is waiting to start: ContainerCreating',
                "its state says what it waits for",
            ),
        ),
        (text(), Missing("not_found", "the log is empty", "wait until the process has said something")),
        (text(""), Missing("not_found", "the log is empty", "wait until the process has said something")),
        (
            refusal(404, "NotFound", "gone"),
            Missing(
                "not_found",
                'cannot get pods/log "llm-0" in namespace "prod": 404 gone',
                "check the name and -n",
            ),
        ),
    ],
)
async def test_why_there_is_no_log_is_said(tmp_path: Path, reply: Reply, missing: Missing) -> None:
    async with api_server() as server:
        expect_pod(server, pod("llm-0", status("triton", STARTED)))
        server.expect_any(log_of("llm-0"), reply)
        got = await answers(server, tmp_path, "pod/llm-0")
    assert got["log:llm-0/triton"] == missing


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (refusal(401, "Unauthorized", "no"), "forbidden"),
        (refusal(403, "Forbidden", "no"), "forbidden"),
        (refusal(404, "NotFound", "no"), "not_found"),
        (refusal(429, "TooManyRequests", "no"), "refused"),
        (refusal(503, "ServiceUnavailable", "no"), "refused"),
        (answer("<html>"), "parse_error"),
        (hang, "timeout"),
    ],
)
async def test_an_api_server_that_does_not_tell_the_pod_leaves_one_missing_answer(
    tmp_path: Path, reply: Reply, reason: str
) -> None:
    async with api_server() as server:
        server.expect_any(f"{PODS}/llm-0", reply)
        got = await answers(server, tmp_path, "pod/llm-0", pod="100ms")
    assert {name: found.reason for name, found in got.items() if isinstance(found, Missing)} == {
        "pods": reason
    }


async def test_a_pod_that_goes_after_it_was_listed_is_not_found(tmp_path: Path) -> None:
    found = pod("llm-0", status("triton", STARTED))
    async with api_server() as server:
        server.expect_any(f"{PODS}?labelSelector=app=llm&limit=500", page(found))
        expect_pod(server, found)
        server.expect_any(f"{PODS}/llm-0", refusal(404, "NotFound", 'pods "llm-0" not found'))
        got = await answers(server, tmp_path, "app=llm")
    assert {name: told.reason for name, told in got.items() if isinstance(told, Missing)} == {
        "events:llm-0": "expired",
        "pod:llm-0": "not_found",
    }


async def test_what_hangs_beside_the_pod_costs_only_itself(tmp_path: Path) -> None:
    """Its node, its use of CPU and its own port each have a deadline; the log is read all the same."""
    async with api_server() as server:
        expect_pod(server, pod("llm-0", status("triton", STARTED)))
        server.expect_any(log_of("llm-0"), text("a"))
        for path in (
            "/api/v1/nodes/n1",
            "/apis/metrics.k8s.io/v1beta1/namespaces/prod/pods/llm-0",
            f"{PODS}/llm-0:8000/proxy/v2/repository/index",
        ):
            server.expect_any(path, hang)
        rules = small_rules(node="200ms", use="200ms", index="200ms")
        async with KubernetesClient(kubeconfig=kubeconfig(tmp_path, server.url)) as client:
            (question,) = pod_questions(client, "prod", "pod/llm-0", rules.signatures, exchange=client)
            asked = Asked(tree="load-failure")
            snapshot = await collect([question], asked, rules.tree, lambda: Seal(Plain()))
    told = {e.id: e.missing.reason for e in snapshot.evidence if e.missing}
    assert told == {
        "events:llm-0": "expired",
        "index:llm-0": "timeout",
        "node:llm-0": "timeout",
        "use:llm-0": "timeout",
    }
    unseen = {(one.what, one.reason) for one in build_report(snapshot, rules).unseen}
    assert {("port 8000 of pod llm-0", "timeout"), ("node n1", "timeout")} <= unseen


async def test_an_answer_of_a_pod_s_port_that_has_no_end_is_truncated(tmp_path: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(10):
            await response.write(b"x" * (1 << 20))
        return response

    async with api_server() as server:
        path = f"{PODS}/llm-0:8000/proxy/v2/repository/index"
        server.expect_any(path, endless)
        async with KubernetesClient(kubeconfig=kubeconfig(tmp_path, server.url)) as client:
            found = PodView("prod", "llm-0", "Running", False, containers=(RUNNING,))
            (index,) = pod_triton_questions(client, found, "kubectl")
            told = (await index.ask(Seal(Plain()))).facts
    assert isinstance(told, Missing)
    assert told.reason == "truncated"


async def test_what_a_pod_s_port_answers_is_its_own_whatever_the_status(tmp_path: Path) -> None:
    """Triton's 400 is an answer; a page that is no Triton's is none, and leads nowhere."""
    ready = f"{PODS}/llm-0:8000/proxy/v2/health/ready"
    index = f"{PODS}/llm-0:8000/proxy/v2/repository/index"
    async with api_server() as server:
        server.expect_any(ready, answer({"error": "not ready"}, 400))
        server.expect_any(f"{PODS}/llm-0:8000/proxy/v2", answer("<html>" * 9, 404))
        server.expect_any(index, answer([]))
        async with KubernetesClient(kubeconfig=kubeconfig(tmp_path, server.url)) as client:
            found = PodView("prod", "llm-0", "Running", False, containers=(RUNNING,))
            (question,) = pod_triton_questions(client, found, "kubectl")
            then = (await question.ask(Seal(Plain()))).then
            told = {each.probe: (await each.ask(Seal(Plain()))).facts for each in then}
    assert told["readiness"] == Readiness(400)
    assert isinstance(told["metadata"], Missing)


async def test_credentials_in_a_command_line_are_not_read(tmp_path: Path) -> None:
    """Whatever form they have; redaction sees what is left."""
    words = [
        "--model-repository=s3://key:hunter22-hunter22@host/m",
        "--token",
        "hunter1",
        "--api-key=hunter2",
        *("--pass", "hunter4", "--sas", "hunter5", "-u", "bob:hunter6"),
    ]
    script = (
        """fetch --password 'a hunter7' --secret="b hunter8" && curl -u bob:hunter9 http://host/ --user=eve:hunter10;"""
        " fetch --hf-token hunter3 --max-tokens 5 --tokenizer t && tritonserver"
    )
    found = pod("llm-0", status("triton", STARTED))
    found["spec"]["containers"][0] |= {"args": words, "command": ["sh", "-c", script]}
    async with api_server() as server:
        expect_pod(server, found)
        server.expect_any(log_of("llm-0"), text("a"))
        view = (await answers(server, tmp_path, "pod/llm-0"))["pod:llm-0"]
    told = msgspec.json.encode(seals_from_folder(rules_dir())().value(msgspec.to_builtins(view))).decode()
    assert "hunter" not in told
    assert "--max-tokens 5 --tokenizer t && tritonserver" in told
    assert "--model-repository=s3://" in told


def test_a_pod_of_an_older_bundle_is_still_one() -> None:
    old: dict[str, Any] = {"type": "pod", "namespace": "n", "name": "p", "phase": "Running", "ready": False}
    old["containers"] = [
        {"name": "c", "image": "i", "init": False, "ready": False, "restarts": 0, "state": "running"}
    ]
    assert msgspec.convert(old, PodView).containers[0].mounts == ()
