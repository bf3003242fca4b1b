"""A signal's page: what it means, how it is made, what it says when idle or blind, and which HPA target suits it."""

from collections.abc import Iterator

from autoscaler.signal import Quantile, Ratio, Signal, Total
from scripts.reference.markdown import bullets, page, sources

_ENSEMBLES = {
    "parts": "its composing models are pooled",
    "own": "its own series are read",
    "both": "its own series and those of its composing models are read",
}


def signal_page(signal: Signal) -> str:
    return page(
        signal.name,
        f"rules/signals/{signal.name}.yaml",
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
        case Quantile(family=family, quantile=quantile, scale=scale):
            yield f"largest of the pods' own {quantile} quantile of `{family}`, times {scale:g}"
    yield f"window: {signal.window:g} s"
    if signal.scope == "model":
        yield f"for an ensemble, {_ENSEMBLES[signal.ensembles]}"


def _without(signal: Signal) -> Iterator[str]:
    if signal.idle is not None:
        yield f"every target answers and nothing happens: {signal.idle:g}, which is an answer"
    if signal.decoupled == "no_data":
        yield "a decoupled model: no data"
    if signal.stalled == "no_data":
        yield "requests wait and none completes for a whole window: no data"
    for family, remedy in signal.remedies.items():
        yield f"without `{family}`: {remedy}"


def _families(names: tuple[str, ...]) -> str:
    return " + ".join(f"`{name}`" for name in names)
