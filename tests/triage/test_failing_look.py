"""What is asked of the API server for the list of failing models, and what becomes of answers that do not come."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import triage.failing.command as command
import triage.failing.look as shell
from telemetry.kubernetes_api import KubernetesError
from telemetry.rules_dir import rules_dir
from tests.triage.rules import small_rules
from tests.triage.waiting_plugin import waiting_plugin
from triage.failing.findings import findings_of
from triage.failing.list_pods import CHUNK
from triage.failing.look import Where, look_at_all
from triage.failing.view import FailingModels
from triage.rules import seals_from_folder

LOG = b"""\
2026-01-15T02:58:00.1Z I0115 02:58:00.100000 1 model_lifecycle.cc:461] "loading: ranker:1"
2026-01-15T02:58:01.1Z E0115 02:58:01.100000 1 model_lifecycle.cc:630] "failed to load 'ranker' version 1: Internal: ValueError: no"
"""
DENIED = (
    'pods "chat-0:8000" is forbidden: User "on-call" cannot create resource "pods/proxy" in API group ""'
    ' in the namespace "prod"'
)


class Api:
    """Strict: what it was not told of is a failed test."""

    def __init__(self, pods: list[dict[str, Any]]) -> None:
        self.pods = pods
        self.asked: list[str] = []
        self.log: bytes | None = LOG
        """None: it never comes."""
        self.index: list[dict[str, str]] | KubernetesError = []
        self.error = b""
        """What Triton answers instead of its index."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        self.asked.append(path)
        query = query or {}
        if path == "/api/v1/pods":
            begin, most = int(query.get("continue", "0")), int(query["limit"])
            more = {"continue": str(begin + most)} if begin + most < len(self.pods) else {}
            return json.dumps({"metadata": more, "items": self.pods[begin : begin + most]}).encode()
        if path.endswith("/log"):
            if self.log is None:
                await asyncio.sleep(3600)
            return self.log or b""
        assert path.endswith("/events"), path
        return b'{"items": []}'

    async def put(self, path: str, body: bytes) -> bytes:
        raise AssertionError(path)

    async def exchange(self, method: str, path: str, body: bytes | None, most: int) -> tuple[int, bytes]:
        self.asked.append(path)
        assert (method, body) == ("POST", b"{}")
        if isinstance(self.index, KubernetesError):
            raise self.index
        return (500, self.error) if self.error else (200, json.dumps(self.index).encode())

    def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        raise AssertionError(path)

    def count(self, end: str) -> int:
        return sum(path.endswith(end) for path in self.asked)


async def look(api: Api) -> FailingModels:
    return await look_at_all(api, Where(), small_rules(), seals_from_folder(rules_dir()))


async def test_the_list_comes_in_chunks_and_what_it_has_told_is_not_asked_again() -> None:
    api = Api([pod(f"web-{number}", image="nginx") for number in range(CHUNK)] + [pod("chat")])
    view = await look(api)
    assert api.count("/pods") == 2
    assert api.count("/pods/chat") == 0
    assert (view.looked.listed, view.looked.triton, view.requests) == (CHUNK + 1, 1, len(api.asked))
    assert [(line.model, line.workload) for line in view.lines] == [("ranker", "pod/chat")]


async def test_of_replicas_that_stand_alike_a_few_logs_are_read() -> None:
    api = Api([pod(f"chat-{number}", owner="chat") for number in range(40)])
    view = await look(api)
    assert api.count("/log") == shell.READ_ALIKE
    assert [(line.pods.failing, line.pods.looked_at) for line in view.lines] == [(40, shell.READ_ALIKE)]
    assert (view.looked.read, view.looked.alike) == (shell.READ_ALIKE, 40 - shell.READ_ALIKE)


async def test_a_right_that_is_missing_is_asked_for_once_and_not_by_each_pod() -> None:
    api = Api([pod(f"chat-{number}", ready=True) for number in range(40)])
    api.index = KubernetesError("cannot POST: 403", status=403, reason="Forbidden", detail=DENIED)
    view = await look(api)
    assert api.count("/proxy/v2/repository/index") == 1
    assert api.count("/log") == 0
    assert (view.looked.not_asked, view.could_look) == (40, False)
    assert [(gap.what, gap.reason, gap.pods) for gap in view.unseen] == [
        ("which models Triton has", "forbidden", 40)
    ]


async def test_a_pod_that_forbids_forbids_nothing_of_the_others() -> None:
    api = Api([pod(f"chat-{number}", ready=True) for number in range(3)])
    api.index = KubernetesError("cannot POST: 403", status=403, reason="Forbidden", detail="no entry")
    view = await look(api)
    assert api.count("/proxy/v2/repository/index") == 3
    assert view.looked.not_asked == 3


async def test_a_triton_that_cannot_read_a_repository_is_a_failing_pod_though_it_is_ready() -> None:
    """It tells so instead of its index."""
    api = Api([pod("chat", ready=True)])
    api.error = b'{"error": "failed to poll from model repositories"}'
    view = await look(api)
    assert api.count("/log") == 1
    assert [line.pod for line in view.lines] == ["chat"]
    assert not view.unseen


