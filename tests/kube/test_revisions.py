"""A workload's history from its templates, and when each was last rolled out, by what the cluster still tells."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from telemetry.flagger import FlaggerCanary, read_canary
from telemetry.kubernetes_api import KubernetesError
from telemetry.managed_by import Owner, owner_of
from telemetry.object_events import ObjectEvent
from telemetry.revision_reader import read_revisions
from telemetry.revisions import Birth, Revision, Sign, Template, revisions_of, scale_up_signs
from telemetry.target import Workload
from tests.kube.canned_api import CannedApi

APPS = "/apis/apps/v1/namespaces/prod"
EVENTS = "/api/v1/namespaces/prod/events"


def at(minute: int) -> datetime:
    return datetime(2026, 11, 22, 12, minute, tzinfo=UTC)


def template(number: int, name: str, minute: int, image: str, *earlier: int) -> Template:
    pod = {"spec": {"containers": [{"name": "triton", "image": image}]}}
    return Template(number, name, f"llm-{name}", at(minute), 0, pod, earlier)


def told(revisions: Sequence[Revision]) -> list[tuple[int, datetime | None, int | None, tuple[str, ...]]]:
    return [(each.number, each.rolled_out_at, each.compared_with, each.changes) for each in revisions]


def test_a_new_template_was_rolled_out_when_it_was_made() -> None:
    """Whatever happens to its pods later."""
    later = [Birth("b", at(50))]
    assert told(revisions_of([template(2, "b", 20, "v2"), template(1, "a", 10, "v1")], later)) == [
        (1, at(10), None, ()),
        (2, at(20), 1, ("image of triton: v1 -> v2",)),
    ]


ROLLED_BACK = [template(2, "b", 20, "v2"), template(3, "a", 10, "v1", 1)]


@pytest.mark.parametrize(
    ("births", "signs", "when"),
    [
        ([], [], None),
        ([Birth("a", at(40)), Birth("a", at(31))], [], at(31)),
        ([Birth("a", at(31))], [Sign("llm-a", at(30)), Sign("llm-a", at(33))], at(30)),
        ([Birth("a", at(11))], [Sign("llm-a", at(10))], None),
        ([Birth("b", at(31))], [Sign("llm-b", at(30))], None),
        ([Birth("a", at(20))], [], None),
    ],
    ids=[
        "nothing-left",
        "its-first-pod",
        "its-first-event",
        "before-the-other-template",
        "of-the-other-template",
        "in-the-same-second",
    ],
)
def test_a_template_that_is_returned_to_was_rolled_out_at_the_first_sign_since(
    births: list[Birth], signs: list[Sign], when: datetime | None
) -> None:
    """Its predecessor's change is still against what is now number 3."""
    assert told(revisions_of(ROLLED_BACK, births, signs)) == [
        (2, at(20), 1, ("image of triton: v1 -> v2",)),
        (3, when, 2, ("image of triton: v2 -> v1",)),
    ]


def test_an_older_object_with_a_higher_number_was_returned_to_though_nothing_else_says_so() -> None:
    """As ControllerRevisions are, which keep no list of their numbers."""
    first, second = template(3, "a", 10, "v1"), template(2, "b", 20, "v2")
    assert told(revisions_of([first, second], [Birth("a", at(30))])) == [
        (2, at(20), None, ()),
        (3, at(30), 2, ("image of triton: v2 -> v1",)),
    ]


def test_only_scaling_up_is_a_sign_of_a_rollout() -> None:
    def event(message: str, reason: str = "ScalingReplicaSet") -> ObjectEvent:
        return ObjectEvent("Deployment", "llm", reason, message, at(1), at(5), 2)

    up = "Scaled up replica set llm-a from 0 to 1"
    assert scale_up_signs(event(up)) == [Sign("llm-a", at(1)), Sign("llm-a", at(5))]
    assert scale_up_signs(event("Scaled down replica set llm-a from 1 to 0")) == []
    assert scale_up_signs(event(up, reason="Other")) == []


async def test_a_deployments_history_is_of_the_replica_sets_that_it_owns() -> None:
    found = await read_revisions(cluster(), "prod", Workload("Deployment", "llm"))
    assert (found.owner, found.replicas, found.updated, found.available, found.paused) == (
        Owner("helm", "llm", "prod"),
        2,
        1,
        0,
        True,
    )
    assert [(each.number, each.hash, each.replicas) for each in found.revisions] == [(4, "b", 1), (5, "a", 2)]
    assert [each.rolled_out_at for each in found.revisions] == [at(20), at(35)]
    assert found.revisions[-1].earlier_numbers == (1, 3)


async def test_events_that_may_not_be_read_cost_only_their_signs() -> None:
    """The note of progress is left."""
    api = cluster()
    api.forbidden.add(EVENTS)
    found = await read_revisions(api, "prod", Workload("Deployment", "llm"))
    assert [each.rolled_out_at for each in found.revisions] == [at(20), at(40)]
    api.forbidden.add(f"{APPS}/replicasets")
    with pytest.raises(KubernetesError):
        await read_revisions(api, "prod", Workload("Deployment", "llm"))


