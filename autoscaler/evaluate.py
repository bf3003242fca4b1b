"""One signal, one selector, one number: or why there is none.

Pure: pods' windows in, an Answer out; `now` is an argument. What it guarantees: missing is never zero; a partial outage can
raise a total and never lower it; zero needs every target to have answered, flat, with nothing waiting.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autoscaler.alias import alias_of, exact_alias_of
from autoscaler.answer import Answer, NoData, Reason, Value
from autoscaler.gpu_formula import GpuDevices, OwnPage
from autoscaler.gpu_pooling import NOT_READ, answer_devices
from autoscaler.gpu_trace import trace_devices
from autoscaler.pooling import Refusal, contribution, pool
from autoscaler.selection import (
    ROW_LABELS,
    AmbiguousModel,
    Facts,
    SelectedPod,
    Settings,
    Standing,
    count_pods,
    expand_ensembles,
    relevant,
    select_pods,
    unknown_label,
    unmeasured,
)
from autoscaler.selector import Selector
from autoscaler.signal import Pods, Quantile, Ratio, Signal, Total
from telemetry.gpu_exporters.snapshot import GpuSnapshot
from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.two_sources import PROMETHEUS
from telemetry.window import PENDING, RowKey, RowWindow

_MAX_MESSAGE = 300


def evaluate(
    signal: Signal,
    pods: Iterable[PodState],
    selector: Selector,
    settings: Settings,
    now: float,
    *,
    gpus: GpuSnapshot | None = None,
    explain: bool = False,
) -> Answer:
    """The signal over the pods of one namespace. `now` in monotonic seconds; `gpus`: what exporters tell of their GPUs, None where
    none is asked; `explain` adds the trace."""
    unknown = unknown_label(selector, settings)
    if unknown is not None:
        known = ", ".join(("model", "version", "workload", "node", *settings.pod_labels))
        return _no_data(
            Refusal(Reason.UNKNOWN_LABEL, f"label {unknown!r} cannot be selected; selectable here: {known}")
        )
    if isinstance(signal.formula, Pods):
        return _count(signal.formula, pods, selector, settings)
    if isinstance(signal.formula, GpuDevices):
        if gpus is not None:
            return _of_devices(signal, signal.formula, pods, selector, settings, gpus, now, explain=explain)
        if signal.formula.own_page is None:
            return _no_data(Refusal(Reason.FAMILY_ABSENT, NOT_READ))
        signal = _of_own_pages(signal, signal.formula.own_page)
    try:
        selected = select_pods(signal, pods, selector, settings, now)
    except AmbiguousModel as error:
        return _no_data(_refuse_ambiguous(error))
    facts = Facts(selected, settings)
    expanded = [_with_rows(pod, expand_ensembles(signal, pod, facts)) for pod in selected]
    counted = relevant(expanded)
    departed = [pod for pod in expanded if pod.standing is Standing.DEPARTED]
    unseen = unmeasured(expanded) if isinstance(signal.formula, Total) else []
    try:
        _refuse(signal, selector, [pod for pod in expanded if pod not in departed], counted, facts, settings)
        value = pool(signal, counted, departed, unseen, facts, settings)
        told = _say_sources([*counted, *departed], settings)
        answer: Answer = replace(value, labels={**value.labels, **told})
    except Refusal as refusal:
        answer = _no_data(refusal)
    if not explain:
        return answer
    return replace(answer, trace=_trace(signal, expanded, [*counted, *departed, *unseen], facts))


def _with_rows(pod: SelectedPod, rows: Mapping[RowKey, RowWindow]) -> SelectedPod:
    return pod if rows is pod.rows else replace(pod, rows=rows)


def _of_devices(
    signal: Signal,
    formula: GpuDevices,
    pods: Iterable[PodState],
    selector: Selector,
    settings: Settings,
    gpus: GpuSnapshot,
    now: float,
    *,
    explain: bool,
) -> Answer:
    found = answer_devices(signal, formula, pods, selector, settings, gpus, now)
    answer = found.value if found.refusal is None else _no_data(found.refusal)
    assert answer is not None  # noqa: S101 -- there is one or the other
    return replace(answer, trace=trace_devices(found, gpus, now)) if explain else answer


def _of_own_pages(signal: Signal, page: OwnPage) -> Signal:
    """The same by what Tritons show of their GPUs."""
    ratio = Ratio(kind="ratio_of_gauges", numerator=(page.used,), denominator=(page.total,))
    return signal.model_copy(update={"formula": ratio})


def _count(formula: Pods, pods: Iterable[PodState], selector: Selector, settings: Settings) -> Answer:
    """What Kubernetes says of all pods, measured or not."""
    if asked := [r.key for r in selector.requirements if r.key in ROW_LABELS]:
        return _no_data(
            Refusal(
                Reason.UNKNOWN_LABEL,
                f"a pod that is not ready shows no models, so {asked[0]!r} cannot select it: select by workload",
            )
        )
    count = count_pods(formula.state, pods, selector, settings)
    if count is None:
        return _no_data(_no_targets(selector))
    return Value(float(count), 0.0, 0, labels={"source": "kubernetes"})


def _no_targets(selector: Selector) -> Refusal:
    return Refusal(Reason.NO_TARGETS, f"no Triton pod here matches {str(selector) or 'everything'!r}")


def _say_sources(pods: Sequence[SelectedPod], settings: Settings) -> Mapping[str, str]:
    """Where the number was read; of two sources also from which one each pod, and how far the two are apart where both see one."""
    if not settings.source:
        return {}
    read = [pod.state.source for pod in pods]
    if not any(read):
        return {"source": settings.source}
    differences = [pod.state.difference for pod in pods if pod.state.difference is not None]
    return {
        "source": ",".join(sorted(set(read))),
        "pods_from_prometheus": str(read.count(PROMETHEUS)),
        "pods_compared": str(len(differences)),
        **({"largest_difference": f"{max(differences):.3f}"} if differences else {}),
    }


def _no_data(refusal: Refusal) -> NoData:
    message = refusal.message
    return NoData(
        refusal.reason, message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…"
    )


def _refuse_ambiguous(error: AmbiguousModel) -> Refusal:
    said = " and ".join(f"{model!r} (model={exact_alias_of(model)})" for model in error.models)
    return Refusal(
        Reason.AMBIGUOUS_MODEL,
        f"model={error.value} fits more than one model here: {said}; select one by the name in brackets",
    )


def _refuse(
    signal: Signal,
    selector: Selector,
    selected: Sequence[SelectedPod],
    counted: Sequence[SelectedPod],
    facts: Facts,
    settings: Settings,
) -> None:
    """Raises Refusal where no number can be right, whatever the formula."""
    if not selected:
        raise _no_targets(selector)
    if not counted:
        _refuse_without_rows(signal, selector, selected)
    if signal.scope == "gpu":
        return
    for pod in counted:
        for key, row in pod.rows.items():
            known = facts.of(pod, key.model)
            if known is None or known.decoupled or known.parts or pod.state.target.counters_off:
                _refuse_unseen_work(signal, selector, pod, key, known)
            if row.stalled_seconds > 0 or facts.may_be_ensemble(key.model):
                _refuse_stall(signal, pod, key, row, facts, settings)
            if PENDING not in row.mean and row.flat:
                raise Refusal(
                    Reason.CANNOT_TELL_IDLE,
                    f"pod {pod.name}: model {key.model!r} completes nothing, and without {PENDING} (Triton 23.09 or newer) "
                    "idle cannot be told from hung",
                )


def _refuse_without_rows(signal: Signal, selector: Selector, selected: Sequence[SelectedPod]) -> None:
    if all(pod.standing is Standing.NEW for pod in selected):
        raise Refusal(
            Reason.STARTING, f"every pod that matches is starting: {selected[0].name} has not answered yet"
        )
    if signal.scope == "gpu":
        families = " and ".join(sorted(signal.families()))
        remedy = next(iter(signal.remedies.values()), "")
        raise Refusal(Reason.FAMILY_ABSENT, f"no selected pod shows {families}: {remedy}")
    models = sorted(
        {alias_of(key.model) for pod in selected if pod.window for key in pod.window.rows if key.model}
    )
    raise Refusal(
        Reason.NO_SERIES,
        f"no model matches {str(selector) or 'everything'!r}; the selected pods serve {', '.join(models) or 'no model'}",
    )


def _refuse_unseen_work(
    signal: Signal, selector: Selector, pod: SelectedPod, key: RowKey, found: ModelFacts | None
) -> None:
    """Where Triton does not count all that this signal is made of; a plain model's work it does."""
    if found is None:
        raise Refusal(
            Reason.MODEL_KIND_UNKNOWN,
            f"pod {pod.name}: cannot tell whether model {key.model!r} is decoupled or an ensemble: its configuration could "
            f"not be read from {pod.state.target.http_url or 'the pod'}; open that port to the autoscaler, or declare the model "
            "under models: in its configuration",
        )
    sees = signal.decoupled == "value" or _histogram_sees(signal, pod, key)
    if found.parts and any(r.key == "version" for r in selector.requirements):
        raise Refusal(
            Reason.ENSEMBLE_VERSION,
            f"model {key.model!r} is an ensemble, whose requests Triton counts under version 1 whatever version serves them: "
            "select it by model alone",
        )
    reads_counters = signal.reads_counters() or isinstance(signal.formula, Quantile)
    if pod.state.target.counters_off and reads_counters:
        raise Refusal(
            Reason.COUNTERS_OFF,
            f"pod {pod.name}: its Triton was started with --metrics-config counter_latencies=false, which leaves all of its "
            "request counters at zero: leave that out",
        )
    if found.decoupled and not sees:
        raise Refusal(
            Reason.DECOUPLED,
            f"model {key.model!r} is decoupled: what {signal.name} is made of does not see its work; use triton_request_rate, "
            "or leave the model out of the selector",
        )


