"""Makes kube-apiserver trust this replica: its own CA stands in the APIService's `caBundle`.

Replicas share the field, so each adds itself by compare-and-swap (read, change, write back with the version
read) and takes out only what is expired or unreadable. An APIService that names another Service is another
adapter's and is never touched.
"""

import asyncio
import base64
import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec
import structlog
from cryptography import x509

from autoscaler.api.certificates import (
    ServingCertificate,
    bundle_holds,
    bundle_problem,
    decode_bundle,
    merge_bundle,
)
from autoscaler.api.documents import GROUP, VERSION
from telemetry.kubernetes_api import KubernetesApi, KubernetesError

log = structlog.get_logger(__name__)

API_SERVICE = f"{VERSION}.{GROUP}"
API_SERVICE_PATH = f"/apis/apiregistration.k8s.io/v1/apiservices/{API_SERVICE}"
ATTEMPTS = 6
BACKOFF_SECONDS = 0.1
RECHECK_SECONDS = 30.0


class PublicationState(StrEnum):
    """Where the own CA stands."""

    PUBLISHED = "published"
    ABSENT = "absent"
    OWNED_BY_ANOTHER = "owned_by_another"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Publication:
    """The outcome of one look; the message says what to do unless it is published."""

    state: PublicationState
    message: str = ""
    owner: str = ""
    """Whom the APIService names, in words; empty where it could not be read or is not there."""


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """The Service in front of this program, which the APIService must name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class PublicationKeeper(ABC):
    """Looks at the APIService again and again; `publication` is the outcome of the last look (what `/readyz` asks). A change is
    logged as `event`."""

    def __init__(self, event: str, recheck_seconds: float) -> None:
        self._event = event
        self._recheck_seconds = recheck_seconds
        self.publication = Publication(PublicationState.UNREACHABLE, "not looked yet")

    async def keep(self) -> None:
        """Looks every half to one and a half times the interval; ends only by cancellation."""
        while True:
            await self.refresh()
            await asyncio.sleep(self._recheck_seconds * random.uniform(0.5, 1.5))  # noqa: S311

    async def refresh(self) -> None:
        """Looks once."""
        found = await self._look()
        if found != self.publication:
            level = log.info if found.state is PublicationState.PUBLISHED else log.warning
            level(self._event, state=str(found.state), owner=found.owner, cause=found.message)
        self.publication = found

    @abstractmethod
    async def _look(self) -> Publication: ...


async def publish_ca(
    api: KubernetesApi,
    service: ServiceRef,
    certificate: x509.Certificate,
    now: datetime,
    *,
    backoff_seconds: float = BACKOFF_SECONDS,
) -> Publication:
    """Adds this CA certificate to the APIService, and says so only after reading it back. Raises nothing but
    cancellation: every failure is a `Publication`.

    On a conflict it looks again, at most `ATTEMPTS` times, after `backoff_seconds`, doubled each time, with
    jitter."""
    for attempt in range(ATTEMPTS):
        if attempt:
            await asyncio.sleep(backoff_seconds * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))  # noqa: S311
        try:
            found = await _read(api)
            outcome = _judge(found, service, certificate)
            if outcome is None:
                await api.put(API_SERVICE_PATH, _with_certificate(found, certificate, now))
                outcome = _judge(await _read(api), service, certificate)
            if outcome is not None:
                return outcome
        except KubernetesError as error:
            if error.status != 409:
                return _failure(error)
        except (msgspec.DecodeError, TypeError, AttributeError) as error:
            return _unreadable(error)
    message = f"APIService {API_SERVICE} is changed by others as fast as it is written"
    return Publication(PublicationState.UNREACHABLE, message)


async def look_at_api_service(
    api: KubernetesApi, service: ServiceRef, serving: ServingCertificate | None
) -> Publication:
    """Where the certificate comes from files, the bundle is somebody else's work (cert-manager's CA injector, or a
    person's): says whether kube-apiserver trusts what is shown, and changes nothing. Raises nothing but cancellation."""
    try:
        found = await _read(api)
        elsewhere = _elsewhere(found, service)
        if elsewhere is not None:
            return elsewhere
        spec, owner = found["spec"], _owner(found)
        if serving is None:
            return Publication(PublicationState.REFUSED, "no usable certificate in the files yet", owner)
        if spec.get("insecureSkipTLSVerify"):
            return Publication(PublicationState.PUBLISHED, "insecureSkipTLSVerify: nobody checks it", owner)
        bundle = decode_bundle(spec.get("caBundle") or "")
    except KubernetesError as error:
        return _failure(error)
    except (msgspec.DecodeError, TypeError, AttributeError) as error:
        return _unreadable(error)
    problem = bundle_problem(bundle, serving, f"{service.name}.{service.namespace}.svc")
    if problem is None:
        return Publication(PublicationState.PUBLISHED, owner=owner)
    message = (
        f"kube-apiserver will not trust the certificate in the files by the caBundle of APIService {API_SERVICE}: {problem};"
        " with cert-manager, annotate the APIService with cert-manager.io/inject-ca-from: NAMESPACE/CERTIFICATE"
    )
    return Publication(PublicationState.REFUSED, message, owner)