async def test_a_port_that_is_still_closed_is_a_start_that_hangs_as_in_the_whole_report() -> None:
    api = Api([pod("chat")])
    api.log = b"2026-01-15T02:58:00.1Z I0115 02:58:00.100000 1 pinned_memory_manager.cc:277] pinned memory\n"
    refused = "error trying to reach service: dial tcp 10.0.0.1:8000: connect: connection refused"
    api.index = KubernetesError("cannot POST: 503", status=503, reason="ServiceUnavailable", detail=refused)
    view = await look(api)
    assert [line.title for line in view.lines] == ["a load that has not ended"]
    assert not view.unseen


async def test_ready_pods_that_restarted_lately_are_asked_where_others_like_them_are_read() -> None:
    ended = {"terminated": {"exitCode": 1, "finishedAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}}
    api = Api([pod(f"chat-{number}", ready=True, owner="chat") for number in range(20)])
    for each in api.pods:
        each["status"]["containerStatuses"][0] |= {"lastState": ended, "restartCount": 1}
    api.log, api.index = b"", [{"name": "ranker", "version": "1", "state": "READY"}]
    view = await look(api)
    assert (view.looked.troubled, view.looked.read, view.looked.alike) == (
        20,
        shell.READ_ALIKE,
        20 - shell.READ_ALIKE,
    )
    assert (view.looked.asked, view.looked.not_asked) == (20, 0)
    assert view.could_look


async def test_a_ready_pod_whose_index_has_a_failed_model_is_read() -> None:
    api = Api([pod("chat", ready=True), pod("other", ready=True)])
    api.index = [
        {"name": "ranker", "version": "1", "state": "UNAVAILABLE", "reason": "Internal: ValueError: no"}
    ]
    view = await look(api)
    assert api.count("/log") == 2
    assert [line.serving for line in view.lines] == ["nobody", "nobody"]


async def test_when_the_time_is_over_what_was_seen_is_shown_and_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shell, "BUDGET_SECONDS", 0.2)
    api = Api([pod("chat"), pod("other")])
    api.log = None
    view = await look(api)
    assert view.took_seconds < 2
    assert not view.could_look
    assert [(gap.workload, gap.reason, gap.pods) for gap in view.unseen] == [
        ("pod/chat", "timeout", 1),
        ("pod/other", "timeout", 1),
    ]


async def test_a_list_that_does_not_come_is_an_error_that_says_what_to_ask(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Hangs(Api):
        async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
            await asyncio.sleep(3600)
            raise AssertionError

    monkeypatch.setattr(shell, "LIST_SECONDS", 0.1)
    with pytest.raises(KubernetesError, match=r"not there within 0.1 s: .*-n NAMESPACE"):
        await look(Hangs([]))


async def test_credentials_that_do_not_come_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A credential plug-in that waits for a person."""
    kubeconfig = tmp_path / "config"
    monkeypatch.setattr(command, "CONNECT_SECONDS", 1.5)
    seal = seals_from_folder(rules_dir())
    async with waiting_plugin(tmp_path) as waits:
        config = {
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
            "users": [{"name": "u", "user": {"exec": waits}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        kubeconfig.write_text(json.dumps(config))
        with pytest.raises(KubernetesError, match=r"no credentials within 1.5 s"):
            await command.look_at_cluster(None, "", "", str(kubeconfig), None, small_rules(), seal)


async def test_a_mistake_of_ours_in_one_pod_costs_no_other_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(snapshot: Any, *rest: Any, **named: Any) -> Any:
        if snapshot.asked.target == "pod/bad":
            raise RuntimeError("secret=hunter2")
        return findings_of(snapshot, *rest, **named)

    monkeypatch.setattr(shell, "findings_of", fails)
    view = await look(Api([pod("bad"), pod("chat")]))
    assert [line.workload for line in view.lines] == ["pod/chat"]
    assert [(gap.what, gap.reason, gap.detail) for gap in view.unseen][:1] == [
        ("why models fail", "parse_error", "RuntimeError")
    ]


async def test_what_the_api_server_refuses_is_raised() -> None:
    class Refuses(Api):
        async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
            raise KubernetesError(f"cannot list {path}", status=403, reason="Forbidden")

    with pytest.raises(KubernetesError, match=r"nor may it list namespaces.*-n NAMESPACE"):
        await look(Refuses([]))


def pod(
    name: str, *, ready: bool = False, owner: str = "", image: str = "nvcr.io/nvidia/tritonserver:24.10"
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "prod", "uid": name}
    if owner:
        made = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": owner,
            "uid": owner,
            "controller": True,
        }
        metadata["ownerReferences"] = [made]
    running = {"name": "triton", "ready": ready, "state": {"running": {"startedAt": "2026-01-15T02:00:00Z"}}}
    return {
        "metadata": metadata,
        "spec": {"containers": [{"name": "triton", "image": image}]},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-15T02:00:00Z"}
            ],
            "containerStatuses": [running],
        },
    }
