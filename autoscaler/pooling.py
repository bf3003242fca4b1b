"""The formulas: how the rows of many pods become one number.

Totals are sums, in which a pod that does not answer counts as the larger of its own last contribution and the mean of the others;
while a pod's past is unknown there is no such contribution, and no total. A new pod that is ready and not measured yet counts as
that mean for the part of the window since it was ready. What a pod did before it left counts until it slides out of the window.
Ratios are ratios of sums. Quantiles are never averaged: their maximum is served as the upper bound that it is.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from autoscaler.answer import Reason, Value
from autoscaler.selection import SelectedPod, Settings, Standing, max_age_of
from autoscaler.signal import Quantile, Ratio, Signal, Term, Total
from telemetry.two_sources import PROMETHEUS
from telemetry.window import FAILURE, PENDING, RowKey, RowWindow

_MAX_MILLI: Final = 2**63 - 1


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
    settings: Settings,
) -> Value:
    """The signal over these pods; those that `departed` and those `unmeasured` yet count in totals too. Raises Refusal."""
    match signal.formula:
        case Total() as total:
            value = _total(signal, total, pods, departed, unmeasured, settings)
            labels: dict[str, str] = {}
        case Ratio():
            value, labels = _ratio(signal, signal.formula, _covering(pods, settings)), {}
        case Quantile():
            value, labels = _quantile(signal, signal.formula, _covering(pods, settings))
    idle = value is None
    number = signal.idle if value is None else value
    if number is None or not math.isfinite(number) or not 0 <= number * 1000 <= _MAX_MILLI:
        raise Refusal(
            Reason.NOT_REPRESENTABLE,
            f"{signal.name} came out as a number that no HPA can use: NaN, infinite, negative or past 64 bits",
        )
    ages = [pod.age_seconds for pod in pods if pod.window is not None]
    return Value(number, max(ages, default=0.0), round(signal.window), idle, labels)


def contribution(signal: Signal, row: RowWindow) -> float | None:
    """What one row alone would say, for explaining; None where it says nothing."""
    try:
        match signal.formula:
            case Total() as total:
                return _row_total(signal, total, "", row)
            case Ratio() as ratio:
                above, below = _parts(signal, ratio, "", row)
                return ratio.scale * above / below if below > 0 else None
            case Quantile() as quantile:
                value = row.last.get(f"{quantile.family}{{{quantile.quantile}}}", math.nan)
                return None if math.isnan(value) else value * quantile.scale
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
    if not missing and not unmeasured and not fading and _idle(pods):
        return None
    typical = sum(answered) / len(answered) if answered else 0.0
    estimated = sum(max(_own(signal, formula, pod), typical) for pod in missing)
    estimated += sum(typical * _waited(signal, pod) for pod in unmeasured)
    return sum(answered) + fading + estimated


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


def _waited(signal: Signal, pod: SelectedPod) -> float:
    """The part of the window for which a pod was ready and not measured.

    It takes load from the others at once, and its first sample comes when the source has found it: a Prometheus only every 5 s
    (discovery/manager.go) and then scrapes it. Without this a total would dip after each scale-up and ask for a scale-down."""
    return min(1.0, pod.age_seconds / signal.window)


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


def _ratio(signal: Signal, formula: Ratio, pods: Sequence[SelectedPod]) -> float | None:
    """Ratio of sums, or None when idle. A GPU shared by pods counts once."""
    above = below = 0.0
    for pod, row in _rows(signal, pods):
        numerator, denominator = _parts(signal, formula, pod.name, row)
        above, below = above + numerator, below + denominator
    if below > 0:
        return formula.scale * above / below
    if signal.idle is not None and _idle(pods):
        return None
    raise _nothing_completed(signal, pods)


def _quantile(
    signal: Signal, formula: Quantile, pods: Sequence[SelectedPod]
) -> tuple[float | None, dict[str, str]]:
    """The largest of the pods' own quantiles, or None when idle, and labels that say what it is."""
    name = f"{formula.family}{{{formula.quantile}}}"
    values: list[float] = []
    for pod, row in _rows(signal, pods):
        if name not in row.last:
            raise _absent(signal, pod.name, formula.family)
        if not math.isnan(row.last[name]):
            values.append(row.last[name] * formula.scale)
    labels = {"estimate": "maximum_of_pods", "estimated_from": "summary"}
    if values:
        low, high = min(values), max(values)
        return high, {**labels, "lower_bound": f"{low:.3f}", "upper_bound": f"{high:.3f}"}
    if _idle(pods):
        return None, labels
    raise _nothing_completed(signal, pods)


def _rows(signal: Signal, pods: Sequence[SelectedPod]) -> Iterable[tuple[SelectedPod, RowWindow]]:
    seen: dict[RowKey, None] = {}
    for pod in pods:
        for key, row in pod.rows.items():
            if signal.scope == "gpu":
                if key in seen:
                    continue
                seen[key] = None
            yield pod, row


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


def _parts(signal: Signal, formula: Ratio, pod: str, row: RowWindow) -> tuple[float, float]:
    source: Mapping[str, float] = row.increase if formula.kind == "ratio_of_rates" else row.mean
    for family in (*formula.numerator, *formula.denominator):
        if family not in source:
            raise _absent(signal, pod, family)
    return sum(source[f] for f in formula.numerator), sum(source[f] for f in formula.denominator)


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
