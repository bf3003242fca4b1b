"""A signal of the gateway: one workload, one number, with no pod needed; or why there is none.

Pure. Zero needs that gateways were scraped lately, that one of them shows now that it knows the workload by its name, and that its
counters are flat. What was seen before does not count: a workload that the gateway calls otherwise since yesterday has a past and
no present, and its traffic is under the new name. A name that none shows, a gateway or a Prometheus that is away are errors, on
which the HPA holds, at ten replicas and at none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from math import inf, isfinite
from typing import Any

from autoscaler.answer import Answer, NoData, Reason, Value
from autoscaler.pooled_quantile import Points, pool_quantile
from autoscaler.pooling import Refusal
from autoscaler.selector import Operator, Selector
from autoscaler.signal import GatewayQuantile, GatewayRate, Signal
from telemetry.gateways.queries import GatewayNames, instance_name
from telemetry.gateways.reading import GatewayReading
from telemetry.gateways.window import Instance, Share, Target, TargetWindow
from telemetry.one_line import bounded

_MAX_MESSAGE = 300
_ONE = (Operator.EQUALS, Operator.DOUBLE_EQUALS, Operator.IN)
_STALE = "Prometheus has no fresh sample of it; see its 'up'"
LABEL = "workload"


@dataclass(frozen=True, slots=True)
class GatewayView:
    """What is known of the gateways: the last reading, and why the last tick told nothing. `max_age` in seconds."""

    names: GatewayNames
    reading: GatewayReading | None
    failure: str | None
    max_age: float


def evaluate_gateway(
    signal: Signal,
    view: GatewayView | None,
    namespace: str,
    selector: Selector,
    now: float,
    *,
    explain: bool = False,
) -> Answer:
    """The signal for the selected workload of the namespace. `now` in monotonic seconds; `explain` adds the trace."""
    window: TargetWindow | None = None
    try:
        target = _target(view, namespace, selector)
        assert view is not None  # noqa: S101 -- _target refuses None
        reading = _reading(view)
        window = reading.windows[signal.window][target]
        age = _age(view, reading, target, window, now)
        answer: Answer = _value(signal, view, reading, target, window, age)
    except Refusal as refusal:
        answer = NoData(refusal.reason, bounded(refusal.message, _MAX_MESSAGE))
    if not explain or view is None or window is None:
        return answer
    newest = max((share.window.newest for share in window.shares), default=0.0)
    return replace(
        answer, trace=[_trace(*one, newest) for one in zip(window.shares, window.contributions, strict=True)]
    )


def _target(view: GatewayView | None, namespace: str, selector: Selector) -> Target:
    if view is None:
        raise Refusal(
            Reason.NO_GATEWAY,
            "no gateway is configured: give the section gateway, with its kind and workloads, in the autoscaler's configuration",
        )
    requirements = dict.fromkeys(selector.requirements)
    if other := next((r.key for r in requirements if r.key != LABEL), None):
        raise Refusal(
            Reason.UNKNOWN_LABEL,
            f"label {other!r} cannot be selected: a gateway sees workloads, not their models and pods; select by workload alone",
        )
    asked = [r for r in requirements if r.operator in _ONE and len(r.values) == 1]
    if len(asked) != 1 or len(requirements) != 1:
        raise Refusal(
            Reason.UNKNOWN_LABEL, "a gateway's signal is of one workload: select it by workload=NAME"
        )
    key = (namespace, asked[0].values[0])
    found = next(
        (target for target in view.names.targets if (target.namespace, target.workload) == key), None
    )
    if found is None:
        raise Refusal(
            Reason.NO_TARGETS,
            f"workload {asked[0].values[0]!r} of this namespace is not among gateway.workloads of the configuration",
        )
    return found


def _reading(view: GatewayView) -> GatewayReading:
    if view.reading is None:
        raise Refusal(Reason.NOT_ANSWERING, f"the gateway is not seen ({view.failure})")
    return view.reading


def _age(
    view: GatewayView, reading: GatewayReading, target: Target, window: TargetWindow, now: float
) -> float:
    """Seconds since the oldest of the gateways' newest scrapes. Raises Refusal where that is too long ago."""
    kind = view.names.kind
    if target in reading.lost:
        raise _not_seen(reading.lost[target], _STALE)
    oldest = window.oldest
    if oldest is None:
        raise Refusal(
            Reason.NOT_ANSWERING,
            f"no {kind.kind} gateway is seen: Prometheus has no fresh sample of {kind.presence}; is it scraped?",
        )
    age = max(0.0, now - (oldest.newest + reading.ahead))
    if age > view.max_age:
        raise _not_seen(oldest.instance, view.failure or _STALE)
    return age


def _not_seen(instance: Instance, failure: str) -> Refusal:
    return Refusal(Reason.NOT_ANSWERING, f"gateway {instance_name(instance)} is not seen ({failure})")


