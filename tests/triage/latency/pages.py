"""Metrics pages of a few lines each, and the measures that read them."""

from collections.abc import Sequence
from typing import NamedTuple

from telemetry.exposition import SeriesTable, parse_exposition
from triage.latency.counters import Capture, Scrape, scrape

BEGAN_AT = 1000.0


class Row(NamedTuple):
    measure: str
    family: str
    kind: str = "rate"
    quantile: str | None = None
    scale: float = 1.0
    by: Sequence[str] = ("model", "version")


SUCCESS = Row("success", "nv_inference_request_success")
FAILURE = Row("failure", "nv_inference_request_failure", by=("model", "version", "reason"))
QUEUE_TIME = Row("queue_time", "nv_inference_queue_duration_us", scale=0.001)
PENDING = Row("pending", "nv_inference_pending_request_count", "mean")
PENDING_PEAK = Row("pending_peak", "nv_inference_pending_request_count", "peak")
P99 = Row("request_p99", "nv_inference_request_summary_us", "quantile", "0.99", 0.001)
GPU_BUSY = Row("gpu_busy", "nv_gpu_utilization", "mean", by=("gpu",))
CPU_BUSY = Row("node_cpu_busy", "nv_cpu_utilization", "mean", by=())


def captured(*pages: str | None, at: Sequence[float] | None = None, model: str = "") -> Capture:
    """A capture of one scrape a second, of these pages; None where none came. `at`: the seconds since the first one was due."""
    times = at or range(len(pages))
    scrapes = tuple(
        None if page is None else page_at(BEGAN_AT + second, page)
        for second, page in zip(times, pages, strict=True)
    )
    return Capture("web-1", BEGAN_AT, 1.0, scrapes, model)


def page_at(at: float, text: str) -> Scrape:
    """`success{model="m"} 3`, one line or `;` for each: the family without its prefix."""
    lines = [f"nv_{line.strip()}" for line in text.replace("\n", ";").split(";") if line.strip()]
    return scrape(at, parse_exposition("\n".join([*lines, ""]), SeriesTable()))


def served(requests: float, version: str = "1", model: str = "m", gpu: str = "") -> str:
    """The success counter of a model version."""
    labels = f'model="{model}",version="{version}"' + (f',gpu_uuid="{gpu}"' if gpu else "")
    return f"inference_request_success{{{labels}}} {requests};"


def queued(microseconds: float, version: str = "1", model: str = "m") -> str:
    return f'inference_queue_duration_us{{model="{model}",version="{version}"}} {microseconds};'


def failed(requests: float, reason: str = "OTHER", model: str = "m") -> str:
    return f'inference_request_failure{{model="{model}",version="1",reason="{reason}"}} {requests};'


def waiting(requests: float, model: str = "m") -> str:
    return f'inference_pending_request_count{{model="{model}",version="1"}} {requests};'
