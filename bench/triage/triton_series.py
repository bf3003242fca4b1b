"""What the metrics pages of all pods told: the families that `rules/measures/triton.yaml` reads, with all their series."""

from collections.abc import Iterator, Mapping

from bench.page import model_name
from bench.triage.fleet import SCRAPE, TIMES, Pod, Values, noisy, slowed
from bench.triage.text import Text

_PAST = ("request", "queue")
"""The parts of a request's time that are asked for of earlier days."""
_QUANTILES = {"0.5": 0.95, "0.9": 1.3, "0.95": 1.5, "0.99": 2.1, "0.999": 3.0}
"""Times the mean."""


def triton_series(text: Text, pod: Pod, models: int) -> Iterator[str]:
    """The night's. The first model has most of the requests."""
    noise = pod.noise
    for number in range(models):
        model = {**pod.labels, "model": model_name(number), "version": "1"}
        labels = {**model, "gpu_uuid": pod.gpu}
        requests = noisy([SCRAPE * 12 / (1 + number)] * len(TIMES), 0.05, noise)
        parts = _parts(number, slowed(), pod)
        yield from _durations(text, labels, requests, parts)
        yield from _summaries(text, labels, {part: parts[part] for part in (*_PAST, "compute_infer")})
        yield text.counter("nv_inference_request_success", labels, requests)
        yield text.counter("nv_inference_count", labels, requests)
        yield text.counter("nv_inference_exec_count", labels, [count / 2 for count in requests])
        for reason in ("REJECTED", "CANCELED", "BACKEND", "OTHER"):
            yield text.constant("nv_inference_request_failure", {**model, "reason": reason}, 0)
        pending = [float(noise.random() < 0.2) for _ in TIMES]
        yield text.gauge("nv_inference_pending_request_count", model, pending)
    gpu = {**pod.labels, "gpu_uuid": pod.gpu}
    yield text.gauge("nv_gpu_utilization", gpu, noisy([0.7] * len(TIMES), 0.05, noise))
    yield text.gauge("nv_gpu_power_usage", gpu, noisy([320.0] * len(TIMES), 0.05, noise))
    yield text.constant("nv_gpu_power_limit", gpu, 700)
    yield text.constant("nv_gpu_memory_used_bytes", gpu, 61_302_898_688)
    yield text.constant("nv_gpu_memory_total_bytes", gpu, 85_899_345_920)
    yield text.gauge("nv_cpu_utilization", pod.labels, noisy([0.4] * len(TIMES), 0.05, noise))


def quiet_triton_series(text: Text, pod: Pod, models: int) -> Iterator[str]:
    """Of an earlier day, when nothing happened: what is asked for of those."""
    noise = pod.noise
    for number in range(models):
        labels = {**pod.labels, "model": model_name(number), "version": "1", "gpu_uuid": pod.gpu}
        requests = noisy([SCRAPE * 12 / (1 + number)] * len(TIMES), 0.05, noise)
        parts = {
            part: times for part, times in _parts(number, [1.0] * len(TIMES), pod).items() if part in _PAST
        }
        yield from _durations(text, labels, requests, parts)
        yield from _summaries(text, labels, {"request": parts["request"]})
        yield text.counter("nv_inference_request_success", labels, requests)


def _parts(model: int, slower: Values, pod: Pod) -> dict[str, Values]:
    """The parts of a request's time, ms, and the whole."""
    noise = pod.noise
    parts = {
        "queue": noisy([2 * times for times in slower], 0.15, noise),
        "compute_input": noisy([0.4] * len(slower), 0.05, noise),
        "compute_infer": noisy([(15 + 8 * model) * times for times in slower], 0.03, noise),
        "compute_output": noisy([0.2] * len(slower), 0.05, noise),
    }
    return {**parts, "request": [sum(each) + 0.1 for each in zip(*parts.values(), strict=True)]}


def _durations(
    text: Text, labels: Mapping[str, str], requests: Values, parts: Mapping[str, Values]
) -> Iterator[str]:
    for part, times in parts.items():
        spent = [round(1000 * count * ms) for count, ms in zip(requests, times, strict=True)]
        yield text.counter(f"nv_inference_{part}_duration_us", labels, spent)


def _summaries(text: Text, labels: Mapping[str, str], parts: Mapping[str, Values]) -> Iterator[str]:
    for part, times in parts.items():
        for quantile, above in _QUANTILES.items():
            values = [round(1000 * above * ms) for ms in times]
            yield text.gauge(f"nv_inference_{part}_summary_us", {**labels, "quantile": quantile}, values)
