"""The signals as text for a person."""

import textwrap
from collections.abc import Iterable

from autoscaler.gpu_formula import GpuDevices
from autoscaler.signal import GatewayQuantile, GatewayRate, Pods, Signal


def render_signals(rows: Iterable[Signal]) -> str:
    """One paragraph a signal: name and unit, meaning, and which HPA target suits it and why."""
    return "\n\n".join([*(_render(row) for row in rows), _ALIASES])


_ALIASES = (
    "Models are selected by name (model=NAME). A name that is no label value goes by its alias: every character but letters,\n"
    "digits, '-', '_' and '.' becomes '_', so org/name:v2 is model=org_name_v2; `triton-autoscaler value SIGNAL` shows it."
)


def _render(row: Signal) -> str:
    suits = "no HPA target suits it" if row.hpa.target == "none" else f"HPA target type {row.hpa.target}"
    counted = isinstance(row.formula, Pods)
    made_of = "the Kubernetes API" if counted else _made_of(row)
    if isinstance(row.formula, GatewayRate | GatewayQuantile):
        made_of = "what the gateways of the section gateway count; select by workload alone"
    body = [row.meaning, f"{suits}: {row.hpa.why}", f"from {made_of}"]
    wrapped = [
        textwrap.fill(" ".join(text.split()), 100, initial_indent="  ", subsequent_indent="  ")
        for text in body
    ]
    when = "now" if counted else f"over {row.window:g} s"
    return "\n".join([f"{row.name}  ({row.unit}, {when})", *wrapped])


def _made_of(row: Signal) -> str:
    families = ", ".join(sorted(row.families()))
    if not isinstance(row.formula, GpuDevices):
        return families
    exporters = "GPU exporters (section gpu of the configuration)"
    return f"{exporters}, else {families}" if families else exporters
