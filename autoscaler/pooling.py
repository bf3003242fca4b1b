"""The formulas: how the rows of many pods become one number.

Totals are sums, in which a pod that does not answer counts as the larger of its own last contribution and the mean of the others;
while a pod's past is unknown there is no such contribution, and no total. A new pod that is ready and not measured yet counts as
its share of them all for the part of the window since it was ready. What a pod did before it left counts until it slides out of the
window.
Ratios are ratios of sums. Quantiles are never averaged: they are pooled into one distribution, with bounds.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Final

from autoscaler.answer import Reason, Value
from autoscaler.gpu_formula import GpuDevices
from autoscaler.pooled_quantile import Points, pool_quantile
from autoscaler.selection import Facts, SelectedPod, Settings, Standing, max_age_of
from autoscaler.signal import (
    INSTANCE_SECONDS,
    GatewayQuantile,
    GatewayRate,
    Mean,
    Pods,
    Quantile,
    Ratio,
    Signal,
    Term,
    Total,
)
from telemetry.model_config import ModelFacts
from telemetry.two_sources import PROMETHEUS
from telemetry.window import FAILURE, PENDING, QUEUE, SUCCESS, RowKey, RowWindow

_MAX_MILLI: Final = 2**63 - 1
_SUMMARY_RANK_ERRORS: Final = {0.5: 0.05, 0.9: 0.01}
_SUMMARY_RANK_ERROR: Final = 0.001
"""Of a Triton summary's quantiles, as a share of its requests, those not named above: the defaults of `--metrics-config
summary_quantiles` (triton-inference-server/core: src/metric_model_reporter.cc)."""


class Refusal(Exception):
    """No number can be given; `message` is constant while the cause is."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def pool(
    signal: Signal,
    pods: Sequence[SelectedPod],
    departed: Sequence[SelectedPod],
    unmeasured: Sequence[SelectedPod],
    facts: Facts,
    settings: Settings,
) -> Value:
    """The signal over these pods; those that `departed` and those `unmeasured` yet count in totals too. Raises Refusal."""
    match signal.formula:
        case Total() as total:
            value = _total(signal, total, pods, departed, unmeasured, settings)
            labels: dict[str, str] = {}
        case Ratio():
            covering = _covering(pods, settings)
            if signal.scope == "gpu":
                covering = _showing_sizes(signal, signal.formula, covering, settings)
            value, labels = _ratio(signal, signal.formula, covering, facts), {}
        case Mean() as mean:
            value, labels = _mean(signal, mean, _covering(pods, settings), settings), {}
        case Quantile() as quantile:
            value, labels = _quantile(signal, quantile, _covering(pods, settings), facts, settings)
        case Pods() | GpuDevices() | GatewayRate() | GatewayQuantile():
            raise TypeError("this is made of no pod's page: see evaluate, gpu_pooling and gateway_evaluate")
    idle = value is None
    number = signal.idle if value is None else value
    if number is None or not math.isfinite(number) or not 0 <= number * 1000 <= _MAX_MILLI:
        raise Refusal(
            Reason.NOT_REPRESENTABLE,
            f"{signal.name} came out as a number that no HPA can use: NaN, infinite, negative or past 64 bits",
        )
    ages = [pod.age_seconds for pod in pods if pod.window is not None]
    return Value(number, max(ages, default=0.0), round(signal.window), idle, labels)


def contribution(signal: Signal, row: RowWindow, facts: ModelFacts | None) -> float | None:
    """What one row alone would say, for explaining; None where it says nothing. `facts` of its model, as far as they are known."""
    try:
        match signal.formula:
            case Total() as total:
                return _row_total(signal, total, "", row)
            case Ratio() as ratio:
                above, below = _parts(signal, ratio, "", row, facts)
                return ratio.scale * above / below if below > 0 else None
            case Mean(family=family, scale=scale):
                return row.mean[family] * scale if family in row.mean else None
            case Quantile() as quantile:
                points = _points(signal, quantile, "", row, facts)
                found = pool_quantile([points], quantile.quantile)
                return None if found is None else found.value
            case Pods() | GpuDevices() | GatewayRate() | GatewayQuantile():
                return None
    except Refusal:
        return None


def _total(
    signal: Signal,
    formula: Total,
    pods: Sequence[SelectedPod],
    departed: Sequence[SelectedPod],
    unmeasured: Sequence[SelectedPod],
    settings: Settings,
) -> float | None:
    """The sum, or None when idle."""
    missing = [pod for pod in pods if pod.standing is not Standing.ANSWERED]
    _refuse_expired(missing, settings)
    if unknown := [pod for pod in missing if pod.window is not None and not pod.window.full]:
        raise Refusal(Reason.WARMING_UP, _say_warming(unknown[0]))
    answered = [_own(signal, formula, pod) for pod in pods if pod.standing is Standing.ANSWERED]
    if not answered and (unseen := [pod for pod in missing if pod.window is None]):
        raise Refusal(Reason.NOT_ANSWERING, _say_silent(unseen[0], settings))
    fading = sum(_fading(signal, formula, pod) for pod in departed)
    typical = sum(answered) / len(answered) if answered else 0.0
    estimated = sum(max(_own(signal, formula, pod), typical) for pod in missing)
    total = (sum(answered) + fading + estimated) / (1 - _unseen_share(signal, pods, unmeasured))
    # A gauge of the engine's own may show work while no request completes and none waits in front of it.
    if not missing and not unmeasured and total == 0 and _idle(pods):
        return None
    return total


def _own(signal: Signal, formula: Total, pod: SelectedPod) -> float:
    """What the pod's last window adds to a total; 0 for one that never answered."""
    return sum(_row_total(signal, formula, pod.name, row) for row in pod.rows.values())


def _row_total(signal: Signal, formula: Total, pod: str, row: RowWindow) -> float:
    """The row's part of a total, no less than before its pod's last silence."""
    own = sum(_term(signal, pod, term, row) for term in formula.terms)
    return own if row.floor is None else max(own, _row_total(signal, formula, pod, row.floor))


def _fading(signal: Signal, formula: Total, pod: SelectedPod) -> float:
    """What a pod that left did in the part of its last window that still lies in the present one.

    Without it a total would dip while the others' windows take over its load, and each scale-down would ask for the next."""
    try:
        return _own(signal, formula, pod) * max(0.0, 1 - pod.age_seconds / signal.window)
    except Refusal:
        return 0.0


def _unseen_share(signal: Signal, pods: Sequence[SelectedPod], unmeasured: Sequence[SelectedPod]) -> float:
    """The part of a steady load, shared evenly, that young pods did and no sample shows; less than 1.

    A pod takes its share of the load at once when it is ready, and the others' windows show less from then on. Its own first sample
    comes when the source has found it: a Prometheus looks only every 5 s (discovery/manager.go) and then scrapes it. Without this a
    total would dip after each scale-up and ask for a scale-down. Of k pods among n that waited f of the window each, the windows
    together lack f k / n. A young pod's later samples may lag behind the others', and lack as much for that time."""
    answered = [pod for pod in pods if pod.standing is Standing.ANSWERED and pod.window is not None]
    old = [pod.age_seconds for pod in answered if pod.window is not None and not pod.window.young]
    usual = sum(old) / len(old) if old else math.inf
    lags = [pod.age_seconds - usual for pod in answered if pod.window is not None and pod.window.young]
    waited = [pod.age_seconds for pod in unmeasured] + [lag for lag in lags if lag > 0]
    shares = [min(1.0, seconds / signal.window) for seconds in waited]
    return sum(shares) / (len(pods) + len(unmeasured)) if shares else 0.0


def _covering(pods: Sequence[SelectedPod], settings: Settings) -> Sequence[SelectedPod]:
    """The pods that answered, if they are enough of all to speak for them."""
    answered = [pod for pod in pods if pod.standing is Standing.ANSWERED]
    missing = [pod for pod in pods if pod.standing is not Standing.ANSWERED]
    if missing and len(answered) < settings.coverage * len(pods):
        silent = [pod for pod in missing if pod.standing is Standing.SILENT]
        if silent:
            raise Refusal(
                Reason.COVERAGE,
                f"too few targets answered to speak for all: {_say_silent(silent[0], settings)}",
            )
        raise Refusal(Reason.WARMING_UP, _say_warming(missing[0]))
    if missing and _idle(answered):
        raise Refusal(Reason.NOT_ANSWERING, f"idle only as far as can be seen: {_say(missing[0], settings)}")
    return answered


def _showing_sizes(
    signal: Signal, formula: Ratio, pods: Sequence[SelectedPod], settings: Settings
) -> Sequence[SelectedPod]:
    """The pods whose pages tell how large each of their GPUs is, if they are enough to speak for all. Of a GPU that it cannot read
    a Triton shows 0 of 0 (triton-inference-server/core: src/metrics.cc): missing, and no other GPU stands for it."""

    def unread(pod: SelectedPod) -> bool:
        rows = (row for key, row in pod.rows.items() if key.gpu)
        return any(row.mean.get(family) == 0 for row in rows for family in formula.denominator)

    without = [pod for pod in pods if unread(pod)]
    if without and len(pods) - len(without) < settings.coverage * len(pods):
        remedy = signal.remedies.get(formula.denominator[0], "look whether its driver answers")
        told = f"pod {without[0].name} shows a GPU of 0 bytes, as Triton does of one that it cannot read: {remedy}"
        raise Refusal(Reason.FAMILY_ABSENT, told)
    return [pod for pod in pods if pod not in without]


def _ratio(signal: Signal, formula: Ratio, pods: Sequence[SelectedPod], facts: Facts) -> float | None:
    """Ratio of sums, or None when idle. A GPU shared by pods counts once."""
    above = below = 0.0
    rows = [found for found in _rows(signal, pods) if _shows_some(formula, found[2])]
    if not rows:
        raise _absent(signal, pods[0].name, formula.numerator[0])
    for pod, key, row in rows:
        numerator, denominator = _parts(signal, formula, pod.name, row, facts.of(pod, key.model))
        above, below = above + numerator, below + denominator
    if below > 0:
        return formula.scale * above / below
    if signal.idle is not None and _idle(pods):
        return None
    raise _nothing_completed(signal, pods)


def _mean(signal: Signal, formula: Mean, pods: Sequence[SelectedPod], settings: Settings) -> float | None:
    """Over the rows that show the gauge, in enough of the pods to speak for all."""
    shown = [
        (pod.name, row.mean[formula.family])
        for pod, _, row in _rows(signal, pods)
        if formula.family in row.mean
    ]
    without = [pod.name for pod in pods if pod.name not in {name for name, _ in shown}]
    if not shown or len(pods) - len(without) < settings.coverage * len(pods):
        raise _absent(signal, without[0], formula.family)
    return formula.scale * sum(value for _, value in shown) / len(shown)


def _quantile(
    signal: Signal, formula: Quantile, pods: Sequence[SelectedPod], facts: Facts, settings: Settings
) -> tuple[float | None, dict[str, str]]:
    """Of all requests of these pods, or None when idle, and labels that say what it was estimated from, and its bounds."""
    sources: list[Points] = []
    read: set[str] = set()
    untold: list[tuple[float, SelectedPod, RowKey]] = []
    for pod, key, row in _rows(signal, pods):
        known = facts.of(pod, key.model)
        points = _points(signal, formula, pod.name, row, known)
        if points.weight > 0:
            sources.append(points)
            read.add(_read_from(formula, row, known))
        elif row.increase.get(SUCCESS, 0.0) > 0:
            untold.append((row.increase[SUCCESS], pod, key))
    _refuse_untold(sum(source.weight for source in sources), untold, settings)
    labels = {"estimate": "pooled", "estimated_from": ",".join(sorted(read)) or "nothing"}
    found = pool_quantile(sources, formula.quantile)
    if found is not None:
        return found.value, {
            **labels,
            "lower_bound": f"{found.lower:.3f}",
            "upper_bound": f"{found.upper:.3f}" if math.isfinite(found.upper) else "none",
        }
    if _idle(pods):
        return None, labels
    raise _nothing_completed(signal, pods)


def _refuse_untold(
    told: float, untold: Sequence[tuple[float, SelectedPod, RowKey]], settings: Settings
) -> None:
    """Of too many of the requests nothing tells how long they took: after a load a summary is empty at first."""
    missing = sum(requests for requests, _, _ in untold)
    if missing > 0 and told < settings.coverage * (told + missing):
        _, pod, key = max(untold, key=lambda each: each[0])
        raise Refusal(
            Reason.NO_SUMMARIES,
            f"pod {pod.name}: model {key.model!r} completes requests, and its summary does not tell of them yet",
        )


def _read_from(formula: Quantile, row: RowWindow, facts: ModelFacts | None) -> str:
    """summary, which has the finer points, where it sees the model's work and tells the quantile itself; else histogram."""
    decoupled = facts is not None and facts.decoupled
    shows = any(share == formula.quantile for share, _ in _shown(formula, row))
    return "summary" if shows and not decoupled else "histogram"


def _points(signal: Signal, formula: Quantile, pod: str, row: RowWindow, facts: ModelFacts | None) -> Points:
    """What one row tells of its requests in the window. Triton's summaries are of its last 60 s, whatever the window."""
    if _read_from(formula, row, facts) == "histogram":
        return _histogram(signal, formula, pod, row, facts)
    shown = _shown(formula, row)
    weight = row.increase.get(SUCCESS, 0.0)
    if any(math.isnan(at) for _, at in shown):  # no traffic in Triton's own 60 s
        shown, weight = [], 0.0
    highest = accumulate((at for _, at in shown), max)
    rising = [(share, at) for (share, _), at in zip(shown, highest, strict=True)]
    return Points(weight, rising, [_rank_error(share, weight) for share, _ in rising])


def _shown(formula: Quantile, row: RowWindow) -> list[tuple[float, float]]:
    """The summary's quantiles that this server tells: `--metrics-config summary_quantiles` chooses them."""
    return [
        (share, row.last[name] * formula.summary_scale)
        for share, name in _shares(formula.summary, formula.summary_quantiles)
        if name in row.last
    ]


def _rank_error(share: float, requests: float) -> float:
    """Also up to two whole requests: a summary rounds the rank down, and takes what came since its last page for one rank more
    than it is (prometheus-cpp: core/src/detail/ckms_quantiles.cc, get and insertBatch). `requests` of the window are no more than
    those of the summary's minute."""
    return _SUMMARY_RANK_ERRORS.get(share, _SUMMARY_RANK_ERROR) + (2 / requests if requests > 0 else 0.0)


@lru_cache
def _shares(summary: str, quantiles: tuple[str, ...]) -> Sequence[tuple[float, str]]:
    """Each quantile, from the lowest on, and what it is called in a window."""
    return sorted((float(quantile), f"{summary}{{{quantile}}}") for quantile in quantiles)


def _histogram(
    signal: Signal, formula: Quantile, pod: str, row: RowWindow, facts: ModelFacts | None
) -> Points:
    counts = {
        float(name.rpartition("{")[2].rstrip("}")): increase
        for name, increase in row.increase.items()
        if name.startswith(f"{formula.histogram}{{")
    }
    if not counts:
        raise _without_durations(signal, formula, pod, facts)
    if len(counts) < 2 or math.inf not in counts:
        # How many requests there were, only this bucket says; and alone it says nothing of how long they took.
        told = f'pod {pod} shows {formula.histogram} without le="+Inf" or with nothing else: keep all of its buckets'
        raise Refusal(Reason.NO_SUMMARIES, told)
    bounds = sorted(counts)
    rising = list(
        accumulate((counts[bound] for bound in bounds), max)
    )  # as Prometheus' histogram_quantile has it
    total = rising[-1]
    scale = formula.histogram_scale
    points = [(count / total, at * scale) for at, count in zip(bounds, rising, strict=True) if total]
    return Points(total, points)


def _rows(signal: Signal, pods: Sequence[SelectedPod]) -> Iterable[tuple[SelectedPod, RowKey, RowWindow]]:
    seen: dict[RowKey, None] = {}
    for pod in pods:
        for key, row in pod.rows.items():
            if signal.scope == "gpu":
                if key in seen:
                    continue
                seen[key] = None
            yield pod, key, row


def _term(signal: Signal, pod: str, term: Term, row: RowWindow) -> float:
    source = row.increase if term.read == "rate" else row.mean
    total = 0.0
    for family in term.families:
        if family in source:
            total += source[family]
        elif family not in term.optional:
            raise _absent(signal, pod, family)
    if term.read == "mean":
        return total * term.scale
    return total * term.scale / row.seconds if row.seconds > 0 else 0.0


def _shows_some(formula: Ratio, row: RowWindow) -> bool:
    """False for a row without any of the families, where each may be absent: what it tells of is not there at all."""
    families = {*formula.numerator, *formula.denominator}
    source = row.increase if formula.kind == "ratio_of_rates" else row.mean
    return not families <= set(formula.optional) or not families.isdisjoint(source)


def _parts(
    signal: Signal, formula: Ratio, pod: str, row: RowWindow, facts: ModelFacts | None
) -> tuple[float, float]:
    """Numerator and denominator of one row."""
    source: Mapping[str, float] = row.increase if formula.kind == "ratio_of_rates" else row.mean
    if INSTANCE_SECONDS in formula.denominator:
        if facts is None or facts.instances is None:
            raise _not_read(pod, "how many instances its models have")
        source = {**source, INSTANCE_SECONDS: facts.instances * row.seconds}
    for family in (*formula.numerator, *formula.denominator):
        if family not in source and family not in formula.optional:
            raise _absent(signal, pod, family)
    if formula.queue_delay == "subtracted":
        if facts is None or facts.queue_delay_us is None:
            raise _not_read(pod, "for how long its models wait on purpose")
        # Each request may have waited so long on purpose: what is left is the least that it waited for lack of capacity.
        on_purpose = facts.queue_delay_us * source.get(SUCCESS, 0.0)
        source = {**source, QUEUE: max(0.0, source[QUEUE] - on_purpose)}
    above = sum(source.get(family, 0.0) for family in formula.numerator)
    return above, sum(source.get(family, 0.0) for family in formula.denominator)


def _idle(pods: Sequence[SelectedPod]) -> bool:
    """Every row flat, with the pending gauge there and at zero; there must be a row to say so."""
    rows = [row for pod in pods for row in pod.rows.values()]
    rows += [row.floor for row in rows if row.floor is not None]
    return bool(rows) and all(
        row.flat and row.mean.get(PENDING, 1.0) == 0 == row.last.get(PENDING, 1.0) for row in rows
    )


def _refuse_expired(missing: Iterable[SelectedPod], settings: Settings) -> None:
    for pod in missing:
        if pod.standing is Standing.SILENT and pod.age_seconds > max_age_of(pod.state, settings):
            raise Refusal(Reason.NOT_ANSWERING, _say_silent(pod, settings))


def _say(pod: SelectedPod, settings: Settings) -> str:
    return _say_silent(pod, settings) if pod.standing is Standing.SILENT else _say_warming(pod)


def _say_silent(pod: SelectedPod, settings: Settings) -> str:
    if (pod.state.source or settings.source) == PROMETHEUS:
        failure = pod.state.failure or "its newest sample in Prometheus is too old"
        return f"pod {pod.name} is not seen ({failure})"
    return f"pod {pod.name} does not answer scrapes ({pod.state.failure or 'no recent sample'})"


def _say_warming(pod: SelectedPod) -> str:
    return f"the window of pod {pod.name} is not covered by samples yet; its past before the first one is unknown"


def _absent(signal: Signal, pod: str, family: str) -> Refusal:
    remedy = signal.remedies.get(family)
    return Refusal(
        Reason.FAMILY_ABSENT, f"pod {pod} does not show {family}" + (f": {remedy}" if remedy else "")
    )


def _not_read(pod: str, what: str) -> Refusal:
    told = f"pod {pod}: {what} is in their configuration, which could not be read; open Triton's HTTP port to the autoscaler"
    return Refusal(Reason.MODEL_KIND_UNKNOWN, told)


def _without_durations(signal: Signal, formula: Quantile, pod: str, facts: ModelFacts | None) -> Refusal:
    """Neither summary nor histogram, and why."""
    if facts is not None and facts.response_cache:
        return Refusal(
            Reason.RESPONSE_CACHE,
            f"pod {pod}: a model with the response cache on has no {formula.summary}; from Triton 26.01 on start it with "
            "--metrics-config histogram_latencies=true, or use triton_queue_duration_ms",
        )
    absent = _absent(signal, pod, formula.summary)
    return Refusal(Reason.NO_SUMMARIES, absent.message)


def _nothing_completed(signal: Signal, pods: Sequence[SelectedPod]) -> Refusal:
    for pod in pods:
        for key, row in pod.rows.items():
            if row.increase.get(FAILURE, 0.0) > 0:
                return Refusal(
                    Reason.NO_SUCCESS,
                    f"pod {pod.name}: requests to model {key.model!r} fail and none succeeds",
                )
            if row.mean.get(PENDING, 0.0) > 0:
                return Refusal(
                    Reason.STALLED,
                    f"pod {pod.name}: requests wait for model {key.model!r} and none has completed",
                )
    return Refusal(
        Reason.NO_SUCCESS, f"{signal.name} has nothing to divide by: no request succeeded in the window"
    )