def _histogram_sees(signal: Signal, pod: SelectedPod, key: RowKey) -> bool:
    """The row shows the one family that sees a decoupled model's work: when its first response was sent."""
    if signal.decoupled != "histogram" or not isinstance(signal.formula, Quantile):
        return False
    buckets = f"{signal.formula.histogram}{{"
    return any(name.startswith(buckets) for name in pod.rows[key].increase)


def _refuse_stall(
    signal: Signal, pod: SelectedPod, key: RowKey, row: RowWindow, facts: Facts, settings: Settings
) -> None:
    """A hung model completes nothing, and one that has not moved since it was first seen says nothing of its rates; an
    ensemble's own row shows nothing of a part that hangs."""
    stalled = row.stalled_seconds > 0 and row.seconds == 0 and signal.reads_counters()
    if signal.stalled == "no_data":
        stalled = stalled or row.stalled_seconds > signal.window
        inside = facts.parts_of(pod, key.model)
        if inside and pod.window is not None:
            parts = [part for name, part in pod.window.rows.items() if name.model in inside]
            stalled = stalled or any(part.stalled_seconds > settings.max_age for part in parts)
    if stalled:
        raise Refusal(
            Reason.STALLED,
            f"pod {pod.name}: requests wait for model {key.model!r} and none completes; it may hang",
        )


