"""The questions about a cluster, on a cluster of fixed objects: what each brings, what it says where there is nothing, and what it
costs."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from telemetry.kubernetes_api import KubernetesError
from tests.kube.canned_api import CannedApi
from triage.cluster_views import (
    ClusterEvent,
    ClusterEvents,
    HpaView,
    NoCanary,
    Nodes,
    NoHpa,
    PodPlacements,
    Rollouts,
)
from triage.collect import Question
from triage.evidence import Evidence, Facts, Missing
from triage.probes.cluster import cluster_questions
from triage.probes.cluster_facts import missing
from triage.seal import Seal

CORE = "/api/v1/namespaces/prod"
APPS = "/apis/apps/v1/namespaces/prod"
HPAS = "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers"
TIME = "2026-11-22T12:00:00Z"
SECONDS = 1795348800.0


class Plain:
    masked = 0

    def line(self, line: str, /) -> str:
        return line

    def value(self, value: Any, /) -> Any:
        return value


class FilteringApi(CannedApi):
    """Answers a field selector of an object's kind, as the API server does."""

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        body = await super().get(path, query)
        wanted = (query or {}).get("fieldSelector", "").partition("kind=")[2].partition(",")[0]
        if not wanted:
            return body
        items = msgspec.json.decode(body)["items"]
        return msgspec.json.encode(
            {"items": [each for each in items if each["involvedObject"]["kind"] == wanted]}
        )


async def test_every_answer_passes_the_seal_and_pods_are_looked_up_once() -> None:
    api = FilteringApi(cluster())
    answers = await asked_all(api, "deploy/llm")
    for probe, (question, facts) in answers.items():
        assert not isinstance(facts, Missing), probe
        evidence = Evidence(
            id=question.id,
            probe=probe,
            source=question.source,
            query=question.query,
            command=question.command,
            fetched_at=TIME,
            facts=facts,
        )
        assert Seal(Plain()).evidence(evidence).facts == facts
    assert {probe: type(facts) for probe, (_, facts) in answers.items()} == {
        "cluster_events": ClusterEvents,
        "placements": PodPlacements,
        "rollouts": Rollouts,
        "canary": NoCanary,
        "hpa": HpaView,
        "nodes": Nodes,
    }
    assert api.asked.count(f"{CORE}/pods") == 2  # which they are, and where they run


async def test_events_are_of_the_workload_its_pods_that_are_gone_too_and_its_autoscaler() -> None:
    """A namesake's are not, though its name begins alike."""
    _, facts = (await asked_all(FilteringApi(cluster()), "deploy/llm"))["cluster_events"]
    assert isinstance(facts, ClusterEvents)
    assert sorted(event.object for event in facts.events) == [
        "deployment/llm",
        "horizontalpodautoscaler/llm-scaler",
        "pod/llm-6b47547cfd-x5k2p",
        "pod/llm-a-1",
        "replicaset/llm-6b47547cfd",
    ]
    assert facts.events[0] == ClusterEvent(SECONDS, SECONDS, "deployment/llm", "R", "of llm", 1)


@pytest.mark.parametrize(
    ("target", "objects", "probes", "detail"),
    [
        ("app=llm", {}, ["placements", "nodes", "rollouts", "hpa", "cluster_events"], ""),
        (
            "app=llm",
            {"metadata": {"name": "x", "uid": "x"}},
            ["rollouts", "hpa", "cluster_events"],
            "no workload owns",
        ),
        (
            "app=llm",
            {
                "metadata": {
                    "name": "x",
                    "uid": "x",
                    "ownerReferences": [
                        {"kind": "Job", "name": "j", "uid": "j", "apiVersion": "batch/v1", "controller": True}
                    ],
                }
            },
            ["rollouts", "cluster_events"],
            "",
        ),
    ],
    ids=["no-pods", "a-bare-pod", "a-job"],
)
async def test_what_is_not_there_is_said_and_is_no_fault(
    target: str, objects: Mapping[str, Any], probes: list[str], detail: str
) -> None:
    pods = [{**objects, "spec": {"containers": [{"name": "triton"}], "nodeName": "a"}}] if objects else []
    api = CannedApi(
        {
            f"{CORE}/pods": {"items": pods},
            f"{CORE}/events": {"items": []},
            HPAS: {"items": []},
            "/api/v1/nodes/a": {"metadata": {"name": "a"}},
        }
    )
    answers = await asked_all(api, target)
    silent = {probe: facts for probe, (_, facts) in answers.items() if isinstance(facts, Missing)}
    assert sorted(silent) == sorted(probes)
    assert {facts.reason for facts in silent.values()} <= {"not_found", "expired"}
    assert all(detail in silent[probe].detail for probe in probes)


async def test_a_workload_without_pods_still_has_its_rollouts_and_events() -> None:
    """As when a quota refuses them all."""
    objects = cluster()
    objects[f"{CORE}/pods"] = {"items": []}
    objects[HPAS] = {"items": []}
    answers = {
        probe: facts for probe, (_, facts) in (await asked_all(FilteringApi(objects), "deploy/llm")).items()
    }
    assert isinstance(answers["rollouts"], Rollouts)
    assert isinstance(answers["cluster_events"], ClusterEvents)
    assert answers["hpa"] == NoHpa()
    assert isinstance(answers["placements"], Missing)
    assert isinstance(answers["nodes"], Missing)


