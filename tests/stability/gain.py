"""What an HPA makes of a wrong number of pods, by arithmetic: the slope of its proposal around the right number. Pure.

A fleet of N pods under a steady load is proposed N x s(load / N) / target pods, with s the signal of a pod that is so busy. Around
the N that is right the proposal's slope is 1 - e, with e = d ln s / d ln busy. At 0 the first proposal is right; between -1 and 1
each is nearer than the one before; at -1 and below each correction is larger than the error, and the fleet hunts between too few
and too many pods, which stabilization can slow and not mend (the fixed point of an iterated map; Strogatz, Nonlinear Dynamics and
Chaos, chapter 10). Windows, syncs and loading pods are delays, which only make it worse."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.stability.loads import SERVICE_SECONDS
from tests.stability.systems import concurrency, duration_ms, share

STEP: Final = 1e-4
SAYS: Final = (
    "A fleet that is off the right number of pods by one is proposed a number that is off by the slope. At 0 the first proposal is "
    "right; between -1 and 1 each is nearer than the one before; at -1 and below (bold) each correction is larger than the error, "
    "and the fleet hunts. Random arrivals, steady load, no delays: windows, syncs and loading pods can only make it worse "
    "([gain.py](../tests/stability/gain.py))."
)

SIGNALS: Final[Mapping[str, Callable[[float, int], float]]] = {
    "triton_request_rate": lambda busy, instances: busy / SERVICE_SECONDS,
    "triton_inference_concurrency": concurrency,
    "triton_queue_share": share,
    "triton_queue_duration_ms": duration_ms,
}
"""Each of one pod, by how busy it is and its instances. avg_time_queue_us and triton:queue_compute:ratio are queue_duration_ms
times a constant."""


def slope(signal: Callable[[float, int], float], busy: float, instances: int = 1) -> float:
    up, down = signal(busy * (1 + STEP), instances), signal(busy * (1 - STEP), instances)
    return 1 - (math.log(up) - math.log(down)) / (math.log1p(STEP) - math.log1p(-STEP))


def table(aims: Sequence[tuple[float, int]]) -> str:
    """A row for each signal: its target at each (busy, instances) of `aims`, and the slope there."""
    heads = [f"{busy:.0%} busy, {many} instance{'s' * (many > 1)}".replace("%", " %") for busy, many in aims]
    lines = [f"| signal of a pod | {' | '.join(f'{head}: target | slope' for head in heads)} |"]
    lines.append("|---" * (1 + 2 * len(aims)) + "|")
    for name, signal in SIGNALS.items():
        cells = [f"{signal(*aim):.3g} | {_told(slope(signal, *aim))}" for aim in aims]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def _told(slope: float) -> str:
    """Bold where it hunts; what the difference is off by is no minus."""
    said = f"{round(slope, 2) + 0.0:.2f}"
    return f"**{said}**" if slope <= -1 + STEP else said
