"""What a person's words ask of the API server, and which of its pods they mean."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from telemetry.kube_client import KubernetesClient
from telemetry.kubernetes_api import KubernetesError
from telemetry.pod_lookup import PodTargetError, find_pods
from tests.kube.api_server import ApiServer, answer, api_server, kubeconfig, page, pod, refusal
from tests.kube.canned_api import CannedApi

PODS = "/api/v1/namespaces/prod/pods"
APPS = "/apis/apps/v1/namespaces/prod"


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[tuple[ApiServer, KubernetesClient]]:
    async with (
        api_server() as server,
        KubernetesClient(kubeconfig=kubeconfig(folder, server.url)) as client,
    ):
        yield server, client


def workload(name: str, **selector: object) -> dict[str, Any]:
    return pod(name) | {"spec": {"selector": selector or {"matchLabels": {"app": name}}}}


def owned(name: str, kind: str, owner: str, **labels: str) -> dict[str, Any]:
    reference = {
        "kind": kind,
        "name": owner,
        "uid": f"uid-{owner}",
        "apiVersion": "apps/v1",
        "controller": True,
    }
    return pod(name, ownerReferences=[reference], labels={k.replace("_", "-"): v for k, v in labels.items()})


async def names(api: KubernetesClient, target: str) -> list[str]:
    return [found.metadata.name for found in await find_pods(api, "prod", target)]


async def test_a_pod_by_its_name(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{PODS}/llm-0", answer(pod("llm-0") | {"spec": {"containers": [], "nodeName": "n1"}}))
        (found,) = await find_pods(client, "prod", "pod/llm-0")
    assert (found.key, found.spec.node_name) == (("prod", "llm-0", "uid-llm-0"), "n1")


async def test_a_selector_is_passed_on_and_every_page_read(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        selected = f"{PODS}?labelSelector=app in (a, b),!canary&limit=500"
        server.expect(selected, page(pod("a"), following="more"))
        server.expect(f"{PODS}?continue=more&labelSelector=app in (a, b),!canary&limit=500", page(pod("b")))
        assert await names(client, "app in (a, b),!canary") == ["a", "b"]


async def test_a_deployment_has_the_pods_of_its_replicasets(tmp_path: Path) -> None:
    """Another owner's pods and bare ones may have the same labels."""
    async with connected(tmp_path) as (server, client):
        server.expect(f"{APPS}/deployments/llm", answer(workload("llm")))
        server.expect(
            f"{APPS}/replicasets?labelSelector=app=llm&limit=500",
            page(
                owned("llm-1", "Deployment", "llm"),
                owned("llm-2", "Deployment", "llm"),
                owned("other-1", "Deployment", "other"),
            ),
        )
        server.expect(
            f"{PODS}?labelSelector=app=llm&limit=500",
            page(
                owned("new", "ReplicaSet", "llm-2"),
                owned("old", "ReplicaSet", "llm-1"),
                owned("others", "ReplicaSet", "other-1"),
                pod("bare"),
            ),
        )
        assert await names(client, "deployment.apps/llm") == ["new", "old"]


async def test_without_the_right_to_list_replicasets_their_names_tell(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{APPS}/deployments/llm", answer(workload("llm")))
        server.expect(f"{APPS}/replicasets?labelSelector=app=llm&limit=500", refusal(403, "Forbidden", "no"))
        server.expect(
            f"{PODS}?labelSelector=app=llm&limit=500",
            page(
                owned("mine", "ReplicaSet", "llm-5d", pod_template_hash="5d"),
                owned("others", "ReplicaSet", "llm-two-5d", pod_template_hash="5d"),
            ),
        )
        assert await names(client, "deploy/llm") == ["mine"]


async def test_a_statefulset_owns_its_pods_itself(tmp_path: Path) -> None:
    expressions = [
        {"key": "app", "operator": "In", "values": ["llm", "big"]},
        {"key": "tier", "operator": "NotIn", "values": ["test"]},
        {"key": "gpu", "operator": "Exists"},
        {"key": "canary", "operator": "DoesNotExist"},
    ]
    query = "team=ml,app in (llm,big),tier notin (test),gpu,!canary"
    async with connected(tmp_path) as (server, client):
        found = workload("llm", matchLabels={"team": "ml"}, matchExpressions=expressions)
        server.expect(f"{APPS}/statefulsets/llm", answer(found))
        server.expect(
            f"{PODS}?labelSelector={query}&limit=500",
            page(owned("llm-0", "StatefulSet", "llm"), owned("x", "StatefulSet", "other")),
        )
        assert await names(client, "sts/llm") == ["llm-0"]


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{APPS}/daemonsets/llm", refusal(404, "NotFound", 'daemonsets.apps "llm" not found'))
        with pytest.raises(KubernetesError) as got:
            await find_pods(client, "prod", "ds/llm")
    assert (got.value.status, str(got.value)) == (
        404,
        'cannot get daemonsets.apps "llm" in namespace "prod": 404 daemonsets.apps "llm" not found',
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (pod("llm"), "malformed answer for .*replicasets/llm: .*spec"),
        (workload("llm", matchLabels={}), "its selector is empty"),
        (
            workload("llm", matchExpressions=[{"key": "a", "operator": "Gt"}]),
            "its selector has the unknown operator 'Gt'",
        ),
        ("<html>", "malformed answer"),
    ],
)
async def test_a_malformed_workload_is_an_error(tmp_path: Path, found: object, said: str) -> None:
    async with connected(tmp_path) as (server, client):
        server.expect(f"{APPS}/replicasets/llm", answer(found))
        with pytest.raises(KubernetesError, match=said):
            await find_pods(client, "prod", "rs/llm")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (
            "llm-0",
            "'llm-0' is neither KIND/NAME nor a label selector: did you mean pod/llm-0? Accepted: pod/NAME",
        ),
        (
            "cronjob/x",
            "'cronjob/x': no pods are known of kind 'cronjob'; accepted: pod/NAME, deployment/NAME",
        ),
        ("pod/../secrets", "'pod/../secrets': '../secrets' is no name of a Pod"),
        ("pod/", "'' is no name"),
        ("", "'' is neither"),
    ],
)
async def test_words_without_meaning_ask_nothing(target: str, said: str) -> None:
    with pytest.raises(PodTargetError) as got:
        await find_pods(CannedApi({}), "prod", target)
    assert said in str(got.value)