def _unreadable(error: Exception) -> Publication:
    return Publication(PublicationState.UNREACHABLE, f"APIService {API_SERVICE} is not readable: {error}")


async def _read(api: KubernetesApi) -> dict[str, Any]:
    return msgspec.json.decode(await api.get(API_SERVICE_PATH), type=dict[str, Any])


def _judge(found: dict[str, Any], service: ServiceRef, certificate: x509.Certificate) -> Publication | None:
    """The outcome that this APIService leaves, or None if the certificate is to be added."""
    elsewhere = _elsewhere(found, service)
    if elsewhere is not None:
        return elsewhere
    spec, owner = found["spec"], _owner(found)
    if spec.get("insecureSkipTLSVerify"):
        message = (
            f"APIService {API_SERVICE} has insecureSkipTLSVerify, which excludes a caBundle;"
            " remove it from its manifest"
        )
        return Publication(PublicationState.REFUSED, message, owner)
    if bundle_holds(decode_bundle(spec.get("caBundle") or ""), certificate):
        return Publication(PublicationState.PUBLISHED, owner=owner)
    return None


def _elsewhere(found: dict[str, Any], service: ServiceRef) -> Publication | None:
    """The outcome where the APIService is not this program's, else None."""
    owner = _owner(found)
    if owner == f"Service {service}":
        return None
    message = (
        f"APIService {API_SERVICE} belongs to {owner}, not to Service {service}: only one adapter can serve"
        " the group, so this one answers no HPA until the other is removed; json_route serves KEDA meanwhile"
    )
    return Publication(PublicationState.OWNED_BY_ANOTHER, message, owner)


def _owner(found: dict[str, Any]) -> str:
    reference = (found.get("spec") or {}).get("service")
    if reference is None:
        return "kube-apiserver itself (spec.service is empty)"
    return f"Service {ServiceRef(str(reference.get('namespace')), str(reference.get('name')))}"


def _with_certificate(found: dict[str, Any], certificate: x509.Certificate, now: datetime) -> bytes:
    """The APIService as read, `resourceVersion` included, with the certificate in its bundle. The status is
    left as it is: the API server ignores it here."""
    spec = found["spec"]
    merged = merge_bundle(decode_bundle(spec.get("caBundle") or ""), certificate, now)
    if merged.expired or merged.unreadable or merged.superseded:
        log.info(
            "certificates dropped from caBundle",
            expired=merged.expired,
            unreadable=merged.unreadable,
            superseded=merged.superseded,
        )
    return msgspec.json.encode(found | {"spec": spec | {"caBundle": base64.b64encode(merged.pem).decode()}})


def _failure(error: KubernetesError) -> Publication:
    match error.status:
        case 404:
            message = f"APIService {API_SERVICE} does not exist; create it with kubectl create -f"
            return Publication(PublicationState.ABSENT, message)
        case 403:
            message = (
                f"no right to get and update APIService {API_SERVICE}: the service account's ClusterRole"
                f" needs get and update of apiservices.apiregistration.k8s.io, resourceNames [{API_SERVICE}]"
            )
            return Publication(PublicationState.REFUSED, message)
        case 400 | 422:
            return Publication(PublicationState.REFUSED, f"APIService {API_SERVICE} was refused: {error}")
    return Publication(PublicationState.UNREACHABLE, f"APIService {API_SERVICE} cannot be reached: {error}")
