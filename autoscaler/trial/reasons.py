"""What was seen and what it says of capacity, in sentences. Pure."""

from collections.abc import Iterator, Sequence

from autoscaler.trial.decide import (
    CONFIGURED_ROOM,
    ENOUGH,
    MEASURED_ROOM,
    NEAR,
    Basis,
    Decision,
    by_model,
)
from autoscaler.trial.points import Point
from autoscaler.trial.seen import Seen
from telemetry.one_line import bounded

_UNEVEN = 2.0
"""The busiest pod has this many times the median's load: an HPA spreads nothing."""
_LONG = "longer than on a pod with room"
_SLOWER = 1.5
_BACKLOG = 0.5


def number(value: float) -> str:
    """Three digits, without an exponent for what occurs."""
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def what_was_seen(seen: Seen) -> list[str]:
    """Pods, models, load, waiting."""
    return [printable(line) for line in _seen(seen)]


def what_it_says(seen: Seen) -> list[str]:
    """The target and what it rests on; or why there is none."""
    return [printable(line) for line in (_says(seen, seen.decision) if seen.decision else [seen.why_none])]


def basis_in_words(decision: Decision) -> str:
    """What a target rests on, in a clause."""
    match decision.basis:
        case Basis.REACHED:
            return f"measured at the limit, on {number(decision.requests)} requests that ended while others waited"
        case Basis.WAITED:
            return f"below what {number(decision.requests)} requests waited at; the limit itself was not measured"
        case Basis.SEEN:
            return f"seen without waiting, on {number(decision.requests)} requests; the limit itself was not reached"
        case Basis.CONFIGURED:
            return "a guess from the models' configuration alone: the fleet was never near its limit"


def how_to_measure(seen: Seen) -> str:
    """For a target that is a guess."""
    most = seen.decision.limit.requests if seen.decision and seen.decision.limit else 1.0
    return (
        f"to measure it, load one pod until requests wait (perf_analyzer --concurrency-range 1:{max(2, round(2 * most))} does) "
        "and run this again meanwhile"
    )


def _seen(seen: Seen) -> Iterator[str]:
    fleet = seen.fleet
    version = f", Triton {seen.triton}" if seen.triton else ""
    early = ", ended early" if seen.ended_early else ""
    yield (
        f"{fleet.workload.kind.lower()}/{fleet.workload.name} in {fleet.namespace}, {seen.seconds:.0f} s{early}: "
        f"{_count(fleet.pods, 'pod')}, {fleet.answered} answered{version}"
    )
    if fleet.asked < fleet.pods:
        yield (
            f"{fleet.asked} of {fleet.pods} pods were asked, spread evenly over their names, to spare the API server; "
            "totals are scaled up to all of them"
        )
    for pod, failure in sorted(fleet.failures.items())[:3]:
        yield f"not seen: pod {pod} ({failure})"
    if len(fleet.failures) > 3:
        yield f"not seen: {len(fleet.failures) - 3} more pods"
    loads = by_model(seen.points)
    for model, limits in sorted(seen.limits.items())[:8]:
        about = "decoupled: its counters do not see its work" if limits.decoupled else str(limits)
        if not limits.decoupled and not limits.instances:
            about = "an ensemble: its parts count"
        quiet = limits.instances and not limits.decoupled and not (loads.get(model) and loads[model].requests)
        idle = ", no load" if quiet else ""
        yield f"model {model}: {about}{idle}"
    if len(seen.limits) > 8:
        yield f"and {len(seen.limits) - 8} more models"
    together, load = seen.together, seen.loads()
    if load is None:
        yield "load: no pod was seen long enough to say"
        return
    least, middle, most = load
    yield (
        f"requests at once in a pod, waiting and computed: least {number(least)}, median {number(middle)}, "
        f"most {number(most)} ({len(seen.points)} looks of 10 s)"
    )
    share = together.queue_share
    if share is None:
        yield "no request ended meanwhile"
    else:
        yield (
            f"{number(together.requests)} requests ended; they waited {share:.0%} of their time in Triton"
            + (f"; {number(together.failures)} failed" if together.failures else "; none failed")
        )
    if middle > 0 and most > _UNEVEN * middle and len({point.pod for point in seen.points}) > 1:
        yield "the load is uneven: more pods help only if your balancer sends requests to them"


