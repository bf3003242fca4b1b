"""The workload at the top of a pod's owner references: the object that a person or an HPA scales.

A pod names only its direct owner (a ReplicaSet), so each owner is looked up once and kept. Until that answer
is there, and where it is refused, the name is worked out from the pod alone and said to be guessed: a target
never waits for its workload's name."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import msgspec
import structlog

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.listwatch import KubernetesObject, ObjectMeta, OwnerReference
from telemetry.target import Workload

log = structlog.get_logger(__name__)

_PLURALS = {
    ("apps/v1", "ReplicaSet"): "replicasets",
    ("apps/v1", "StatefulSet"): "statefulsets",  # LeaderWorkerSet owns StatefulSets
    ("v1", "Pod"): "pods",  # a LeaderWorkerSet's leader pod owns its workers' StatefulSet
}
"""Owners that may have an owner worth knowing; every other kind is taken as the top."""

_RETRY_SECONDS = 300.0
_UNANSWERED_RETRY_SECONDS = 10.0
_MOST_STEPS = 6  # an LWS worker's way up has four; a cycle must end too
_Value = TypeVar("_Value")
_LWS_NAME = "leaderworkerset.sigs.k8s.io/name"
_ROLLOUT_HASH = "rollouts-pod-template-hash"


class Ascent(NamedTuple):
    """How far up the owners lead."""

    workload: Workload | None
    """None: the pod has no controller."""
    guessed: bool
    unknown: OwnerReference | None
    """The owner whose own owner is not known."""


NO_ASCENT = Ascent(None, False, None)

OwnersByUid = Mapping[str, OwnerReference | None]
"""The controller of each object that was looked up; None where it has none."""


def controller_of(meta: ObjectMeta) -> OwnerReference | None:
    return next((owner for owner in meta.owner_references or () if owner.controller), None)


def ascend(pod: ObjectMeta, owners: OwnersByUid) -> Ascent:
    """The pod's workload as far as `owners` tells, else as far as the pod's own labels do."""
    owner = controller_of(pod)
    if owner is None:
        return NO_ASCENT
    for _ in range(_MOST_STEPS):
        if (owner.api_version, owner.kind) not in _PLURALS:
            return Ascent(Workload(owner.kind, owner.name), False, None)
        if owner.uid not in owners:
            return Ascent(_guess(pod, owner), True, owner)
        above = owners[owner.uid]
        if above is None:
            return Ascent(Workload(owner.kind, owner.name), False, None)
        owner = above
    return Ascent(Workload(owner.kind, owner.name), True, None)


def _guess(pod: ObjectMeta, owner: OwnerReference) -> Workload:
    labels = pod.labels or {}
    if name := labels.get(_LWS_NAME):
        return Workload("LeaderWorkerSet", name)
    if owner.kind == "ReplicaSet":
        for label, kind in ((_ROLLOUT_HASH, "Rollout"), ("pod-template-hash", "Deployment")):
            suffix = f"-{labels.get(label, '')}"
            if label in labels and owner.name.endswith(suffix):
                return Workload(kind, owner.name.removesuffix(suffix))
    return Workload(owner.kind, owner.name)


class _Failure(NamedTuple):
    at: float
    retry_seconds: float
    problem: str
    """Empty where nobody has to do anything: the owner is gone."""


class WorkloadLookup:
    """Looks owners up, one at a time, in `run`; `of` answers at once from what is known and never waits.

    `changed` is called on the event loop when an answer may name a workload better, or it is time to ask again. Needs the
    right to `get` replicasets and statefulsets in group apps, and pods; a refusal is tried again after `retry_seconds`, so
    that a right granted later is found, and an API server that does not answer after `unanswered_retry_seconds`. A failure
    is logged once for each namespace and kind, and again when it has another cause."""

    def __init__(
        self,
        api: KubernetesApi,
        changed: Callable[[], None] = lambda: None,
        *,
        most_owners: int = 4096,
        retry_seconds: float = _RETRY_SECONDS,
        unanswered_retry_seconds: float = _UNANSWERED_RETRY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changed = changed
        self._api = api
        self._most_owners = most_owners
        self._retry_seconds = retry_seconds
        self._unanswered_retry_seconds = unanswered_retry_seconds
        self._clock = clock
        self._owners: OrderedDict[str, OwnerReference | None] = OrderedDict()
        self._failures: OrderedDict[str, _Failure] = OrderedDict()
        self._told: dict[tuple[str, str], str] = {}
        self._wanted: dict[str, tuple[str, OwnerReference]] = {}
        self._work = asyncio.Event()

    def of(self, pod: ObjectMeta) -> Ascent:
        ascent = ascend(pod, self._owners)
        owner = ascent.unknown
        if owner is not None and owner.uid not in self._wanted and self._may_try(owner.uid):
            self._wanted[owner.uid] = (pod.namespace, owner)
            self._work.set()
        return ascent

    def problem_of(self, pod: ObjectMeta) -> str:
        """Why the pod's workload is a guess, in words that are the same for all pods of the same cause; empty where it is
        none, was not looked up yet, or has an owner that is gone."""
        owner = ascend(pod, self._owners).unknown
        failure = None if owner is None else self._failures.get(owner.uid)
        return "" if failure is None else failure.problem

    def _may_try(self, uid: str) -> bool:
        failure = self._failures.get(uid)
        return failure is None or self._clock() - failure.at >= failure.retry_seconds

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self._unanswered_retry_seconds):
                    await self._work.wait()
            except TimeoutError:
                if self._failures:
                    self.changed()
            self._work.clear()
            while self._wanted:
                uid, (namespace, owner) = next(iter(self._wanted.items()))
                found = await self._look_up(namespace, owner)
                del self._wanted[uid]
                if found:
                    self.changed()

    async def _look_up(self, namespace: str, owner: OwnerReference) -> bool:
        base = "/api/v1" if owner.api_version == "v1" else f"/apis/{owner.api_version}"
        plural = _PLURALS[owner.api_version, owner.kind]
        path = f"{base}/namespaces/{namespace}/{plural}/{owner.name}"
        resource = plural if owner.api_version == "v1" else f"{plural}.{owner.api_version.partition('/')[0]}"
        try:
            found = msgspec.json.decode(await self._api.get(path), type=KubernetesObject).metadata
        except KubernetesError as error:
            return self._failed(namespace, resource, owner, error)
        except msgspec.DecodeError as error:
            return self._failed(namespace, resource, owner, KubernetesError(f"malformed answer: {error}"))
        self._tell(namespace, resource, "")
        if found.uid != owner.uid:  # made anew under its old name
            self._keep(self._failures, owner.uid, _Failure(self._clock(), self._retry_seconds, ""))
            return False
        self._failures.pop(owner.uid, None)
        self._keep(self._owners, owner.uid, controller_of(found))
        return True

    def _failed(self, namespace: str, resource: str, owner: OwnerReference, error: KubernetesError) -> bool:
        asked = f'get {resource} in namespace "{namespace}"'
        guess = "workloads are named by their pods' labels alone"
        match error.status:
            case 404:
                problem = ""
            case 401 | 403:
                problem = f"no right to {asked}, so {guess}: grant this identity the right to {asked}"
            case None:
                problem = f"cannot {asked}, so {guess}: the API server gives no usable answer"
            case _:
                problem = f"cannot {asked}, so {guess}: the API server answers {error.status}"
        refused = error.status is not None and error.status < 500 and error.status != 429
        retry = self._retry_seconds if refused else self._unanswered_retry_seconds
        self._keep(self._failures, owner.uid, _Failure(self._clock(), retry, problem))
        self._tell(namespace, resource, problem, str(error))
        return False

    def _tell(self, namespace: str, resource: str, problem: str, detail: str = "") -> None:
        """Once for each change."""
        before = self._told.pop((namespace, resource), "")
        if problem:
            self._told[namespace, resource] = problem
        if problem and problem != before:
            log.warning("owners of pods cannot be looked up", cause=problem, detail=detail)
        elif before and not problem:
            log.info("owners of pods are looked up again", namespace=namespace, resource=resource)

    def _keep(self, cache: OrderedDict[str, _Value], uid: str, value: _Value) -> None:
        cache[uid] = value
        cache.move_to_end(uid)
        while len(cache) > self._most_owners:
            cache.popitem(last=False)