async def test_a_daemon_set_counts_in_its_own_words() -> None:
    data = {"spec": {"template": {"$patch": "replace", "spec": {"containers": []}}}}
    labels = {"controller-revision-hash": "a"}
    revision = {"metadata": owned("ds-a", 10, labels=labels), "revision": 1, "data": data}
    status = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 2, "numberAvailable": 1}
    daemon_set = {
        "metadata": metadata("ds", 1),
        "spec": {"selector": {"matchLabels": {"app": "ds"}}},
        "status": status,
    }
    api = CannedApi(
        {f"{APPS}/daemonsets/ds": daemon_set, f"{APPS}/controllerrevisions": {"items": [revision]}}
    )
    births = [Birth("a", at(11)), Birth("a", at(12)), Birth("old", at(9))]
    found = await read_revisions(api, "prod", Workload("DaemonSet", "ds"), births)
    assert (found.replicas, found.updated, found.available) == (3, 2, 1)
    assert [(each.hash, each.replicas) for each in found.revisions] == [("a", 2)]


HELM = {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "llm"}
RELEASE = {"meta.helm.sh/release-name": "llm", "meta.helm.sh/release-namespace": "prod"}
FLUX = {"helm.toolkit.fluxcd.io/name": "llm", "helm.toolkit.fluxcd.io/namespace": "flux-system"}
KUSTOMIZE = {
    "kustomize.toolkit.fluxcd.io/name": "apps",
    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
}


@pytest.mark.parametrize(
    ("labels", "annotations", "managers", "owner"),
    [
        ({}, {}, {"kubectl-client-side-apply"}, Owner("")),
        (HELM, RELEASE, {"helm"}, Owner("helm", "llm", "prod")),
        (HELM, {}, {"kubectl"}, Owner("")),  # a chart that was rendered and applied
        ({**HELM, **FLUX}, RELEASE, set(), Owner("flux", "helmrelease/llm", "flux-system")),
        (KUSTOMIZE, {}, set(), Owner("flux", "kustomization/apps", "flux-system")),
        (
            HELM,
            {"argocd.argoproj.io/tracking-id": "llm-prod:apps/Deployment:prod/llm"},
            set(),
            Owner("argocd", "llm-prod"),
        ),
        (
            {},
            {"argocd.argoproj.io/tracking-id": "team_llm:apps/Deployment:prod/llm"},
            set(),
            Owner("argocd", "team/llm"),
        ),
        ({"argocd.argoproj.io/instance": "llm-prod"}, {}, set(), Owner("argocd", "llm-prod")),
        (HELM, {}, {"argocd-controller"}, Owner("argocd", "llm")),
    ],
)
def test_the_owner_is_told_by_its_own_marks(
    labels: dict[str, str], annotations: dict[str, str], managers: set[str], owner: Owner
) -> None:
    assert owner_of(labels, annotations, managers) == owner


def metadata(name: str, minute: int, **more: object) -> dict[str, object]:
    created = f"2026-11-22T12:{minute:02}:00Z"
    return {"name": name, "uid": f"uid-{name}", "creationTimestamp": created, **more}


def owned(name: str, minute: int, owner: str = "ds", **more: object) -> dict[str, object]:
    reference = {"kind": "X", "name": owner, "uid": f"uid-{owner}", "controller": True}
    return metadata(name, minute, ownerReferences=[reference], **more)


def replicaset(
    name: str, minute: int, annotations: dict[str, str], owner: str = "llm", replicas: int = 0
) -> dict[str, object]:
    prefix = "deployment.kubernetes.io/"
    about = owned(
        f"llm-{name}",
        minute,
        owner,
        labels={"pod-template-hash": name},
        annotations={f"{prefix}{key}": value for key, value in annotations.items()},
    )
    return {"metadata": about, "spec": {"template": {}}, "status": {"replicas": replicas}}


def cluster() -> CannedApi:
    """Rolled back to its first template, under Helm, and paused halfway."""
    message = 'ReplicaSet "llm-a" is progressing.'
    deployment = {
        "metadata": metadata("llm", 1, labels=HELM, annotations=RELEASE, managedFields=[{"manager": "helm"}]),
        "spec": {"selector": {"matchLabels": {"app": "llm"}}, "replicas": 2, "paused": True},
        "status": {
            "updatedReplicas": 1,
            "conditions": [
                {"type": "Available", "message": "", "lastUpdateTime": "2026-11-22T12:05:00Z"},
                {"type": "Progressing", "message": message, "lastUpdateTime": "2026-11-22T12:40:00Z"},
            ],
        },
    }
    sets = [
        replicaset("a", 10, {"revision": "5", "revision-history": "1,3"}, replicas=2),
        replicaset("b", 20, {"revision": "4"}, replicas=1),
        replicaset("c", 30, {"revision": "1"}, owner="another"),
    ]
    scaled = {
        "involvedObject": {"kind": "Deployment", "name": "llm"},
        "reason": "ScalingReplicaSet",
        "message": "Scaled up replica set llm-a from 0 to 1",
        "firstTimestamp": "2026-11-22T12:10:00Z",
        "lastTimestamp": "2026-11-22T12:35:00Z",
        "count": 2,
    }
    return CannedApi(
        {
            f"{APPS}/deployments/llm": deployment,
            f"{APPS}/replicasets": {"items": sets},
            EVENTS: {"items": [scaled]},
        }
    )


