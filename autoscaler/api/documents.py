"""The constant documents that make a group visible: discovery, OpenAPI and version.

They depend on the signals' names and on nothing that is measured, so discovery works while every Triton is
down: a group that flickers out of discovery takes `kubectl`, namespace deletion and garbage collection
with it.
"""

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

GROUP = "external.metrics.k8s.io"
VERSION = "v1beta1"
GROUP_VERSION = f"{GROUP}/{VERSION}"
KIND = "ExternalMetricValueList"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Document:
    """A body with its media type and its entity tag, quotes included."""

    body: bytes
    content_type: str
    etag: str


@dataclass(frozen=True, slots=True)
class Documents:
    """Everything that is served besides metrics. `aggregated` is by version of apidiscovery.k8s.io."""

    groups: Document
    aggregated: dict[str, Document]
    group: Document
    resources: Document
    openapi_v2: Document
    openapi_root: Document
    openapi: Document
    version: Document


def make_documents(signals: Sequence[str], program_version: str) -> Documents:
    """The documents for these signals. Raises `ValueError` if there is none: an empty resource list reads
    as a broken group to clients."""
    if not signals:
        raise ValueError("no signals: the external metrics API needs at least one to be discoverable")
    openapi = _document(_openapi(signals, program_version))
    return Documents(
        groups=_document({"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group()]}),
        aggregated={
            version: _document(_aggregated(signals, version), _aggregated_type(version))
            for version in ("v2", "v2beta1")
        },
        group=_document({"kind": "APIGroup", "apiVersion": "v1", **_group()}),
        resources=_document(_resources(signals)),
        openapi_v2=_document(_openapi_v2(signals, program_version)),
        openapi_root=_document(_openapi_root(openapi)),
        openapi=openapi,
        version=_document(_version(program_version)),
    )


def negotiate_aggregated(accept: str) -> str | None:
    """ "v2" or "v2beta1" if this Accept header's first choice that can be met is aggregated discovery,
    else None: the plain list, which is JSON whatever was asked. Protobuf is passed over."""
    for choice in accept.split(","):
        media_type, *parameters = [part.strip() for part in choice.split(";")]
        if media_type not in (JSON, "application/*", "*/*"):
            continue
        wanted = dict(parameter.partition("=")[::2] for parameter in parameters)
        if "as" not in wanted:
            return None
        if (
            wanted["as"] == "APIGroupDiscoveryList"
            and wanted.get("g") == "apidiscovery.k8s.io"
            and wanted.get("v") in ("v2", "v2beta1")
        ):
            return wanted["v"]
    return None


def not_modified(if_none_match: str, etag: str) -> bool:
    """True if this If-None-Match header names the entity tag, weakly or strongly, or any (`*`)."""
    named = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in named or "*" in named


def _document(content: Any, content_type: str = JSON) -> Document:
    body = msgspec.json.encode(content)
    return Document(body, content_type, f'"{hashlib.sha256(body).hexdigest().upper()}"')


def _group() -> dict[str, Any]:
    served = {"groupVersion": GROUP_VERSION, "version": VERSION}
    return {"name": GROUP, "versions": [served], "preferredVersion": served}


def _resources(signals: Sequence[str]) -> dict[str, Any]:
    """Verb `get` alone: namespace deletion and garbage collection act on an advertised list, watch or
    delete."""
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": GROUP_VERSION,
        "resources": [
            {"name": signal, "singularName": "", "namespaced": True, "kind": KIND, "verbs": ["get"]}
            for signal in sorted(signals)
        ],
    }


def _aggregated_type(version: str) -> str:
    return f"{JSON};g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"


def _aggregated(signals: Sequence[str], version: str) -> dict[str, Any]:
    response_kind = {"group": GROUP, "version": VERSION, "kind": KIND}
    resources = [
        {
            "resource": signal,
            "responseKind": response_kind,
            "scope": "Namespaced",
            "singularResource": "",
            "verbs": ["get"],
        }
        for signal in sorted(signals)
    ]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{version}",
        "metadata": {},
        "items": [
            {
                "metadata": {"name": GROUP, "creationTimestamp": None},
                "versions": [{"version": VERSION, "resources": resources, "freshness": "Current"}],
            }
        ],
    }


def _openapi_v2(signals: Sequence[str], program_version: str) -> dict[str, Any]:
    """The path alone. kube-apiserver takes a 404 here for a failure: it logs an error and asks again."""
    parameters = [
        {"name": "namespace", "in": "path", "required": True, "type": "string"},
        {"name": "metric", "in": "path", "required": True, "type": "string", "enum": sorted(signals)},
        {"name": "labelSelector", "in": "query", "type": "string"},
    ]
    operation = {
        "operationId": "listExternalMetricsV1beta1NamespacedMetric",
        "produces": [JSON],
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
    }
    return {
        "swagger": "2.0",
        "info": {"title": "triton-autoscaler", "version": program_version},
        "paths": {f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}": {"get": operation}},
    }


def _openapi_root(openapi: Document) -> dict[str, Any]:
    path = f"apis/{GROUP_VERSION}"
    digest = openapi.etag.strip('"')
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest}"}}}


def _openapi(signals: Sequence[str], program_version: str) -> dict[str, Any]:
    def parameter(name: str, place: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
        required = {"required": True} if place == "path" else {}
        return {"name": name, "in": place, "description": description, "schema": schema, **required}

    text = {"type": "string"}
    return {
        "openapi": "3.0.0",
        "info": {"title": "triton-autoscaler", "version": program_version},
        "paths": {
            f"/apis/{GROUP_VERSION}/namespaces/{{namespace}}/{{metric}}": {
                "parameters": [
                    parameter("namespace", "path", "the namespace whose pods count", text),
                    parameter("metric", "path", "the signal", {"type": "string", "enum": sorted(signals)}),
                    parameter("labelSelector", "query", "the series to pool; empty means all", text),
                    parameter("explain", "query", "1 returns the trace behind the number", text),
                ],
                "get": {
                    "operationId": "listExternalMetricsV1beta1NamespacedMetric",
                    "tags": ["externalMetrics_v1beta1"],
                    "responses": {
                        "200": {
                            "description": "OK",
                            "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{KIND}"}}},
                        }
                    },
                },
            }
        },
        "components": {"schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    text = {"type": "string"}
    item = {
        "type": "object",
        "required": ["metricName", "metricLabels", "timestamp", "value"],
        "properties": {
            "metricName": text,
            "metricLabels": {"type": "object", "additionalProperties": text},
            "timestamp": {"type": "string", "format": "date-time"},
            "window": {"type": "integer", "format": "int64", "description": "seconds"},
            "value": {"type": "string", "description": "a quantity in whole milli-units"},
        },
    }
    return {
        KIND: {
            "type": "object",
            "required": ["items"],
            "properties": {
                "kind": text,
                "apiVersion": text,
                "metadata": {"type": "object"},
                "items": {"type": "array", "items": {"$ref": "#/components/schemas/ExternalMetricValue"}},
            },
            "x-kubernetes-group-version-kind": [{"group": GROUP, "version": VERSION, "kind": KIND}],
        },
        "ExternalMetricValue": item,
    }


def _version(program_version: str) -> dict[str, str]:
    """In the shape of Kubernetes' version.Info, which clients decode."""
    major, minor, *_ = [*program_version.split("."), "0", "0"]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{program_version}",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "",
        "goVersion": "",
        "compiler": platform.python_implementation(),
        "platform": f"{platform.system().lower()}/{platform.machine()}",
    }
