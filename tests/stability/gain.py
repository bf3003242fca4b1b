"""What an HPA makes of a wrong number of pods, by arithmetic: the slope of its proposal around the right number. Pure.

A fleet of N pods under a steady load is proposed N x s(load / N) / target pods, with s the signal of a pod that is so busy. Around
the N that is right the proposal's slope is 1 - e, with e = d ln s / d ln busy. At 0 the first proposal is right; between -1 and 1
each is nearer than the one before; at -1 and below each correction is larger than the error, and the fleet hunts between too few
and too many pods, which stabilization can slow and not mend (the fixed point of an iterated map; Strogatz, Nonlinear Dynamics and
Chaos, chapter 10). Windows, syncs and loading pods are delays, which only make it worse."""

import math
from collections.abc import Callable, Mapping
from typing import Final

from tests.stability.loads import SERVICE_SECONDS, wait_at
from tests.stability.systems import concurrency, share

STEP: Final = 1e-4

SIGNALS: Final[Mapping[str, Callable[[float], float]]] = {
    "triton_request_rate": lambda busy: busy / SERVICE_SECONDS,
    "triton_queue_share": share,
    "triton_inference_concurrency": concurrency,
    "triton_queue_duration_ms": lambda busy: wait_at(busy) * 1000,
}
"""Each of one pod, by how busy it is. avg_time_queue_us and triton:queue_compute:ratio are queue_duration_ms times a constant."""


def slope(signal: Callable[[float], float], busy: float) -> float:
    up, down = signal(busy * (1 + STEP)), signal(busy * (1 - STEP))
    return 1 - (math.log(up) - math.log(down)) / (math.log1p(STEP) - math.log1p(-STEP))


def table(aims: tuple[float, ...]) -> str:
    """A row for each signal: the target for each of `aims`, and the slope there."""
    heads = [f"busy {busy:g}: target | slope" for busy in aims]
    lines = [f"| signal of a pod | {' | '.join(heads)} |", "|---" * (1 + 2 * len(aims)) + "|"]
    for name, signal in SIGNALS.items():
        cells = [f"{signal(busy):.3g} | {slope(signal, busy) + 0.0:.2f}" for busy in aims]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)