def _value(
    signal: Signal,
    view: GatewayView,
    reading: GatewayReading,
    target: Target,
    window: TargetWindow,
    age: float,
) -> Value:
    kind = view.names.kind
    if target in reading.twice:
        raise Refusal(
            Reason.UNKNOWN_LABEL,
            f"{instance_name(reading.twice[target])} is scraped more than once and would count twice: let gateway.instance_labels "
            "tell gateways apart, and gateway.replica_labels the Prometheus servers that scrape them",
        )
    if reading.unkept:
        raise Refusal(
            Reason.FAMILY_ABSENT,
            f"Prometheus has no 'up' of any {kind.kind} gateway by {', '.join(view.names.instance_labels)}: one that falls silent "
            "could not be told from one that is gone; let it keep 'up', or see gateway.instance_labels",
        )
    if not reading.covered[signal.window]:
        raise Refusal(
            Reason.WARMING_UP,
            "the window of the gateways is not covered by samples yet; what came before is unknown",
        )
    if (once := window.untold) is not None:
        raise Refusal(
            Reason.WARMING_UP,
            f"gateway {instance_name(once.instance)} was scraped once so far; what it does now its second scrape will tell",
        )
    if window.stranger is not None:
        raise Refusal(
            Reason.NO_SERIES,
            f"{instance_name(window.stranger)} counts requests for {target.service!r} and shows no {kind.presence} that "
            "gateway.instances selects: let gateway.matchers and gateway.instances select the same gateways",
        )
    if not window.seen and target not in reading.listed:
        raise Refusal(
            Reason.NO_SERIES,
            f"no {kind.kind} gateway shows {kind.requests} for {target.service!r} of {target.namespace}: "
            "is that what it calls the workload? see gateway.workloads; if it is, one request is enough",
        )
    waiting = reading.active.get(target, 0.0)
    rate = window.rate
    if rate == 0 and waiting > 0:
        raise Refusal(
            Reason.STALLED, f"requests for {target.service!r} wait at the gateway and none is answered"
        )
    labels = {"source": "prometheus", "gateway": kind.kind}
    number = rate
    if isinstance(signal.formula, GatewayQuantile) and rate > 0:
        number, bounds = _quantile(signal.formula.quantile, view, reading, target, window)
        labels |= bounds
    idle = rate == 0
    return Value(
        (signal.idle or 0.0) if idle else number,
        age,
        round(signal.window),
        idle,
        labels,
    )


def _quantile(
    quantile: float, view: GatewayView, reading: GatewayReading, target: Target, window: TargetWindow
) -> tuple[float, Mapping[str, str]]:
    """Of all requests, in milliseconds, and its bounds. Raises Refusal where some requests' durations are not told."""
    if target in reading.without_buckets:
        raise Refusal(
            Reason.FAMILY_ABSENT,
            f"Prometheus has no {view.names.kind.buckets} for {target.service!r}: no request was passed on yet, or it is not "
            "scraped as a classic histogram (native ones are not read)",
        )
    if any(any(buckets.values()) and not _tells(buckets) for buckets in window.histograms):
        raise Refusal(
            Reason.FAMILY_ABSENT,
            f'a gateway shows {view.names.kind.buckets} for {target.service!r} without le="+Inf", which counts all requests, or '
            "with that alone: have Prometheus keep every bucket",
        )
    found = pool_quantile([_points(buckets) for buckets in window.histograms], quantile)
    if found is None:
        raise Refusal(
            Reason.NO_SUCCESS,
            f"the gateway counts requests for {target.service!r} and tells no duration of any: it may refuse them all",
        )
    return found.value, {
        "estimate": "pooled",
        "estimated_from": "histogram",
        "lower_bound": f"{found.lower:.3f}",
        "upper_bound": f"{found.upper:.3f}" if isfinite(found.upper) else "none",
    }


def _tells(buckets: Mapping[float, float]) -> bool:
    """Whether it is a whole histogram: some bound, and the last bucket, which alone tells the count."""
    return len(buckets) > 1 and inf in buckets


def _points(buckets: Mapping[float, float]) -> Points:
    """One histogram."""
    bounds = sorted(buckets)
    rising = list(accumulate((buckets[bound] for bound in bounds), max))
    total = rising[-1]
    return Points(
        total, [(count / total, bound) for bound, count in zip(bounds, rising, strict=True) if total]
    )


def _trace(share: Share, contribution: float, newest: float) -> Mapping[str, Any]:
    window = share.window
    return {
        "gateway": instance_name(window.instance),
        "prometheus": instance_name(window.replica) if any(window.replica) else None,
        "standing": str(window.standing),
        "counted": True,
        "behind_seconds": round(newest - window.newest, 3),
        "window_seconds": round(window.seconds, 3),
        "requests_per_second": sum(share.codes.values()),
        "by_code": dict(share.codes),
        "contribution": contribution,
    }


def is_gateway(signal: Signal) -> bool:
    """Whether it is made of gateways' families and of nothing of Triton's."""
    return isinstance(signal.formula, GatewayRate | GatewayQuantile)