def _says(seen: Seen, decision: Decision) -> Iterator[str]:
    limit = decision.limit
    target = number(decision.target)
    by_configuration = (
        f"the configuration lets a pod compute {number(limit.requests)} at once ({limit.model} is full first)"
        if limit
        else "the configuration does not say how many a pod computes at once"
    )
    yield f"target {target} requests at once in a pod, {basis_in_words(decision)}"
    match decision.basis:
        case Basis.REACHED:
            assert decision.computing is not None  # noqa: S101 -- of this basis it is
            yield (
                f"requests waited {_LONG} while {number(decision.computing)} were computed in a pod: "
                "that is what it can do (Little's law: seconds of computation a second)"
            )
            if decision.calm is not None:
                yield f"with up to {number(decision.calm)} at once they waited little"
            yield f"{by_configuration}; the target leaves {1 - MEASURED_ROOM:.0%} head room"
        case Basis.WAITED:
            assert decision.computing is not None  # noqa: S101 -- of this basis it is
            yield (
                f"requests waited {_LONG} although a pod computed only {number(decision.computing)} at once: they come in "
                "bursts, or something else holds them up (`triton-triage p99` tells)"
            )
            yield f"{by_configuration}; {how_to_measure(seen)}"
        case Basis.SEEN:
            assert decision.calm is not None  # noqa: S101 -- of this basis it is
            yield (
                f"with up to {number(decision.calm)} at once requests waited little, no longer than a fifth of their time, or with "
                "a batcher than the batch before theirs took: the target is no higher"
            )
            yield f"{by_configuration}; {how_to_measure(seen)}"
        case Basis.CONFIGURED:
            calm = (
                f"the most seen without waiting is {number(decision.calm)}"
                if decision.calm
                else "no load to speak of"
            )
            yield f"{calm}, less than {NEAR:.0%} of what is configured; {by_configuration}"
            yield f"{CONFIGURED_ROOM:g} of that leaves room for bursts; {how_to_measure(seen)}"
    if (slower := _slower(seen.points)) is not None:
        yield slower
    wanted, (low, high) = seen.wanted(), seen.replicas
    if wanted is not None and seen.most_total is not None:
        bounds = ""
        if wanted > high:
            bounds = f"; maxReplicas holds it at {high}: raise it if you have the GPUs"
        elif wanted < low:
            bounds = f"; minReplicas holds it at {low}"
        together = seen.together
        if together.waiting > _BACKLOG * together.concurrency:
            bounds += "; most of it is a backlog, which goes once there are enough pods"
        yield (
            f"at the most load seen, {number(seen.most_total)} at once in the fleet, "
            f"the HPA asks for {_count(wanted, 'replica')}{bounds} ({seen.fleet.pods} now)"
        )


def _slower(points: Sequence[Point]) -> str | None:
    """Whether a computation takes longer the more there are: waiting that no queue shows."""
    parts = sorted((p.total for p in points if p.total.requests >= ENOUGH), key=lambda part: part.computing)
    if not parts or parts[-1].computing < 2 * parts[0].computing:
        return None
    few, many = (part.compute_seconds / part.requests for part in (parts[0], parts[-1]))
    if many <= _SLOWER * few:
        return None
    return (
        f"a request was computed for {number(few * 1000)} ms with {number(parts[0].computing)} at once and for "
        f"{number(many * 1000)} ms with {number(parts[-1].computing)}: larger batches, or instances that share a GPU; "
        "if the longer time is too long for you, the target is too high"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def printable(line: str) -> str:
    """A page chooses its models' names, and this ends in somebody's terminal and manifest."""
    return bounded(line, 500)
