"""A Triton metrics page as a busy GPU server of 24.10 shows it: every model with counters, its GPU-labelled twin, and summaries."""

from collections.abc import Iterator
from typing import Final

_COUNTERS: Final = (
    ("nv_inference_count", "Number of inferences performed (does not include cached requests)"),
    (
        "nv_inference_exec_count",
        "Number of model executions performed (does not include cached requests)",
    ),
    (
        "nv_inference_request_duration_us",
        "Cumulative inference request duration in microseconds (includes cached requests)",
    ),
    (
        "nv_inference_queue_duration_us",
        "Cumulative inference queuing duration in microseconds (includes cached requests)",
    ),
    (
        "nv_inference_compute_input_duration_us",
        "Cumulative compute input duration in microseconds (does not include cached requests)",
    ),
    (
        "nv_inference_compute_infer_duration_us",
        "Cumulative compute inference duration in microseconds (does not include cached requests)",
    ),
    (
        "nv_inference_compute_output_duration_us",
        "Cumulative inference compute output duration in microseconds (does not include cached requests)",
    ),
)
_SUMMARIES: Final = ("request", "queue", "compute_input", "compute_infer", "compute_output")
_QUANTILES: Final = ("0.5", "0.9", "0.95", "0.99", "0.999")
_REASONS: Final = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
_GPU: Final = "GPU-8a6f0c5e-1f0b-4b6e-9d3a-2f7c4e5b6a71"


def metrics_page(models: int, requests: int) -> str:
    """The page of a server that has answered `requests` requests to each of its models."""
    return "\n".join([*_families(models, requests), ""])


def model_name(number: int) -> str:
    return f"text-classifier-{number:03d}"


def _families(models: int, requests: int) -> Iterator[str]:
    names = [model_name(number) for number in range(models)]
    twins = [f'gpu_uuid="{_GPU}",model="{name}",version="1"' for name in names]
    plain = [f'model="{name}",version="1"' for name in names]
    yield from _header("nv_inference_request_success", "Number of successful inference requests", "counter")
    for at, labels in enumerate(twins):
        yield f"nv_inference_request_success{{{labels}}} {requests + at if requests else 0}"
    yield from _header("nv_inference_request_failure", "Number of failed inference requests", "counter")
    for labels in plain:
        for reason in _REASONS:
            yield f"nv_inference_request_failure{{{labels.replace(',', f',reason={chr(34)}{reason}{chr(34)},')}}} 0"
    for scale, (family, text) in enumerate(_COUNTERS):
        yield from _header(family, text, "counter")
        for at, labels in enumerate(twins):
            yield f"{family}{{{labels}}} {requests * (1 + scale * 1733) + (at if requests else 0)}"
    for phase in _SUMMARIES:
        family = f"nv_inference_{phase}_summary_us"
        yield from _header(
            family, f"Summary of inference {phase} duration in microseconds (includes cached)", "summary"
        )
        for at, labels in enumerate(twins):
            yield f"{family}_count{{{labels}}} {requests}"
            yield f"{family}_sum{{{labels}}} {requests * (4211 + at)}"
            for quantile in _QUANTILES:
                value = f"{4000 + at * 13.5 * float(quantile):g}" if requests else "Nan"
                yield f'{family}{{{labels},quantile="{quantile}"}} {value}'
    yield from _header(
        "nv_inference_pending_request_count",
        "Instantaneous number of pending requests awaiting execution per-model.",
        "gauge",
    )
    for at, labels in enumerate(plain):
        yield f"nv_inference_pending_request_count{{{labels}}} {at % 3 if requests else 0}"
    for family, value in (
        ("nv_gpu_utilization", "0.71"),
        ("nv_gpu_memory_total_bytes", "85899345920"),
        ("nv_gpu_memory_used_bytes", "61302898688"),
        ("nv_gpu_power_usage", "312.481"),
        ("nv_energy_consumption", "8842171.305"),
    ):
        yield from _header(family, "GPU family, one series a GPU", "gauge")
        yield f'{family}{{gpu_uuid="{_GPU}"}} {value}'


def _header(family: str, text: str, kind: str) -> tuple[str, str]:
    return f"# HELP {family} {text}", f"# TYPE {family} {kind}"
