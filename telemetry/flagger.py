"""The Flagger canary that rolls a workload out, where there is one, and the primary that serves meanwhile.

Flagger makes `NAME-primary` of the workload NAME that its Canary targets, and shifts requests to new pods of NAME step by step; new
ones that do not become ready it scales to zero, and the primary goes on (`fluxcd/flagger:docs/gitbook/usage/how-it-works.md`,
`pkg/apis/flagger/v1beta1`)."""

import msgspec

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.kubernetes_objects import get_object, list_objects, object_path
from telemetry.target import Workload

GROUP = "flagger.app"
_NOT_FOUND = 404
_PRIMARY = "-primary"


class FlaggerCanary(msgspec.Struct, frozen=True):
    name: str
    phase: str
    """`Progressing`, `WaitingPromotion`, `Promoting`, `Succeeded`, `Failed` ..."""
    suspended: bool
    primary: str
    """Name of the Deployment or DaemonSet that serves."""
    primary_replicas: int | None
    primary_available: int | None
    """None: it may not be read."""


async def read_canary(api: KubernetesApi, namespace: str, workload: Workload) -> FlaggerCanary | None:
    """None where Flagger is not installed or rolls out something else. Raises `KubernetesError`."""
    try:
        await api.get(
            f"/apis/{GROUP}"
        )  # everybody may ask which kinds there are: most clusters have none of Flagger's
    except KubernetesError as error:
        if error.status == _NOT_FOUND:
            return None
        raise
    path = object_path(namespace, f"{GROUP}/v1beta1", "canaries")
    targeted = Workload(workload.kind, workload.name.removesuffix(_PRIMARY))
    for found in await list_objects(api, path, _Canary):
        target = found.spec.target_ref
        if target is not None and Workload(target.kind, target.name) in (workload, targeted):
            return await _with_primary(api, namespace, found, target)
    return None


async def _with_primary(
    api: KubernetesApi, namespace: str, found: "_Canary", target: "_Target"
) -> FlaggerCanary:
    name = f"{target.name}{_PRIMARY}"
    path = object_path(namespace, "apps/v1", f"{target.kind.lower()}s", name)
    replicas = available = None
    try:
        primary = await get_object(api, path, _Primary)
        available = primary.status.available_replicas or primary.status.number_available
        replicas = (
            primary.spec.replicas
            if primary.spec.replicas is not None
            else primary.status.desired_number_scheduled
        )
    except KubernetesError:  # what it serves with is then unknown
        pass
    return FlaggerCanary(
        found.metadata.name, found.status.phase, found.spec.suspend, name, replicas, available
    )


class _Metadata(msgspec.Struct, frozen=True):
    name: str


class _Target(msgspec.Struct, frozen=True):
    kind: str = ""
    name: str = ""


class _CanarySpec(msgspec.Struct, frozen=True, rename="camel"):
    target_ref: _Target | None = None
    suspend: bool = False


class _CanaryStatus(msgspec.Struct, frozen=True):
    phase: str = ""


class _Canary(msgspec.Struct, frozen=True):
    metadata: _Metadata
    spec: _CanarySpec = _CanarySpec()
    status: _CanaryStatus = _CanaryStatus()


class _PrimarySpec(msgspec.Struct, frozen=True):
    replicas: int | None = None


class _PrimaryStatus(msgspec.Struct, frozen=True, rename="camel"):
    """Zeros are left out by the API."""

    available_replicas: int = 0
    number_available: int = 0
    desired_number_scheduled: int | None = None


class _Primary(msgspec.Struct, frozen=True):
    spec: _PrimarySpec = _PrimarySpec()
    status: _PrimaryStatus = _PrimaryStatus()