async def test_a_question_that_is_cut_off_leaves_the_others_their_answer() -> None:
    class Slow(FilteringApi):
        stuck = True

        async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
            if self.stuck:
                self.stuck = False
                await asyncio.Event().wait()
            return await super().get(path, query)

    questions = {
        question.probe: question for question in cluster_questions(Slow(cluster()), "prod", "deploy/llm")
    }
    cut_off = asyncio.create_task(answer(questions["placements"]))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(answer(questions["nodes"]))
    await asyncio.sleep(0)
    cut_off.cancel()
    assert isinstance(await waiting, Nodes)


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        (
            KubernetesError(
                "x",
                status=403,
                detail='nodes "a" is forbidden: User "u" cannot get resource "nodes" in API group "" at the cluster scope',
            ),
            "forbidden",
            'add to the ClusterRole: apiGroups: [""], resources: [nodes], verbs: [get]',
        ),
        (
            KubernetesError(
                "x",
                status=403,
                detail='User "u" cannot list resource "replicasets" in API group "apps" in the namespace "prod"',
            ),
            "forbidden",
            'add to the Role: apiGroups: ["apps"], resources: [replicasets], verbs: [list]',
        ),
        (
            KubernetesError("x", status=403, detail="no"),
            "forbidden",
            "grant the right that the message names",
        ),
        (KubernetesError("x", status=404), "not_found", "check the name and -n"),
        (KubernetesError("x", status=500), "refused", "see the message"),
        (KubernetesError("x", reason="Timeout"), "timeout", "ask again; the API server may be busy"),
        (
            KubernetesError("x", reason="Unreachable"),
            "unreachable",
            "check --kubeconfig, --context and the way to the API server",
        ),
    ],
)
def test_a_refusal_says_what_would_help(error: KubernetesError, reason: str, remedy: str) -> None:
    assert missing(error) == Missing(reason, "x", remedy)  # type: ignore[arg-type]


async def answer(question: Question) -> Facts | Missing:
    return (await question.ask(Seal(Plain()))).facts


async def asked_all(api: CannedApi, target: str) -> dict[str, tuple[Question, Facts | Missing]]:
    questions = cluster_questions(api, "prod", target)
    answers = await asyncio.gather(*map(answer, questions))
    return {question.probe: (question, facts) for question, facts in zip(questions, answers, strict=True)}


def cluster() -> dict[str, Any]:
    """A Deployment with one pod, its ReplicaSet, its autoscaler, and events of it and of a namesake."""

    def owned_by(kind: str, name: str) -> list[dict[str, Any]]:
        return [{"kind": kind, "name": name, "uid": name, "apiVersion": "apps/v1", "controller": True}]

    labels = {"app": "llm", "pod-template-hash": "a"}
    template = {"spec": {"containers": [{"name": "triton", "image": "triton"}]}}
    deployment = {
        "metadata": {"name": "llm", "uid": "llm", "creationTimestamp": TIME},
        "spec": {"selector": {"matchLabels": {"app": "llm"}}, "replicas": 1},
    }
    replicaset = {
        "metadata": {
            "name": "llm-a",
            "uid": "llm-a",
            "creationTimestamp": TIME,
            "labels": labels,
            "ownerReferences": owned_by("Deployment", "llm"),
        },
        "spec": {"template": template},
    }
    pod = {
        "metadata": {
            "name": "llm-a-1",
            "uid": "1",
            "labels": labels,
            "creationTimestamp": TIME,
            "ownerReferences": owned_by("ReplicaSet", "llm-a"),
        },
        "spec": {**template["spec"], "nodeName": "gpu-1"},
        "status": {"phase": "Running"},
    }
    names = [
        ("Deployment", "llm"),
        ("Deployment", "llm-too"),
        ("ReplicaSet", "llm-6b47547cfd"),
        ("ReplicaSet", "llm-too-6b47547cfd"),
        ("Pod", "llm-a-1"),
        ("Pod", "llm-6b47547cfd-x5k2p"),
        ("Pod", "llm-too-0"),
        ("Pod", "llm-too-6b47547cfd-x5k2p"),
        ("HorizontalPodAutoscaler", "llm-scaler"),
        ("HorizontalPodAutoscaler", "llm"),
    ]
    events = [
        {
            "involvedObject": {"kind": kind, "name": name},
            "reason": "R",
            "message": f"of {name}",
            "firstTimestamp": TIME,
        }
        for kind, name in names
    ]
    hpa = {
        "metadata": {"name": "llm-scaler"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "llm"}, "maxReplicas": 2},
    }
    return {
        f"{APPS}/deployments/llm": deployment,
        f"{APPS}/replicasets": {"items": [replicaset]},
        f"{CORE}/pods": {"items": [pod]},
        f"{CORE}/events": {"items": events},
        HPAS: {"items": [hpa]},
        "/api/v1/nodes/gpu-1": {"metadata": {"name": "gpu-1"}},
    }