async def test_an_argo_rollout_has_replica_sets_too() -> None:
    """Its notes on them are its own, and it says what it takes for stable."""
    rollout = {
        "metadata": metadata("llm", 1),
        "spec": {
            "selector": {"matchLabels": {"app": "llm"}},
            "replicas": 8,
            "strategy": {"canary": {"maxUnavailable": "20%", "steps": [{"setWeight": 20}]}},
        },
        "status": {"stableRS": "a", "abort": True, "updatedReplicas": 2, "availableReplicas": 8},
    }
    sets = []
    for name, minute, number in (("a", 10, "1"), ("b", 20, "2")):
        annotations = {"rollout.argoproj.io/revision": number}
        about = owned(
            f"llm-{name}",
            minute,
            "llm",
            labels={"rollouts-pod-template-hash": name},
            annotations=annotations,
        )
        pod = {"spec": {"containers": [{"name": "triton", "image": f"triton:{number}"}]}}
        sets.append({"metadata": about, "spec": {"template": pod}, "status": {"replicas": 1}})
    path = "/apis/argoproj.io/v1alpha1/namespaces/prod/rollouts/llm"
    api = CannedApi({path: rollout, f"{APPS}/replicasets": {"items": sets}, EVENTS: {"items": []}})
    found = await read_revisions(api, "prod", Workload("Rollout", "llm"))
    assert told(found.revisions) == [
        (1, at(10), None, ()),
        (2, at(20), 1, ("image of triton: triton:1 -> triton:2",)),
    ]
    assert (found.strategy, found.max_unavailable, found.stable, found.aborted) == ("Canary", 1, "a", True)


@pytest.mark.parametrize(
    ("spec", "strategy", "most"),
    [
        (
            {
                "replicas": 7,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}},
            },
            "RollingUpdate",
            1,
        ),
        (
            {"replicas": 7, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0}}},
            "RollingUpdate",
            0,
        ),
        ({"replicas": 7, "strategy": {"type": "Recreate"}}, "Recreate", None),
        (
            {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}}},
            "RollingUpdate",
            None,
        ),
    ],
)
async def test_how_many_pods_may_be_missing_is_a_number(
    spec: dict[str, object], strategy: str, most: int | None
) -> None:
    deployment = {"metadata": metadata("llm", 1), "spec": {"selector": {}, **spec}, "status": {}}
    api = CannedApi(
        {
            f"{APPS}/deployments/llm": deployment,
            f"{APPS}/replicasets": {"items": []},
            EVENTS: {"items": []},
        }
    )
    found = await read_revisions(api, "prod", Workload("Deployment", "llm"))
    assert (found.strategy, found.max_unavailable) == (strategy, most)


CANARIES = "/apis/flagger.app/v1beta1/namespaces/prod/canaries"


async def test_flaggers_canary_is_the_one_of_the_workload_or_of_its_primary() -> None:
    canary = {
        "metadata": {"name": "llm-canary"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "llm"}},
        "status": {"phase": "Progressing"},
    }
    primary = {"spec": {"replicas": 3}, "status": {"availableReplicas": 2}}
    api = CannedApi(
        {
            "/apis/flagger.app": {},
            CANARIES: {"items": [canary]},
            f"{APPS}/deployments/llm-primary": primary,
        }
    )
    expected = FlaggerCanary("llm-canary", "Progressing", False, "llm-primary", 3, 2)
    for name in ("llm", "llm-primary"):
        assert await read_canary(api, "prod", Workload("Deployment", name)) == expected
    assert await read_canary(api, "prod", Workload("Deployment", "other")) is None
    api.forbidden.add(f"{APPS}/deployments/llm-primary")
    found = await read_canary(api, "prod", Workload("Deployment", "llm"))
    assert found is not None
    assert (found.primary_replicas, found.primary_available) == (None, None)
    api.forbidden.add(CANARIES)
    with pytest.raises(KubernetesError):
        await read_canary(api, "prod", Workload("Deployment", "llm"))


async def test_without_flagger_nobody_needs_a_right_to_its_canaries() -> None:
    api = CannedApi({})
    assert await read_canary(api, "prod", Workload("Deployment", "llm")) is None
    assert api.asked == ["/apis/flagger.app"]
