"""`triton-autoscaler value`: the number that an HPA gets, through the same API and rights, and what is behind it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from telemetry.kube_client import KubernetesClient
from telemetry.kubernetes_api import KubernetesError


async def fetch_trace(
    namespace: str, signal: str, selector: str, *, kubeconfig: str | None, context: str | None
) -> Mapping[str, Any]:
    """The trace as the daemon gives it for `explain=1`. Raises KubernetesError, also when somebody else answers."""
    path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{quote(namespace, safe='')}/{quote(signal, safe='')}"
    async with KubernetesClient(kubeconfig=kubeconfig, context=context) as api:
        body = await api.get(path, {"labelSelector": selector, "explain": "1"})
    try:
        trace = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise KubernetesError(f"the answer of {path} is not JSON: {error}") from error
    if trace.get("kind") != "SignalTrace":
        raise KubernetesError(
            "another adapter answers for external.metrics.k8s.io: "
            "see kubectl get apiservice v1beta1.external.metrics.k8s.io"
        )
    return trace


def render_trace(trace: Mapping[str, Any]) -> str:
    """The number first, then one line a pod and model, then what was counted."""
    selector = trace.get("selector") or "everything"
    asked = f"{trace.get('signal')} in {trace.get('namespace')} for {selector}"
    if trace.get("state") == "no_data":
        first = f"no data ({trace.get('reason')}): {trace.get('message')}"
    else:
        first = f"{trace.get('value')}" + ("  (idle)" if trace.get("state") == "idle" else "")
    labels = "  ".join(f"{name}={text}" for name, text in (trace.get("labels") or {}).items())
    lines = filter(None, [asked, first, labels, *_sources(trace), *_pods(trace.get("pods") or [])])
    return "\n".join(map(_printable, lines))


def _sources(trace: Mapping[str, Any]) -> list[str]:
    """What each of two sources would say alone."""
    lines = []
    for name, said in (trace.get("sources") or {}).items():
        if said.get("state") == "no_data":
            lines.append(f"{name} alone: no data ({said.get('reason')}): {said.get('message')}")
        else:
            lines.append(
                f"{name} alone: {said.get('value')}, oldest sample {_number(said.get('sampleAgeSeconds'), 's')}"
            )
    return lines


def _printable(line: str) -> str:
    """The line with control characters escaped: a page chooses its models' names, and this ends in somebody's terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _gateways(gateways: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a gateway, with what it counted by code, and what it counts as in the total where that is another number."""
    return [
        f"gateway {one.get('gateway')}: {one.get('standing')}, {_number(one.get('requests_per_second'))} requests/s over "
        f"{_number(one.get('window_seconds'), 's')} ("
        + (
            ", ".join(f"{code} {_number(rate)}" for code, rate in (one.get("by_code") or {}).items())
            or "none"
        )
        + ")"
        + (
            f", counts as {_number(one.get('contribution'))}"
            if _number(one.get("contribution")) != _number(one.get("requests_per_second"))
            else ""
        )
        for one in gateways
    ]


def _pods(pods: Sequence[Mapping[str, Any]]) -> list[str]:
    if pods and "gateway" in pods[0]:
        return _gateways(pods)
    columns: tuple[str, ...] = ("POD", "MODEL", "STANDING", "AGE", "WINDOW", "PENDING", "CONTRIBUTION")
    rows = [columns, *(_row(pod) for pod in pods)]
    if any(pod.get("source") for pod in pods):
        told = [
            ("SOURCE", "DIFFERENCE"),
            *((str(p.get("source")), _number(p.get("difference"))) for p in pods),
        ]
        rows = [(*row, *more) for row, more in zip(rows, told, strict=True)]
        columns = rows[0]
    if any("gpu_exporter" in pod for pod in pods):
        said = [("TOLD BY", "HELD BY"), *((str(p.get("gpu_exporter") or "-"), _holders(p)) for p in pods)]
        rows = [(*row, *more) for row, more in zip(rows, said, strict=True)]
        columns = ("POD", "GPU", *rows[0][2:])
        rows[0] = columns
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    counters = [
        f"{pod['pod']} {_model(pod)}: "
        + ", ".join(f"{name} +{value:g}" for name, value in pod["increase"].items())
        for pod in pods
        if pod.get("increase")
    ]
    return [*table, "increase over the window:", *counters] if counters else table


def _row(pod: Mapping[str, Any]) -> tuple[str, ...]:
    standing = str(pod.get("standing")) + ("" if pod.get("counted") else " (not counted)")
    if pod.get("failure"):
        standing += f": {pod['failure']}"
    pending = (pod.get("mean") or {}).get("nv_inference_pending_request_count")
    return (
        str(pod.get("pod")),
        _model(pod),
        standing,
        _number(pod.get("age_seconds"), "s"),
        _number(pod.get("window_seconds"), "s"),
        _number(pending),
        _number(pod.get("contribution")),
    )


def _model(pod: Mapping[str, Any]) -> str:
    if pod.get("model"):
        alias = pod.get("alias")
        shown = "" if alias in (None, pod["model"]) else f" (model={alias})"
        return f"{pod['model']}:{pod.get('version')}{shown}"
    profile = f" ({pod['mig_profile']})" if pod.get("mig_profile") else ""
    return str(pod.get("gpu") or "-") + profile


def _holders(pod: Mapping[str, Any]) -> str:
    held_by = pod.get("held_by") or []
    return ", ".join(held_by[:3]) + (f" and {len(held_by) - 3} more" if len(held_by) > 3 else "")


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.4g}{unit}"
