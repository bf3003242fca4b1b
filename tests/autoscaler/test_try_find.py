"""The workload that was meant, told by its pods alone; and what is said when there is none."""

import pytest

from autoscaler.trial.find import Asked, FleetFinder, parse_asked
from autoscaler.trial.problem import TrialError
from telemetry.target import Workload
from tests.kube.canned_api import CannedApi

PODS = "/api/v1/namespaces/prod/pods"
HPAS = "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers"


def pod(name: str, kind: str, owner: str, **labels: str) -> dict[str, object]:
    reference = {
        "kind": kind,
        "name": owner,
        "uid": f"uid-{owner}",
        "apiVersion": "apps/v1",
        "controller": True,
    }
    metadata = {"name": name, "namespace": "prod", "uid": f"uid-{name}", "labels": labels}
    return {"metadata": {**metadata, "ownerReferences": [reference]}}


def of_deployment(name: str, number: int, digest: str = "5d4f8") -> dict[str, object]:
    labels = {"app": name, "pod-template-hash": digest}
    return pod(f"{name}-{digest}-{number}", "ReplicaSet", f"{name}-{digest}", **labels)


FLEET = [
    of_deployment("triton", 2),
    of_deployment("triton", 1, "77b6d"),
    of_deployment("triton-canary", 1),
    pod("llm-0", "StatefulSet", "llm", app="llm"),
    pod("agent-x", "DaemonSet", "agent"),
]


def finder(words: str, *pods: object) -> tuple[FleetFinder, CannedApi]:
    api = CannedApi({PODS: {"items": list(pods)}})
    return FleetFinder(api, "prod", parse_asked(words)), api


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("my-triton", Asked("my-triton", None)),
        ("deployment/my-triton", Asked("my-triton", "Deployment")),
        ("deploy/x", Asked("x", "Deployment")),
        ("sts/x", Asked("x", "StatefulSet")),
        ("statefulsets.apps/x", Asked("x", "StatefulSet")),
        ("rollout/x", Asked("x", "Rollout")),
    ],
)
def test_words_as_kubectls_users_type_them(words: str, asked: Asked) -> None:
    assert parse_asked(words) == asked


@pytest.mark.parametrize(
    "words", ["", "x/", "pod/x", "ds/x", "cm/x", "deploy/A", "../../x", "deploy/a/b", "a b"]
)
def test_other_words_are_a_mistake_of_the_command(words: str) -> None:
    with pytest.raises(TrialError) as refused:
        parse_asked(words)
    assert refused.value.usage


async def test_a_deployments_pods_are_those_of_all_its_revisions_and_of_no_other() -> None:
    found, api = finder("triton", *FLEET)
    assert [pod.metadata.name for pod in await found.find()] == ["triton-5d4f8-2", "triton-77b6d-1"]
    assert (found.workload, api.asked) == (Workload("Deployment", "triton"), [PODS])


async def test_the_next_look_asks_for_its_pods_alone() -> None:
    """By labels that a new revision has too."""
    found, api = finder("triton", *FLEET)
    await found.find()
    queries: list[object] = []
    get = api.get

    async def noting(path: str, query: object = None) -> bytes:
        queries.append(query)
        return await get(path)

    api.get = noting  # type: ignore[method-assign]
    await found.find()
    assert queries == [{"labelSelector": "app=triton", "limit": "500"}]


async def test_a_statefulsets_pods_by_its_short_name() -> None:
    found, _ = finder("sts/llm", *FLEET)
    assert [pod.metadata.name for pod in await found.find()] == ["llm-0"]


@pytest.mark.parametrize(
    ("words", "said", "usage"),
    [
        ("trito", "no pods of trito in namespace prod; pods there belong to deployment/triton, ", False),
        (
            "sts/triton",
            "no pods of statefulset/triton in namespace prod; pods there belong to deployment",
            False,
        ),
        ("agent", "agent is a DaemonSet, which no HPA scales by its pods", False),
    ],
)
async def test_a_wrong_name_is_told_with_what_is_there(words: str, said: str, usage: bool) -> None:
    found, _ = finder(words, *FLEET)
    with pytest.raises(TrialError) as refused:
        await found.find()
    assert (str(refused.value)[: len(said)], refused.value.usage) == (said, usage)


async def test_an_empty_namespace_asks_for_the_right_one() -> None:
    found, _ = finder("triton")
    with pytest.raises(TrialError, match="namespace prod has no pods: is it the right one"):
        await found.find()


async def test_a_name_of_two_workloads_is_asked_back() -> None:
    found, _ = finder("triton", *FLEET, pod("triton-0", "StatefulSet", "triton"))
    with pytest.raises(TrialError, match="both deployment/triton and statefulset/triton") as refused:
        await found.find()
    assert refused.value.usage


async def test_a_name_that_no_selector_can_hold_is_refused() -> None:
    long = "t" * 64
    found, _ = finder(long, of_deployment(long, 1))
    with pytest.raises(TrialError, match="cannot be selected by an HPA's metric"):
        await found.find()


async def test_who_scales_the_workload_already_is_told_and_no_right_to_look_is_no_failure() -> None:
    found, api = finder("triton", *FLEET)
    await found.find()
    refs = {"web": ("Deployment", "triton"), "other": ("StatefulSet", "triton")}
    items = [
        {"metadata": {"name": name}, "spec": {"scaleTargetRef": {"kind": kind, "name": target}}}
        for name, (kind, target) in refs.items()
    ]
    api.objects[HPAS] = {"items": items}
    assert await found.other_scalers() == ["web"]
    api.forbidden.add(HPAS)
    assert await found.other_scalers() == ()
