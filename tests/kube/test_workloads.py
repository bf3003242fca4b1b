"""From a pod up its owners to what a person scales."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from telemetry.listwatch import ObjectMeta, OwnerReference
from telemetry.target import Workload
from telemetry.workloads import Ascent, WorkloadLookup, ascend
from tests.kube.canned_api import CannedApi


def owner(kind: str, name: str, api_version: str = "apps/v1") -> OwnerReference:
    return OwnerReference(kind, name, f"uid-{name}", api_version, True)


def meta(name: str, owned_by: OwnerReference | None = None, **labels: str) -> ObjectMeta:
    owners = [owned_by] if owned_by else None
    labelled = {key.replace("_", "-"): value for key, value in labels.items()}
    return ObjectMeta(name, "prod", f"uid-{name}", labels=labelled, owner_references=owners)


def raw(name: str, *owners: OwnerReference, uid: str = "") -> dict[str, Any]:
    references = [
        {
            "kind": o.kind,
            "name": o.name,
            "uid": o.uid,
            "apiVersion": o.api_version,
            "controller": o.controller,
        }
        for o in owners
    ]
    return {
        "metadata": {
            "name": name,
            "namespace": "prod",
            "uid": uid or f"uid-{name}",
            "ownerReferences": references,
        }
    }


REPLICASET = owner("ReplicaSet", "llm-5d4f")
OF_DEPLOYMENT = meta("llm-5d4f-x", REPLICASET, pod_template_hash="5d4f")
OF_ROLLOUT = meta("r-9c-x", owner("ReplicaSet", "r-9c"), rollouts_pod_template_hash="9c")
REPLICASET_PATH = "/apis/apps/v1/namespaces/prod/replicasets/llm-5d4f"
LWS = owner("LeaderWorkerSet", "big", "leaderworkerset.x-k8s.io/v1")


class Case:
    """A look-up beside its API, run until nothing is left to ask."""

    def __init__(self, objects: dict[str, object], *forbidden: str, most_owners: int = 100) -> None:
        self.api = CannedApi(objects, forbidden)
        self.now = 0.0
        self.changes = 0
        self.lookup = WorkloadLookup(
            self.api, self._changed, most_owners=most_owners, retry_seconds=300, clock=lambda: self.now
        )

    def _changed(self) -> None:
        self.changes += 1

    async def settled(self, pod: ObjectMeta) -> Ascent:
        task = asyncio.create_task(self.lookup.run())
        before, ascent = None, self.lookup.of(pod)
        while ascent != before:
            for _ in range(5):
                await asyncio.sleep(0)
            before, ascent = ascent, self.lookup.of(pod)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return ascent


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        (meta("bare"), None),
        (meta("d-1", owner("DaemonSet", "d")), Workload("DaemonSet", "d")),
        (meta("j-1", owner("Job", "j", "batch/v1")), Workload("Job", "j")),
        (meta("x-1", owner("Own", "x", "example.com/v1")), Workload("Own", "x")),
    ],
)
def test_an_owner_at_the_top_needs_no_look_up(pod: ObjectMeta, workload: Workload | None) -> None:
    assert ascend(pod, {}) == Ascent(workload, False, None)


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        (OF_DEPLOYMENT, Workload("Deployment", "llm")),
        (
            meta("r-9c-x", owner("ReplicaSet", "r-9c"), rollouts_pod_template_hash="9c"),
            Workload("Rollout", "r"),
        ),
        (meta("own-x", owner("ReplicaSet", "own")), Workload("ReplicaSet", "own")),
        (meta("s-0", owner("StatefulSet", "s")), Workload("StatefulSet", "s")),
    ],
)
def test_until_the_owner_is_known_the_pods_labels_name_the_workload_as_a_guess(
    pod: ObjectMeta, workload: Workload
) -> None:
    found = ascend(pod, {})
    assert (found.workload, found.guessed) == (workload, True)


def test_a_leader_worker_sets_label_names_it() -> None:
    pod = ObjectMeta(
        "big-0-1",
        "prod",
        "u",
        labels={"leaderworkerset.sigs.k8s.io/name": "big"},
        owner_references=[owner("StatefulSet", "big-0")],
    )
    assert ascend(pod, {}).workload == Workload("LeaderWorkerSet", "big")


async def test_a_deployment_is_found_through_its_replicaset_and_asked_for_once() -> None:
    case = Case({REPLICASET_PATH: raw("llm-5d4f", owner("Deployment", "llm"))})
    assert await case.settled(OF_DEPLOYMENT) == Ascent(Workload("Deployment", "llm"), False, None)
    assert await case.settled(OF_DEPLOYMENT) == Ascent(Workload("Deployment", "llm"), False, None)
    assert (case.api.asked, case.changes) == ([REPLICASET_PATH], 1)


async def test_a_rollout_owns_its_replicasets() -> None:
    case = Case({REPLICASET_PATH: raw("llm-5d4f", owner("Rollout", "llm", "argoproj.io/v1alpha1"))})
    assert (await case.settled(OF_DEPLOYMENT)).workload == Workload("Rollout", "llm")


async def test_a_statefulset_without_an_owner_is_the_top() -> None:
    case = Case({"/apis/apps/v1/namespaces/prod/statefulsets/s": raw("s")})
    found = await case.settled(meta("s-0", owner("StatefulSet", "s")))
    assert found == Ascent(Workload("StatefulSet", "s"), False, None)


async def test_a_worker_of_a_leader_worker_set_climbs_through_its_leaders_pod() -> None:
    case = Case(
        {
            "/apis/apps/v1/namespaces/prod/statefulsets/big-0": raw("big-0", owner("Pod", "big-0-pod", "v1")),
            "/api/v1/namespaces/prod/pods/big-0-pod": raw("big-0-pod", owner("StatefulSet", "big")),
            "/apis/apps/v1/namespaces/prod/statefulsets/big": raw("big", LWS),
        }
    )
    found = await case.settled(meta("big-0-1", owner("StatefulSet", "big-0")))
    assert found == Ascent(Workload("LeaderWorkerSet", "big"), False, None)


async def test_without_the_right_the_guess_stays_and_the_right_is_tried_again_later() -> None:
    case = Case({REPLICASET_PATH: raw("llm-5d4f", owner("Deployment", "llm"))}, REPLICASET_PATH)
    assert (await case.settled(OF_DEPLOYMENT)).guessed
    assert (await case.settled(OF_DEPLOYMENT)).guessed
    assert len(case.api.asked) == 1
    assert case.lookup.problem_of(OF_DEPLOYMENT) == NO_RIGHT
    case.api.forbidden.clear()
    case.now = 300.0
    assert await case.settled(OF_DEPLOYMENT) == Ascent(Workload("Deployment", "llm"), False, None)
    assert case.lookup.problem_of(OF_DEPLOYMENT) == ""


NO_RIGHT = (
    'no right to get replicasets.apps in namespace "prod", so workloads are named by their pods\' labels alone:'
    ' grant this identity the right to get replicasets.apps in namespace "prod"'
)


async def test_a_refusal_is_logged_once_for_all_owners_of_a_kind_and_so_is_its_end() -> None:
    second = REPLICASET_PATH.replace("llm-5d4f", "r-9c")
    objects: dict[str, object] = {
        REPLICASET_PATH: raw("llm-5d4f", owner("Deployment", "llm")),
        second: raw("r-9c"),
    }
    case = Case(objects, REPLICASET_PATH, second)
    with capture_logs() as logs:
        await case.settled(OF_DEPLOYMENT)
        await case.settled(OF_ROLLOUT)
        assert case.lookup.problem_of(OF_ROLLOUT) == NO_RIGHT
        case.api.forbidden.clear()
        case.now = 300.0
        await case.settled(OF_DEPLOYMENT)
        await case.settled(OF_ROLLOUT)
    assert [(entry["event"], entry.get("cause")) for entry in logs] == [
        ("owners of pods cannot be looked up", NO_RIGHT),
        ("owners of pods are looked up again", None),
    ]


async def test_an_owner_that_is_gone_is_nobodys_trouble() -> None:
    case = Case({})
    assert (await case.settled(OF_DEPLOYMENT)).guessed
    assert case.lookup.problem_of(OF_DEPLOYMENT) == ""


async def test_what_was_not_answered_is_asked_again_though_no_pod_changes() -> None:
    """An API server that was away for a moment must not leave a guess for ever."""
    case = Case({REPLICASET_PATH: raw("llm-5d4f", owner("Deployment", "llm"))})
    case.api.unanswered = 2
    found = asyncio.Event()

    def ask_again() -> None:
        if not case.lookup.of(OF_DEPLOYMENT).guessed:
            found.set()

    case.lookup = WorkloadLookup(case.api, ask_again, unanswered_retry_seconds=0.01)
    assert case.lookup.of(OF_DEPLOYMENT).guessed
    running = asyncio.create_task(case.lookup.run())
    await asyncio.wait_for(found.wait(), 10)
    running.cancel()
    assert len(case.api.asked) == 3


async def test_an_owner_that_was_made_anew_is_not_this_pods_owner() -> None:
    case = Case({REPLICASET_PATH: raw("llm-5d4f", owner("Deployment", "other"), uid="another")})
    assert await case.settled(OF_DEPLOYMENT) == Ascent(Workload("Deployment", "llm"), True, REPLICASET)


async def test_owners_that_own_each_other_end() -> None:
    one, two = owner("StatefulSet", "one"), owner("StatefulSet", "two")
    case = Case(
        {
            "/apis/apps/v1/namespaces/prod/statefulsets/one": raw("one", two),
            "/apis/apps/v1/namespaces/prod/statefulsets/two": raw("two", one),
        }
    )
    assert (await case.settled(meta("p", one))).guessed


async def test_the_memory_for_owners_is_bounded() -> None:
    base = "/apis/apps/v1/namespaces/prod/statefulsets"
    case = Case({f"{base}/s{i}": raw(f"s{i}") for i in range(5)}, most_owners=2)
    for i in range(5):
        await case.settled(meta(f"s{i}-0", owner("StatefulSet", f"s{i}")))
    assert len(case.lookup._owners) == 2
