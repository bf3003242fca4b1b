"""The metrics page of one of many pods, as a Triton 24.11 on one GPU shows it with summaries on, for any moment of its life.

Each model has two series of every family: one of its instances, with the GPU's UUID, which has the traffic, and one of its
scheduler, without, which has what waits and what failed (triton-inference-server/core:src/metric_model_reporter.cc). What is shown
is a plain function of the pod's number and its age, so a page costs a few hundred microseconds and any truth can be worked out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

_COUNTERS: Final = (
    # family, what one request adds to it
    ("nv_inference_request_success", "Number of successful inference requests, all batch sizes", 1),
    ("nv_inference_count", "Number of inferences performed (does not include cached requests)", 4),
    ("nv_inference_exec_count", "Number of model executions performed (does not include cached requests)", 1),
    ("nv_inference_request_duration_us", "Cumulative inference request duration in microseconds", 14_000),
    ("nv_inference_queue_duration_us", "Cumulative inference queuing duration in microseconds", 3_000),
    ("nv_inference_compute_input_duration_us", "Cumulative compute input duration in microseconds", 700),
    (
        "nv_inference_compute_infer_duration_us",
        "Cumulative compute inference duration in microseconds",
        9_800,
    ),
    ("nv_inference_compute_output_duration_us", "Cumulative inference compute output duration", 400),
)
_SUMMARIES: Final = (
    # phase, mean microseconds of one request
    ("request", 14_000),
    ("queue", 3_000),
    ("compute_input", 700),
    ("compute_infer", 9_800),
    ("compute_output", 400),
)
_QUANTILES: Final = (("0.5", 0.9), ("0.9", 1.6), ("0.95", 2.0), ("0.99", 3.1), ("0.999", 4.9))
"""As Triton shows them, and what each is of the mean."""
_REASONS: Final = ("REJECTED", "CANCELED", "BACKEND", "OTHER")
_PENDING: Final = "nv_inference_pending_request_count"
_GPU_FAMILIES: Final = (
    ("nv_gpu_utilization", "gauge", b"0.71"),
    ("nv_gpu_memory_total_bytes", "gauge", b"85899345920"),
    ("nv_gpu_memory_used_bytes", "gauge", b"61302898688"),
    ("nv_gpu_power_usage", "gauge", b"312.481"),
    ("nv_gpu_power_limit", "gauge", b"700"),
    ("nv_energy_consumption", "counter", b"%d"),
)
_SERVER_FAMILIES: Final = (
    ("nv_cpu_utilization", b"0.31"),
    ("nv_cpu_memory_total_bytes", b"1081827180544"),
    ("nv_cpu_memory_used_bytes", b"64424509440"),
    ("nv_pinned_memory_pool_total_bytes", b"268435456"),
    ("nv_pinned_memory_pool_used_bytes", b"0"),
)
_UUID: Final = b"GPU-00000000-0000-4000-8000-000000000000"
IDLE_EACH: Final = 5
"""Every so many models are loaded and asked for nothing."""
PENDING_MOST: Final = 3


@dataclass(frozen=True)
class Models:
    """What all pods of one workload serve."""

    workload: str
    count: int

    @cached_property
    def names(self) -> Sequence[str]:
        return [f"{self.workload}-text-classifier-{number:03d}" for number in range(self.count)]

    def rate(self, number: int, pod: int) -> float:
        """Requests a second to the model of this number on the pod of that one, on average; 0 for an idle one."""
        return 0.0 if number % IDLE_EACH == IDLE_EACH - 1 else 2.0 + number % 7 + pod % 5

    def requests(self, number: int, pod: int, age: float) -> int:
        """Those answered since the pod started, `age` seconds ago: up to a third more or less than the rate, by the minute."""
        return int(self.rate(number, pod) * (age + 3.0 * (1 - math.cos(age / 9.0 + pod))))

    def pending(self, number: int, pod: int, age: float) -> int:
        return int(age + pod + 3 * number) % (PENDING_MOST + 1) if self.rate(number, pod) else 0

    def page(self, pod: int, age: float) -> bytes:
        """The page of the pod with this number, `age` seconds after its start."""
        done = [self.requests(number, pod, age) for number in range(self.count)]
        waiting = [self.pending(number, pod, age) for number in range(self.count)]
        page = self._template % tuple(_numbers(done, waiting, age))
        return page.replace(_UUID, gpu_uuid(pod))

    @cached_property
    def _template(self) -> bytes:
        """With a `%d` or `%s` for each number that moves."""
        return b"\n".join([*self._lines(), b""])

    def _lines(self) -> Iterator[bytes]:
        scheduler = [f'model="{name}",version="1"'.encode() for name in self.names]
        instances = [b'gpu_uuid="%s",%s' % (_UUID, labels) for labels in scheduler]
        for family, text, _ in _COUNTERS:
            yield from _head(family, text, "counter")
            yield from (b"%s{%s} %%d" % (family.encode(), labels) for labels in instances)
            yield from (b"%s{%s} 0" % (family.encode(), labels) for labels in scheduler)
        family = "nv_inference_request_failure"
        yield from _head(family, "Number of failed inference requests, all batch sizes", "counter")
        for labels in (*instances, *scheduler):
            model, _, version = labels.rpartition(b",")
            for reason in _REASONS:
                yield b'%s{%s,reason="%s",%s} 0' % (family.encode(), model, reason.encode(), version)
        for phase, _ in _SUMMARIES:
            family = f"nv_inference_{phase}_summary_us"
            yield from _head(family, f"Summary of inference {phase} duration in microseconds", "summary")
            for labels in instances:
                yield from _summary(family.encode(), labels, b"%d", b"%s")
            for labels in scheduler:
                yield from _summary(family.encode(), labels, b"0", b"Nan")
        yield from _head(_PENDING, "Instantaneous number of pending requests awaiting execution", "gauge")
        yield from (b"%s{%s} 0" % (_PENDING.encode(), labels) for labels in instances)
        yield from (b"%s{%s} %%d" % (_PENDING.encode(), labels) for labels in scheduler)
        family = "nv_model_load_duration_secs"
        yield from _head(family, "Model load time in seconds", "gauge")
        yield from (b"%s{%s} 0" % (family.encode(), labels) for labels in instances)
        yield from (b"%s{%s} 8.31" % (family.encode(), labels) for labels in scheduler)
        for family, kind, value in _GPU_FAMILIES:
            yield from _head(family, "One series a GPU", kind)
            yield b'%s{gpu_uuid="%s"} %s' % (family.encode(), _UUID, value)
        for family, value in _SERVER_FAMILIES:
            yield from _head(family, "Of the whole server", "gauge")
            yield b"%s %s" % (family.encode(), value)


def gpu_uuid(pod: int) -> bytes:
    """No two pods share a GPU."""
    return b"GPU-%08x-1f0b-4b6e-9d3a-2f7c4e5b6a71" % (pod * 2654435761 % 2**32)


def _head(family: str, text: str, kind: str) -> tuple[bytes, bytes]:
    return f"# HELP {family} {text}".encode(), f"# TYPE {family} {kind}".encode()


def _summary(family: bytes, labels: bytes, total: bytes, quantile: bytes) -> Iterator[bytes]:
    yield b"%s_count{%s} %s" % (family, labels, total)
    yield b"%s_sum{%s} %s" % (family, labels, total)
    for name, _ in _QUANTILES:
        yield b'%s{%s,quantile="%s"} %s' % (family, labels, name.encode(), quantile)


def _numbers(done: Sequence[int], waiting: Sequence[int], age: float) -> Iterator[int | bytes]:
    """In the template's order."""
    for _, _, share in _COUNTERS:
        yield from (requests * share for requests in done)
    for _, mean in _SUMMARIES:
        for requests in done:
            yield requests
            yield requests * mean
            wave = mean * (1 + requests % 97 / 1000)
            for _, times in _QUANTILES:
                yield b"%d" % (wave * times) if requests else b"Nan"
    yield from waiting
    yield int(age * 312)
