"""The record in the cluster: a TriageReport an incident, in the service's own namespace; `kubectl get triagereports` lists them."""

from collections.abc import Sequence
from urllib.parse import quote

import msgspec
import structlog

from telemetry.kubernetes_api import KubernetesError, WritableKubernetesApi
from telemetry.kubernetes_objects import get_object, list_objects, object_path
from telemetry.listwatch import KubernetesObject, ObjectMeta
from triage.oncall.incident import Incident
from triage.oncall.record import RecordError, decode, encode
from triage.oncall.summary import cause_of, state_of
from triage.wording import short

log = structlog.get_logger(__name__)

GROUP, VERSION, KIND, PLURAL = "triton-ops.io", "v1alpha1", "TriageReport", "triagereports"
MOST_BYTES = 64 * 1024
"""Of one object (DESIGN.md, Incidents); etcd keeps every change of it for minutes."""
_CONFLICT, _NOT_FOUND = 409, 404
_TRIES = 3
_MOST_ACTION = 1000
"""Characters; the resource's schema takes four times as many."""


class _Spec(msgspec.Struct, frozen=True):
    incident: msgspec.Raw = msgspec.Raw(b"null")


class TriageReport(KubernetesObject, frozen=True, rename="camel"):
    spec: _Spec = _Spec()


class ClusterRecord:
    """`Record` of TriageReports in `namespace`."""

    def __init__(self, api: WritableKubernetesApi, namespace: str) -> None:
        self._api = api
        self._path = object_path(namespace, f"{GROUP}/{VERSION}", PLURAL)
        self._namespace = namespace
        self._versions: dict[str, str] = {}

    async def load(self) -> Sequence[Incident]:
        try:
            reports = await list_objects(self._api, self._path, TriageReport)
        except KubernetesError as error:
            raise RecordError(_told(error)) from error
        found = []
        for report in reports:
            name = report.metadata.name
            try:
                found.append(decode(bytes(report.spec.incident), f"triagereport {name}", name))
            except RecordError as error:
                log.warning("record_unreadable", name=name, cause=str(error))
            self._versions[name] = report.metadata.resource_version
        return found

    async def read(self, name: str) -> Incident:
        """Raises RecordError, also where there is none."""
        try:
            report = await get_object(self._api, f"{self._path}/{quote(name, safe='')}", TriageReport)
        except KubernetesError as error:
            if error.status == _NOT_FOUND:
                raise RecordError(
                    f"there is no triagereport {name} in namespace {self._namespace}: see kubectl get triagereports -A"
                ) from error
            raise RecordError(_told(error)) from error
        return decode(bytes(report.spec.incident), f"triagereport {name}", name)

    async def save(self, incident: Incident) -> None:
        for _ in range(_TRIES):
            try:
                return await self._put(incident)
            except KubernetesError as error:
                # Somebody else wrote it, such as an annotation, or made or removed it: the next try knows its version.
                known = error.status in (_CONFLICT, _NOT_FOUND)
                if error.status == _CONFLICT:
                    log.warning("record_written_by_another", incident=incident.name)
                if not known or not await self._read_version(incident.name, error):
                    raise RecordError(_told(error)) from error
        raise RecordError(f"triagereport {incident.name} is written by somebody else all the time")

    async def check(self) -> None:
        try:
            await self._api.get(self._path, {"limit": "1"})
        except KubernetesError as error:
            raise RecordError(_told(error)) from error

    async def remove(self, name: str) -> None:
        try:
            await self._api.delete(f"{self._path}/{name}")
        except KubernetesError as error:
            if error.status != _NOT_FOUND:
                raise RecordError(_told(error)) from error
        self._versions.pop(name, None)

    async def _put(self, incident: Incident) -> None:
        version = self._versions.get(incident.name)
        body = self._body(incident, version)
        if version is None:
            answer = await self._api.post(self._path, body)
        else:
            answer = await self._api.put(f"{self._path}/{incident.name}", body)
        self._versions[incident.name] = _metadata(answer).resource_version

    async def _read_version(self, name: str, why: KubernetesError) -> bool:
        """Whether there is a reason to try again."""
        try:
            self._versions[name] = _metadata(await self._api.get(f"{self._path}/{name}")).resource_version
        except KubernetesError as error:
            if error.status != _NOT_FOUND:
                return False
            # Gone, or there is no such kind of object: then to create it fails, too.
            return self._versions.pop(name, None) is not None or why.status == _CONFLICT
        return True

    def _body(self, incident: Incident, version: str | None) -> bytes:
        metadata: dict[str, object] = {"name": incident.name, "namespace": self._namespace}
        metadata["labels"] = {
            "triton-ops.io/tree": incident.tree,
            "triton-ops.io/namespace": incident.namespace,
            "triton-ops.io/state": incident.state,
        }
        if version:
            metadata["resourceVersion"] = version
        cause, confidence = cause_of(incident)
        report = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": KIND,
            "metadata": metadata,
            "spec": {
                "workload": f"{incident.namespace}/{incident.workload}",
                "tree": incident.tree,
                "incident": msgspec.Raw(encode(incident)),
            },
            "status": {
                "state": state_of(incident),
                "cause": cause,
                "confidence": confidence,
                "action": short(incident.report.headline, _MOST_ACTION) if incident.report else "",
            },
        }
        return msgspec.json.encode(report)


_WRITTEN = msgspec.json.Decoder(KubernetesObject)


def _metadata(answer: bytes) -> ObjectMeta:
    try:
        return _WRITTEN.decode(answer).metadata
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a proxy answered in the API server's place
        raise KubernetesError(f"the API server's answer is no object: {error}") from error


def _told(error: KubernetesError) -> str:
    if error.status == _NOT_FOUND:
        return f"{error}; is the custom resource installed? kubectl apply -f deploy/triagereports.yaml"
    return str(error)
