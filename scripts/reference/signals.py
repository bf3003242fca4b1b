"""A signal's page: what it means, how it is made, what it says when idle or blind, and which HPA target suits it."""

from collections.abc import Iterator

from autoscaler.gpu_formula import GpuDevices
from autoscaler.signal import (
    GatewayQuantile,
    GatewayRate,
    Mean,
    Pods,
    Quantile,
    Ratio,
    Signal,
    Total,
    row_file,
)
from scripts.reference.markdown import bullets, page, sources

_TOLD = "as dcgm-exporter or triton-gpu-agent (rules/gpu_exporters) tell"
_ENSEMBLES = {
    "parts": "its composing models are pooled",
    "own": "its own series are read",
    "outer": "its own series are read, and not those of its composing models beside it",
}


def signal_page(signal: Signal) -> str:
    return page(
        signal.name,
        f"rules/signals/{row_file(signal.name)}",
        ("Meaning", f"{signal.meaning}\n\nUnit: {signal.unit}."),
        ("Evidence", bullets(_made_of(signal))),
        ("Idle and no data", bullets(_without(signal))),
        ("Use in an HPA", f"Target type: {signal.hpa.target}. {signal.hpa.why}"),
        ("Sources", sources(signal.sources)),
    )


def _made_of(signal: Signal) -> Iterator[str]:
    match signal.formula:
        case Total(terms=terms):
            for term in terms:
                read = "increase a second" if term.read == "rate" else "mean over the window"
                yield f"{read} of {_families(term.families)}, times {term.scale:g}; summed over pods and models"
        case Ratio(numerator=numerator, denominator=denominator, scale=scale):
            yield f"sum of {_families(numerator)} over sum of {_families(denominator)}, times {scale:g}"
            if signal.formula.queue_delay == "subtracted":
                yield "of the time in the queue the model's max_queue_delay_microseconds is taken off for each request"
        case Mean(family=family, scale=scale):
            yield f"mean over pods and models of `{family}` over the window, times {scale:g}"
        case Quantile() as found:
            shown = ", ".join(found.summary_quantiles)
            yield f"the quantiles {shown} of `{found.summary}`, times {found.summary_scale:g}, of each pod and model"
            yield f"where that is not there, or does not see the model's work, the increase of the buckets of `{found.histogram}`"
            yield f"pooled by requests finished in the window into one distribution; its {found.quantile:g} quantile"
        case GpuDevices(reading="memory_used_ratio", own_page=own):
            yield "of each device bytes used, and bytes used and free: both summed, one over the other"
            yield f"{_TOLD} them, where the configuration has a section `gpu`"
            if own is not None:
                yield f"else `{own.used}` over `{own.total}`, and so for a pod of whose devices no exporter tells"
        case GpuDevices():
            yield "of each device the part of time in which it computed; a mean over devices"
            yield f"{_TOLD} it, only where the configuration has a section `gpu`"
        case Pods(state=state):
            yield f"pods of the Kubernetes API that are {'on no node' if state == 'pending' else 'on a node and not ready'}"
            return
        case GatewayRate():
            yield "increase a second of the requests counter that rules/gateways names, summed over gateways, codes and callers"
            yield f"window: {signal.window:g} s, of each gateway up to its newest scrape"
            return
        case GatewayQuantile(quantile=quantile):
            yield "increase of the buckets of the durations' histogram that rules/gateways names, over gateways, codes and callers"
            yield f"pooled into one distribution; its {quantile:g} quantile"
            yield f"window: {signal.window:g} s, of each gateway up to its newest scrape"
            return
    yield f"window: {signal.window:g} s"
    if signal.scope == "model":
        yield f"for an ensemble, {_ENSEMBLES[signal.ensembles]}"


def _without(signal: Signal) -> Iterator[str]:
    if isinstance(signal.formula, GatewayRate | GatewayQuantile):
        yield f"gateways were scraped, one of them shows the workload now, and no request came: {signal.idle:g}, which is an answer"
        yield "no gateway was scraped lately, or Prometheus is away: no data"
        yield "no gateway shows the workload by that name now, whatever it showed before: no data, since the name may be wrong"
        yield "requests wait at the gateway (Envoy tells) and none is answered for a whole window: no data"
        return
    if signal.idle is not None:
        yield f"every target answers and nothing happens: {signal.idle:g}, which is an answer"
    if signal.decoupled == "no_data":
        yield "a decoupled model: no data"
    if signal.decoupled == "histogram":
        yield "a decoupled model without the histogram: no data"
    if signal.stalled == "no_data":
        yield "requests wait and none completes for a whole window: no data"
    if isinstance(signal.formula, GpuDevices):
        yield "a pod that holds a GPU of which nobody tells: missing, and with more than a fifth of the pods missing no data"
        yield "a newest sample older than `gpu.max_age`, a blank of DCGM's, NaN: missing, never 0"
    for family, remedy in signal.remedies.items():
        yield f"without `{family}`: {remedy}"


def _families(names: tuple[str, ...]) -> str:
    return " + ".join(f"`{name}`" for name in names)
