"""All given sources are asked together, and one that cannot be asked costs no other."""

import asyncio
import json
from pathlib import Path
from typing import Any

import kubernetes.aio.config  # noqa: F401 - its 0.7 s belong to no test
import pytest

from tests.kube.api_server import ApiServer, answer, api_server, kubeconfig, page
from tests.triage.rules import small_rules
from tests.triage.waiting_plugin import waiting_plugin
from triage.evidence import Asked, LogExcerpt, LogLine, Missing, Snapshot
from triage.look import Sources, look
from triage.seal import Seal


class Plain:
    masked = 0

    def line(self, text: str) -> str:
        return text

    def value(self, value: Any) -> Any:
        return value


async def looked(sources: Sources, model: str = "", budget: str = "10s") -> Snapshot:
    return await look(sources, model, small_rules(budget), lambda: Seal(Plain()))


def answers(snapshot: Snapshot) -> dict[str, object]:
    return {evidence.id: evidence.facts or evidence.missing for evidence in snapshot.evidence}


def context(folder: Path, url: str, namespace: str | None = None, user: object = None) -> str:
    """A kubeconfig whose current context `test` has this namespace and user; its other context is `other`, namespace `far`."""
    file = Path(kubeconfig(folder, url))
    config = json.loads(file.read_text())
    if namespace:
        config["contexts"][0]["context"]["namespace"] = namespace
    if user:
        config["users"][0]["user"] = user
    config["contexts"].append({"name": "other", "context": {"cluster": "c", "user": "u", "namespace": "far"}})
    file.write_text(json.dumps(config))
    return str(file)


def expect_no_pods(server: ApiServer, namespace: str) -> None:
    server.expect(f"/api/v1/namespaces/{namespace}/pods?labelSelector=app=llm&limit=500", page())


@pytest.mark.parametrize(
    ("sources", "configured", "asked", "flags"),
    [
        pytest.param(Sources(), "team", "team", "", id="the context's own"),
        pytest.param(Sources(), None, "default", "", id="default where the context has none"),
        pytest.param(Sources(namespace="mine"), "team", "mine", "", id="as given by -n"),
        pytest.param(Sources(context="other"), "team", "far", " --context other", id="that of --context"),
    ],
)
async def test_the_namespace_is_the_one_that_kubectl_would_use(
    tmp_path: Path, sources: Sources, configured: str | None, asked: str, flags: str
) -> None:
    async with api_server() as server:
        file = context(tmp_path, server.url, configured)
        expect_no_pods(server, asked)
        got = await looked(
            Sources(target="app=llm", namespace=sources.namespace, kubeconfig=file, context=sources.context)
        )
    assert (got.asked, answers(got)) == (
        Asked(
            tree="load-failure",
            target="app=llm",
            namespace=asked,
            kubeconfig=file,
            context=sources.context or "",
        ),
        {
            "pods": Missing(
                "not_found",
                f"app=llm has no pods in namespace {asked}",
                "check the name, the selector and -n",
            )
        },
    )


async def test_the_command_asks_the_same_cluster(tmp_path: Path) -> None:
    """Pasted without the flags, it would ask another one."""
    async with api_server() as server:
        file = context(tmp_path, server.url)
        expect_no_pods(server, "far")
        got = await looked(Sources(target="app=llm", kubeconfig=file, context="other"))
    assert [evidence.command for evidence in got.evidence] == [
        f"kubectl --kubeconfig {file} --context other get pods -l app=llm"
    ]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"kubeconfig": "none"}, id="no such file"),
        pytest.param({"kubeconfig": "empty"}, id="an empty file"),
        pytest.param({"kubeconfig": "kubeconfig", "context": "prod-eu"}, id="no such context"),
        pytest.param({"kubeconfig": "."}, id="a folder"),
    ],
)
async def test_a_wrong_kubeconfig_costs_the_cluster_and_not_the_log(
    tmp_path: Path, given: dict[str, str]
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "server.log").write_text("a\n")
    kubeconfig(tmp_path, "http://127.0.0.1:1")
    file = str(tmp_path / given["kubeconfig"])
    got = answers(
        await looked(
            Sources(
                log=str(tmp_path / "server.log"),
                target="pod/llm-0",
                kubeconfig=file,
                context=given.get("context"),
            )
        )
    )
    missing = got.pop("pods")
    assert isinstance(missing, Missing)
    assert (missing.reason, missing.remedy, file in missing.detail) == (
        "unreachable",
        "pass --kubeconfig and --context, or give --log FILE",
        True,
    )
    assert got == {"log": LogExcerpt((LogLine(1, "a"),), 1, 2)}


async def test_a_credential_plugin_that_waits_for_a_person_costs_the_cluster_and_not_the_log(
    tmp_path: Path,
) -> None:
    """It is started only when the other questions are under way, and has a deadline like they."""
    (tmp_path / "server.log").write_text("a\n")
    async with waiting_plugin(tmp_path) as waits:
        file = context(tmp_path, "http://127.0.0.1:1", user={"exec": waits})
        sources = Sources(log=str(tmp_path / "server.log"), target="pod/llm-0", kubeconfig=file)
        async with asyncio.timeout(20):
            got = answers(await looked(sources, budget="800ms"))
    command = f"kubectl --kubeconfig {file} get pod/llm-0"
    assert got == {
        "log": LogExcerpt((LogLine(1, "a"),), 1, 2),
        "pods": Missing(
            "timeout",
            "no answer within 0.48 s",
            f"does `{command}` answer? the credential plug-in or the API server is slow",
        ),
    }


async def test_all_sources_are_asked_and_each_is_missing_for_its_own_reason(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, "http://127.0.0.1:1")
    got = await looked(
        Sources(
            log=str(tmp_path / "none"),
            triton="http://127.0.0.1:1",
            target="pod/llm-0",
            namespace="prod",
            kubeconfig=file,
        ),
        budget="5s",
    )
    assert {e.id: e.missing.reason for e in got.evidence if e.missing} == {
        "log": "not_found",
        "index": "unreachable",
        "metadata": "unreachable",
        "readiness": "unreachable",
        "pods": "unreachable",
    }


async def test_a_pod_that_is_not_there_is_not_there(tmp_path: Path) -> None:
    async with api_server() as server:
        server.expect("/api/v1/namespaces/prod/pods/llm-0", answer({"message": "no"}, 404))
        sources = Sources(target="pod/llm-0", namespace="prod", kubeconfig=kubeconfig(tmp_path, server.url))
        (got,) = answers(await looked(sources)).values()
    assert isinstance(got, Missing)
    assert got.reason == "not_found"


async def test_what_was_asked_is_kept_as_it_can_be_written_and_as_the_evidence_has_it() -> None:
    got = await looked(Sources(log="/dev/null"), model="m\udce9\x1b[31m\u200b")
    assert got.asked == Asked(tree="load-failure", model="m\ufffd")
