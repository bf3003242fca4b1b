"""Why nothing of a fleet is seen, in words that say what to do. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from autoscaler.answer import Answer, NoData, Reason
from autoscaler.trial.refusals import FORBIDDEN
from telemetry.pod_state import PodState
from telemetry.target import Phase, Target
from telemetry.window import SUCCESS

_PORTS = (
    "say the ports by the pods' annotations triton-ops.io/metrics-port and triton-ops.io/http-port, "
    "or by container ports named metrics and http"
)
_FOR_GOOD = (
    Reason.FAMILY_ABSENT,
    Reason.CANNOT_TELL_IDLE,
    Reason.COUNTERS_OFF,
    Reason.DECOUPLED,
    Reason.AMBIGUOUS_MODEL,
)
"""Reasons that no longer look mends."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What `/v2` on a pod's HTTP port answered: Triton's version, or why there is none."""

    version: str = ""
    failure: str = ""


class _Server(msgspec.Struct):
    name: str
    version: str
    extensions: list[str]


def parse_server(body: bytes) -> Probe:
    """Triton's own description of itself, or that it is none (KServe's protocol: "Server Metadata Response")."""
    try:
        server = msgspec.json.decode(body, type=_Server)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Probe(failure="does not answer as Triton does")
    return Probe(version=server.version[:40] or "without a version")


def hopeless(states: Sequence[PodState], rounds: int) -> PodState | None:
    """A pod that stands for all, when more rounds would show no more; None while some may."""
    running = [state for state in states if state.target.phase is Phase.RUNNING]
    forbidden = [state for state in running if state.failure == FORBIDDEN]
    if forbidden and len(forbidden) == len(running):
        return forbidden[0]
    ready = [state for state in running if state.target.ready]
    if rounds < 3 or not ready or any(_shows_models(state) for state in running):
        return None
    return ready[0]


def explain(state: PodState, namespace: str, probe: Probe) -> str:
    """Why nothing is seen of this pod, and what to do."""
    pod, target = state.target.key.pod, state.target
    metrics, http = _port(target.metrics_url), _port(target.http_url)
    if state.failure == FORBIDDEN:
        return (
            f"no right to read pods' pages through the API server in namespace {namespace}. "
            "It takes get on pods/proxy, and list on pods:\n"
            f"  kubectl create role triton-try -n {namespace} --verb=get,list --resource=pods,pods/proxy\n"
            f"  kubectl create rolebinding triton-try -n {namespace} --role=triton-try --user=YOU\n"
            "It lets you send any GET request to any port of these pods."
        )
    if target.phase is not Phase.RUNNING:
        return f"no pod runs: {pod} is {target.phase}; kubectl describe pod {pod} -n {namespace} says why"
    problem = f" ({target.problem})" if target.problem else ""
    if state.failure is None and state.windows:
        if probe.version:
            return (
                f"Triton {probe.version} in pod {pod} shows no metrics of a model: none is loaded (see POST /v2/repository/index), "
                "or it was started with --allow-metrics=false for models"
            )
        return (
            f"port {metrics} of pod {pod} has metrics, and none of Triton's; port {http} {probe.failure}: this is no Triton. "
            f"If it is, {_PORTS}"
        )
    failure = state.failure or "not asked yet"
    if probe.version:
        return (
            f"Triton {probe.version} answers on port {http} of pod {pod}, and its metrics do not on port {metrics}: "
            f"{failure}{problem}. Either they are off (--allow-metrics=false), or on another port (--metrics-port): {_PORTS}"
        )
    return (
        f"pod {pod} shows no Triton: port {metrics} (metrics): {failure}; port {http} (HTTP): {probe.failure}{problem}. "
        f"If it is a Triton, {_PORTS}; else name another workload"
    )


def why_no_target(answer: Answer, decoupled: Sequence[str], served: Sequence[str]) -> str:
    """Why the signal that a fleet is scaled on can give no HPA a number here; empty where it can, or only was not seen yet."""
    if decoupled and set(served) <= set(decoupled):
        return (
            f"every model here is decoupled ({', '.join(decoupled)}): Triton's counters end when execute() returns and do not see "
            "their work. Scale on triton_request_rate with a rate that you measured, or on the backend's own metrics"
        )
    if isinstance(answer, NoData) and answer.reason is Reason.MODEL_KIND_UNKNOWN:
        what = answer.message.partition("; open that port")[0]
        return (
            f"no target: {what}. That path must lead to Triton's HTTP port ({_PORTS}), and the API server's proxy carries no model "
            "name with a / in it"
        )
    if isinstance(answer, NoData) and answer.reason in _FOR_GOOD:
        return f"no target: an HPA would get no number here: {answer.message}"
    return ""


def _shows_models(state: PodState) -> bool:
    return any(
        key.model and SUCCESS in row.increase
        for window in state.windows.values()
        for key, row in window.rows.items()
    )


def _port(url: str | None) -> str:
    """The port in a proxied path, or in a plain URL."""
    if url is None:
        return "?"
    _, found, rest = url.partition("/pods/")
    if found:
        return rest.partition("/")[0].rpartition(":")[2]
    return str(urlsplit(url).port or 80)


def ports_of(target: Target) -> tuple[str, str]:
    """Of metrics and HTTP."""
    return _port(target.metrics_url), _port(target.http_url)