def _trace(
    signal: Signal, selected: Sequence[SelectedPod], counted: Sequence[SelectedPod], facts: Facts
) -> list[Mapping[str, Any]]:
    """One mapping a pod and row, and one for a pod without rows: what went into the number, and what did not."""
    counting = {pod.state.target.key for pod in counted}
    rows: list[Mapping[str, Any]] = []
    for pod in selected:
        target = pod.state.target
        about: dict[str, Any] = {
            "pod": pod.name,
            "workload": target.workload.name if target.workload else None,
            "ready": target.ready,
            "standing": str(pod.standing),
            "counted": target.key in counting,
            "age_seconds": round(pod.age_seconds, 3),
            "failure": pod.state.failure,
        }
        if pod.state.source:
            about |= {"source": pod.state.source, "difference": pod.state.difference}
        rows += [
            {**about, **_trace_row(signal, key, row, facts.of(pod, key.model))}
            for key, row in pod.rows.items()
        ] or [about]
    return rows


def _trace_row(signal: Signal, key: RowKey, row: RowWindow, known: ModelFacts | None) -> dict[str, Any]:
    families = signal.families()
    model = {"model": key.model, "alias": alias_of(key.model), "version": key.version}
    name = {"gpu": key.gpu} if signal.scope == "gpu" else model
    return {
        **name,
        "window_seconds": round(row.seconds, 3),
        "increase": {family: value for family, value in row.increase.items() if family in families},
        "mean": {family: value for family, value in row.mean.items() if family in families | {PENDING}},
        "last": {
            family: value
            for family, value in row.last.items()
            if family in families or family.partition("{")[0] in families
        },
        "stalled_seconds": round(row.stalled_seconds, 3),
        "contribution": contribution(signal, row, known),
        "before_silence": None if row.floor is None else contribution(signal, row.floor, known),
    }
