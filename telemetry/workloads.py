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

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.listwatch import KubernetesObject, ObjectMeta, OwnerReference
from telemetry.target import Workload

_PLURALS = {
    ("apps/v1", "ReplicaSet"): "replicasets",
    ("apps/v1", "StatefulSet"): "statefulsets",  # LeaderWorkerSet owns StatefulSets
    ("v1", "Pod"): "pods",  # a LeaderWorkerSet's leader pod owns its workers' StatefulSet
}
"""Owners that may have an owner worth knowing; every other kind is taken as the top."""

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


class WorkloadLookup:
    """Looks owners up, one at a time, in `run`; `of` answers at once from what is known and never waits.

    `changed` is called on the event loop when an answer may name a workload better. `problem` is the last
    look-up's failure. Needs the right to `get` replicasets and statefulsets in group apps, and pods; a
    refusal is tried again after `retry_seconds`, so that a right granted later is found."""

    def __init__(
        self,
        api: KubernetesApi,
        changed: Callable[[], None] = lambda: None,
        *,
        most_owners: int = 4096,
        retry_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.changed = changed
        self.problem: str | None = None
        self._api = api
        self._most_owners = most_owners
        self._retry_seconds = retry_seconds
        self._clock = clock
        self._owners: OrderedDict[str, OwnerReference | None] = OrderedDict()
        self._failed_at: OrderedDict[str, float] = OrderedDict()
        self._wanted: dict[str, tuple[str, OwnerReference]] = {}
        self._work = asyncio.Event()

    def of(self, pod: ObjectMeta) -> Ascent:
        ascent = ascend(pod, self._owners)
        owner = ascent.unknown
        if owner is not None and owner.uid not in self._wanted and self._may_try(owner.uid):
            self._wanted[owner.uid] = (pod.namespace, owner)
            self._work.set()
        return ascent

    def _may_try(self, uid: str) -> bool:
        failed_at = self._failed_at.get(uid)
        return failed_at is None or self._clock() - failed_at >= self._retry_seconds

    async def run(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            while self._wanted:
                uid, (namespace, owner) = next(iter(self._wanted.items()))
                found = await self._look_up(namespace, owner)
                del self._wanted[uid]
                if found:
                    self.changed()

    async def _look_up(self, namespace: str, owner: OwnerReference) -> bool:
        base = "/api/v1" if owner.api_version == "v1" else f"/apis/{owner.api_version}"
        path = f"{base}/namespaces/{namespace}/{_PLURALS[owner.api_version, owner.kind]}/{owner.name}"
        try:
            found = msgspec.json.decode(await self._api.get(path), type=KubernetesObject).metadata
        except (KubernetesError, msgspec.DecodeError) as error:
            return self._failed(owner, str(error))
        if found.uid != owner.uid:
            return self._failed(
                owner, f"{owner.kind} {namespace}/{owner.name} was made anew under its old name"
            )
        self.problem = None
        self._failed_at.pop(owner.uid, None)
        self._keep(self._owners, owner.uid, controller_of(found))
        return True

    def _failed(self, owner: OwnerReference, problem: str) -> bool:
        self.problem = problem
        self._keep(self._failed_at, owner.uid, self._clock())
        return False

    def _keep(self, cache: OrderedDict[str, _Value], uid: str, value: _Value) -> None:
        cache[uid] = value
        cache.move_to_end(uid)
        while len(cache) > self._most_owners:
            cache.popitem(last=False)
