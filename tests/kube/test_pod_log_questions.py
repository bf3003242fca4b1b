"""What a cluster is asked of its pods' logs, of which pods, and what each answer and refusal is taken for: a strict API server."""

from pathlib import Path
from typing import Any

from aiohttp import web

from telemetry.kube_client import KubernetesClient
from tests.kube.api_server import ApiServer, Reply, api_server, kubeconfig, refusal
from tests.triage.latency.evidence import rules
from triage.cluster_views import PodPlacement
from triage.collect import collect
from triage.evidence import Asked, Evidence, LogExcerpt, Missing
from triage.probes.pod_logs import LOG_BYTES, MOST_PODS, pod_log_questions
from triage.seal import Seal

PODS = "/api/v1/namespaces/prod/pods"
START = 1795348800.0  # 2026-11-22 12:00
SINCE = "2026-11-22T11:50:00Z"


class Masking:
    masked = 0

    def line(self, text: str) -> str:
        return text.replace("hunter2", "[masked]")

    def value(self, value: Any) -> Any:
        return value


def log_of(pod: str, *, previous: bool = False) -> str:
    asked = f"{PODS}/{pod}/log?container=triton&limitBytes={LOG_BYTES}"
    return f"{asked}{'&previous=true' if previous else ''}&sinceTime={SINCE}&timestamps=true"


def placed(pod: str, **more: Any) -> PodPlacement:
    return PodPlacement(pod, **{"node": "n1", "container": "triton", **more})


def text(*lines: str) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(
            text="".join(f"2026-11-22T12:00:{n:02}.000000001Z {line}\n" for n, line in enumerate(lines))
        )

    return reply


async def asked(server: ApiServer, folder: Path, *pods: PodPlacement) -> dict[str, Evidence]:
    async with KubernetesClient(kubeconfig=kubeconfig(folder, server.url)) as client:
        questions = pod_log_questions(client, "prod", pods, START)
        snapshot = await collect(questions, Asked(tree="p99"), rules().tree, lambda: Seal(Masking()))
    return {one.id: one for one in snapshot.evidence}


async def test_of_a_log_is_kept_what_tells_something_with_the_runtimes_times_and_sealed(
    tmp_path: Path,
) -> None:
    async with api_server() as server:
        load = 'I1122 12:00:01.000000 1 model_lifecycle.cc:472] "loading: m:3"'
        error = "E1122 12:00:02.000000 1 python_be.cc:1] password is hunter2"
        chatter = 'I1122 12:00:00.000000 1 http_server.cc:3452] "HTTP request: 2 /v2/models/m/infer"'
        server.expect_any(log_of("web-1"), text(chatter, load, chatter, error, chatter))
        found = await asked(server, tmp_path, placed("web-1"))
    log = found["log:web-1/triton"]
    assert isinstance(log.facts, LogExcerpt)
    assert [line.text for line in log.facts.lines] == [
        f"2026-11-22T12:00:01.000000001Z {load}",
        f"2026-11-22T12:00:03.000000001Z {error}".replace("hunter2", "[masked]"),
    ]
    assert (log.facts.lines_read, log.facts.dropped, log.facts.cut, log.subject) == (5, 3, False, "web-1")
    assert log.command == f"kubectl -n prod logs web-1 -c triton --since-time={SINCE} --timestamps"


async def test_of_a_container_that_ended_within_the_window_both_runs_are_read(tmp_path: Path) -> None:
    async with api_server() as server:
        server.expect_any(log_of("ended"), text("now"))
        server.expect_any(log_of("ended", previous=True), text("before"))
        server.expect_any(log_of("long-ago"), text("now"))
        pods = (placed("ended", ended_at=START - 60), placed("long-ago", ended_at=START - 6000))
        found = await asked(server, tmp_path, *pods)
    assert list(found) == ["log:ended/triton", "log:ended/triton/previous", "log:long-ago/triton"]


async def test_a_log_without_a_line_since_then_is_an_answer(tmp_path: Path) -> None:
    async with api_server() as server:
        server.expect_any(log_of("quiet"), text())
        found = await asked(server, tmp_path, placed("quiet"))
    assert found["log:quiet/triton"].facts == LogExcerpt((), 0, 0)


async def test_of_a_large_fleet_those_are_read_to_which_something_happened_last_and_the_rest_is_told(
    tmp_path: Path,
) -> None:
    calm = [placed(f"web-{number:03}", started_at=START - 86_400) for number in range(300)]
    flipped = placed("web-flipped", started_at=START - 86_400, ready_since=START + 30)
    pending = placed("web-pending", node="", created_at=START + 60)
    async with api_server() as server:
        for pod in ("web-flipped", *(f"web-{number:03}" for number in range(MOST_PODS - 1))):
            server.expect_any(log_of(pod), text("x"))
        found = await asked(server, tmp_path, *calm, pending, flipped)
    assert len(found) == MOST_PODS + 1
    missing = found["log:others"].missing
    assert missing is not None
    assert (missing.reason, missing.detail) == (
        "truncated",
        "the logs of 285 of 301 pods: only those of 16 were read, to which something happened last",
    )


async def test_a_right_that_is_missing_is_told_in_the_same_words_of_each_pod_with_the_rule_that_gives_it(
    tmp_path: Path,
) -> None:
    async with api_server() as server:
        for pod in ("web-1", "web-2"):
            said = (
                f'pods "{pod}" is forbidden: User "sre" cannot get resource "pods/log" in API group "" in the'
                ' namespace "prod"'
            )
            server.expect_any(log_of(pod), refusal(403, "Forbidden", said))
        found = await asked(server, tmp_path, placed("web-1"), placed("web-2"))
    assert {one.missing for one in found.values()} == {
        Missing(
            "forbidden",
            'this identity cannot get resource "pods/log" in API group ""',
            'add to the Role: apiGroups: [""], resources: [pods/log], verbs: [get]',
        )
    }


async def test_a_log_that_its_node_no_longer_has_is_gone_and_no_quiet_one(tmp_path: Path) -> None:
    async with api_server() as server:
        said = 'previous terminated container "triton" in pod "web-1" not found'
        server.expect_any(log_of("web-1"), text("now"))
        server.expect_any(log_of("web-1", previous=True), refusal(400, "BadRequest", said))
        found = await asked(server, tmp_path, placed("web-1", ended_at=START))
    missing = found["log:web-1/triton/previous"].missing
    assert missing is not None
    assert missing.reason == "expired"


async def test_a_container_that_never_ran_has_said_nothing_and_a_pod_that_is_over_is_not_asked(
    tmp_path: Path,
) -> None:
    async with api_server() as server:
        said = 'container "triton" in pod "pulling" is waiting to start: ContainerCreating'
        server.expect_any(log_of("pulling"), refusal(400, "BadRequest", said))
        found = await asked(server, tmp_path, placed("pulling"), placed("evicted", phase="Failed"))
    assert {id: one.facts for id, one in found.items()} == {"log:pulling/triton": LogExcerpt((), 0, 0)}
