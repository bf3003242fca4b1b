"""Small fleets for the evaluator: pods as the scraper would describe them at second 1000."""

from collections.abc import Mapping
from typing import Final

from autoscaler.answer import Answer, Value
from autoscaler.evaluate import evaluate
from autoscaler.selection import Settings
from autoscaler.selector import parse_selector
from autoscaler.signal import Signal, load_signals
from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.rules_dir import rules_dir
from telemetry.target import Phase, PodKey, Target, Workload
from telemetry.window import PodWindow, RowKey, RowWindow

NOW: Final = 1000.0
WINDOW: Final = 30.0
PENDING: Final = "nv_inference_pending_request_count"
SUCCESS: Final = "nv_inference_request_success"
FAILURE: Final = "nv_inference_request_failure"
QUEUE: Final = "nv_inference_queue_duration_us"
P99: Final = "nv_inference_request_summary_us"
USED: Final = "nv_gpu_memory_used_bytes"
TOTAL: Final = "nv_gpu_memory_total_bytes"
_COMPUTE: Final = tuple(f"nv_inference_compute_{phase}_duration_us" for phase in ("input", "infer", "output"))

SIGNALS: Final[Mapping[str, Signal]] = load_signals(rules_dir() / "signals")
RATE: Final = "triton_request_rate"
CONCURRENCY: Final = "triton_inference_concurrency"
PENDING_SIGNAL: Final = "triton_pending_requests"
QUEUE_SIGNAL: Final = "triton_queue_duration_ms"
P99_SIGNAL: Final = "triton_request_duration_p99_ms"
MEMORY_SIGNAL: Final = "triton_gpu_memory_used_ratio"
TOTALS: Final = (RATE, CONCURRENCY, PENDING_SIGNAL)
MODEL_SIGNALS: Final = (*TOTALS, QUEUE_SIGNAL, P99_SIGNAL)
"""Of each kind of formula that reads every model."""
PLAIN: Final = ModelFacts()


def row(
    requests: float = 0.0,
    *,
    failed: float = 0.0,
    queue_ms: float = 0.0,
    compute_s: float = 0.0,
    pending: float | None = 0.0,
    now_pending: float | None = None,
    p99_ms: float | None = None,
    seconds: float = WINDOW,
    stalled: float = 0.0,
) -> RowWindow:
    """A model's row: `queue_ms` a request, `compute_s` in all, `pending` on average; None: the family is not shown."""
    increase = {SUCCESS: requests, FAILURE: failed, QUEUE: requests * queue_ms * 1000}
    increase |= dict.fromkeys(_COMPUTE, 0.0) | {_COMPUTE[1]: compute_s * 1e6}
    mean = {} if pending is None else {PENDING: pending}
    last = {} if pending is None else {PENDING: pending if now_pending is None else now_pending}
    if p99_ms is not None:  # all requests took as long
        last |= {
            f"{P99}{{{quantile}}}": p99_ms * 1000 for quantile in ("0.5", "0.9", "0.95", "0.99", "0.999")
        }
    return RowWindow(seconds, increase, mean, last, stalled)


def gpus(**memory: tuple[float, float]) -> dict[RowKey, RowWindow]:
    """Rows of GPUs, (used, total) by UUID."""
    shown = {gpu: {USED: used, TOTAL: total} for gpu, (used, total) in memory.items()}
    return {RowKey("", "", gpu): RowWindow(WINDOW, {}, values, values) for gpu, values in shown.items()}


def pod(
    name: str,
    rows: Mapping[str, RowWindow] | RowWindow | None = None,
    *,
    age: float = 1.0,
    full: bool = True,
    failure: str | None = None,
    ready: bool = True,
    phase: Phase = Phase.RUNNING,
    born: bool = False,
    known: float = 500.0,
    workload: str | None = "w",
    node: str = "",
    labels: Mapping[str, str] | None = None,
    facts: Mapping[str, ModelFacts] | None = None,
    gpu: Mapping[RowKey, RowWindow] | None = None,
    version: str = "1",
    young: bool = False,
) -> PodState:
    """A pod whose last sample is `age` seconds old; without rows it has never answered. One row is that of model m."""
    models = {"m": rows} if isinstance(rows, RowWindow) else rows
    target = Target(
        PodKey("prod", name, f"uid-{name}"),
        f"http://{name}:8002/metrics",
        f"http://{name}:8000",
        phase,
        ready,
        born,
        node,
        Workload("Deployment", workload) if workload else None,
        labels or {},
    )
    if models is None:
        return PodState(target, NOW - known, {}, failure or "connection refused or unreachable")
    keyed = {RowKey(model, version, ""): window for model, window in models.items()} | dict(gpu or {})
    windows = {WINDOW: PodWindow(NOW - age, full, keyed, young)}
    known_facts = dict.fromkeys(models, PLAIN) if facts is None else facts
    return PodState(target, NOW - known, windows, failure, known_facts)


def silent(name: str, rows: Mapping[str, RowWindow] | RowWindow, age: float = 6.0) -> PodState:
    """A pod that answered `age` seconds ago and not since."""
    return pod(name, rows, age=age, failure="timed out")


def ask(
    signal: str, *pods: PodState, selector: str = "", settings: Settings | None = None, later: float = 0.0
) -> Answer:
    row_of_signal = SIGNALS[signal]
    return evaluate(row_of_signal, pods, parse_selector(selector), settings or Settings(), NOW + later)


def number(answer: Answer) -> float:
    assert isinstance(answer, Value), answer
    return answer.value
