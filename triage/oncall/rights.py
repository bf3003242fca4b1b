"""The rights that the service needs, and which of them it lacks: asked of the API server at start, in the words of RBAC.

Who grants them is the chart (deploy/chart, triage.enabled); a test takes each away and names what stops working."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from telemetry.kubernetes_api import KubernetesError, WritableKubernetesApi

_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Right:
    verb: str
    group: str
    resource: str
    namespace: str
    """Empty: in the whole cluster."""
    why: str
    needed: bool = True
    """False: without it something is not seen, and reports say so."""

    def __str__(self) -> str:
        resource = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f"in namespace {self.namespace}" if self.namespace else "in the cluster"
        return f"{self.verb} {resource} {where}"


_TARGETS = (
    (("list", "watch", "get"), "", "pods", "which Triton pods there are, and their states"),
    (("get",), "", "pods/log", "the logs of Triton, also before a restart"),
    (("list",), "", "events", "what happened to pods, nodes and the autoscaler"),
    (("get",), "apps", "deployments", "the workload's pods and how it rolls out"),
    (("get", "list"), "apps", "replicasets", "which revisions there were, and how they differ"),
    (("get",), "apps", "statefulsets", "the same of StatefulSets"),
    (("get",), "apps", "daemonsets", "the same of DaemonSets"),
    (("list",), "apps", "controllerrevisions", "revisions of StatefulSets and DaemonSets"),
    (("list",), "autoscaling", "horizontalpodautoscalers", "the autoscaler as a suspect"),
    (("get",), "argoproj.io", "rollouts", "the same of Argo Rollouts"),
    (("list",), "flagger.app", "canaries", "whether Flagger rolls the workload out, and how far it is"),
    (("get",), "metrics.k8s.io", "pods", "whether a Triton that does not come up computes or waits"),
)
_RECORD = ("get", "list", "create", "update", "delete")


def rights(namespaces: Sequence[str], record_namespace: str | None) -> Iterator[Right]:
    """All of them."""
    for namespace in namespaces:
        for verbs, group, resource, why in _TARGETS:
            for verb in verbs:
                needed = resource == "pods" and verb != "get"
                yield Right(verb, group, resource, namespace, why, needed)
    yield Right("get", "", "nodes", "", "whether a pod's node is under pressure", needed=False)
    if record_namespace is not None:
        for verb in _RECORD:
            yield Right(verb, "triton-ops.io", "triagereports", record_namespace, "the record of incidents")


class _Status(msgspec.Struct, frozen=True):
    allowed: bool = False


class _Review(msgspec.Struct, frozen=True):
    status: _Status = _Status()


async def missing_rights(api: WritableKubernetesApi, wanted: Sequence[Right]) -> Sequence[Right]:
    """Those that the API server says this identity has not. Raises KubernetesError when it does not say."""
    gate = asyncio.Semaphore(8)

    async def allowed(right: Right) -> bool:
        async with gate:
            return await _allowed(api, right)

    answers = await asyncio.gather(*map(allowed, wanted))
    return [right for right, yes in zip(wanted, answers, strict=True) if not yes]


async def _allowed(api: WritableKubernetesApi, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
    }
    asked = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = await api.post(_PATH, msgspec.json.encode(asked))
    try:
        return msgspec.json.decode(answer, type=_Review).status.allowed
    except msgspec.DecodeError as error:
        raise KubernetesError(f"the API server's answer on rights cannot be read: {error}") from error
