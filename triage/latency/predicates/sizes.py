"""How large requests are. Triton counts inferences, no shapes: what grows otherwise shows in bytes at a gateway. Pure."""

from collections.abc import Iterator

from triage.answers import Answer
from triage.latency.facts import Statistics
from triage.latency.incident import Incident, Movement
from triage.latency.number import amount

_HIDDEN = "Triton exports no shapes: scrape a gateway that counts the bytes of requests, or have the model log its inputs' shapes"


def requests_are_larger(incident: Incident) -> Answer:
    """A request carries more inferences than before, or more bytes at the gateway."""
    if larger := larger_requests(incident):
        return Answer("yes", f"{larger.quantity.says}: {larger.from_to}", larger.evidence)
    size, told = incident.movement("request_size"), incident.movement("gateway_request_size")
    if told.known and size.known:
        said = f"{size.quantity.says}: {size.from_to}; {told.quantity.says}: {told.from_to}"
        return Answer("no", said, size.evidence + told.evidence)
    # Of a model without a batch dimension each request is one inference, whatever is in it.
    return Answer("unknown", _HIDDEN if size.known else size.missing, size.evidence)


def larger_requests(incident: Incident) -> Movement | None:
    """What grew: inferences per request, else bytes of a request."""
    size, told = incident.movement("request_size"), incident.movement("gateway_request_size")
    # What the response cache answers is a request without an inference.
    cached = incident.movement("cache_hit_share")
    if size.up(1.2, 0.2) == "yes" and not (cached.before or cached.during):
        return size
    return told if told.up(1.3, 512) == "yes" else None


def sizes_explain_it(incident: Incident) -> Answer:
    """Computing a request takes longer by no more than the requests, or the batches that they make, are larger: for each inference
    it takes as long as before."""
    larger, compute = larger_requests(incident), incident.movement("compute")
    if larger is None or not (larger.before and larger.during):
        size = requests_are_larger(incident)
        return Answer("unknown" if size.value == "unknown" else "no", size.because, size.evidence)
    if not (compute.before and compute.during):
        return Answer("unknown", compute.missing or "the time of computing was zero", compute.evidence)
    growth, batch = larger.during / larger.before, incident.movement("batch")
    if batch.before and batch.during:
        growth = max(growth, batch.during / batch.before)
    longer = compute.during / compute.before
    said = f"requests are {growth:.2g} times as large, and computing one takes {longer:.2g} times as long"
    return Answer("yes" if longer <= 1.25 * growth else "no", said, larger.evidence + compute.evidence)


def sizes_seen(incident: Incident) -> Answer:
    """All that is known of how large requests and executions are."""
    told = [
        (f"{one.quantity.says} {one.from_to}", one.evidence)
        for name in ("request_size", "gateway_request_size")
        if (one := incident.movement(name)).known
    ]
    told += _executed(incident)
    said = "; ".join(text for text, _ in told)
    evidence = tuple(dict.fromkeys(each for _, some in told for each in some))
    if not incident.movement("gateway_request_size").known and requests_are_larger(incident).value != "yes":
        return Answer("unknown", f"{_HIDDEN}{f' ({said})' if said else ''}", evidence)
    return Answer("yes", said, evidence)


def _executed(incident: Incident) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Inferences of an execution by the statistics API: before the first look, and since."""
    rows = [
        (
            evidence.id,
            [
                sum(row.executions for row in some if row.model == incident.model)
                for some in (facts.before, facts.during)
            ],
            [
                sum(row.inferences for row in some if row.model == incident.model)
                for some in (facts.before, facts.during)
            ],
        )
        for evidence, facts in incident.facts(Statistics)
    ]
    runs = [sum(row[1][place] for row in rows) for place in (0, 1)]
    done = [sum(row[2][place] for row in rows) for place in (0, 1)]
    if all(runs):
        was, now = (amount(d / r, "inferences") for d, r in zip(done, runs, strict=True))
        yield (
            f"an execution had {was} on average before the first look, and {now} since",
            tuple(r[0] for r in rows),
        )
