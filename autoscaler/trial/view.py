"""How a look goes on: one screen for a terminal, or one line where there is none. Pure."""

from collections.abc import Sequence

from rich.text import Text

from autoscaler.answer import NoData, Reason, Value
from autoscaler.trial.reasons import number, printable
from autoscaler.trial.seen import SCALED_ON, Look, Shown, is_absent

_BARS = "▁▂▃▄▅▆▇█"
_SHORT_UNITS = {
    "requests a second": "req/s",
    "milliseconds": "ms",
    "milliseconds a request": "ms",
    "microseconds a request": "µs",
    "inferences a second": "inf/s",
    "inferences an execution": "inf/exec",
    "ratio, 0 to 1": "ratio",
}
_BAR_WIDTH = 24
_FIXED = 9  # lines that are neither of a signal nor of a pod
_FEW_PODS = 3
"""So many pods have a line of their own before the last signals have."""


def screen(
    looks: Sequence[Look], units: dict[str, str], seconds: float, elapsed: float, width: int, height: int
) -> Text:
    """The last look with those before it as history, in at most `height` lines of `width` columns."""
    if not looks:
        return Text("asking every pod for the first time ...", style="dim")
    now = looks[-1]
    fleet = now.fleet
    left = f"triton-autoscaler try: {fleet.workload.kind.lower()}/{fleet.workload.name} in {fleet.namespace}"
    right = f"{elapsed:.0f} of {seconds:.0f} s"
    sampled = f" of {fleet.pods}, a sample," if fleet.asked < fleet.pods else ""
    lines = [
        Text(f"{left:<{max(0, width - len(right) - 1)}} {right}", style="reverse"),
        Text(
            f"{fleet.answered} of {fleet.asked} pods{sampled} answer, through the API server; nothing is changed",
            style="dim",
        ),
        Text(),
        *_signals(looks, units, width, height - _FIXED - min(len(now.pods), _FEW_PODS)),
        Text(),
    ]
    room = max(1, height - len(lines) - 4)
    lines += [*_pods(now, room), *_missing(now)]
    lines.append(Text("Ctrl-C ends it now, with what was seen so far.", style="dim"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines[:height])


def one_line(look: Look, units: dict[str, str], seconds: float) -> str:
    """Where nobody watches a screen."""
    fleet = look.fleet
    missing = next(iter(sorted(fleet.failures.items())), None)
    told = f"; pod {missing[0]}: {missing[1]}" if missing else ""
    shown = look.signals[SCALED_ON]
    return printable(
        f"{look.at:.0f} of {seconds:.0f} s: {fleet.answered} of {fleet.asked} pods answer, "
        f"requests in Triton at once: {_said(SCALED_ON, shown, units)}{told}"
    )


def _signals(looks: Sequence[Look], units: dict[str, str], width: int, room: int) -> list[Text]:
    names, absent = _told(looks, room)
    wide = max(map(len, names))
    history = max(0, width - wide - 24)
    lines = [Text(f"{'SIGNAL':<{wide}}  {'NOW':<20}  SO FAR", style="dim")]
    for name in names:
        shown = looks[-1].signals[name]
        no_data = isinstance(shown.answer, NoData)
        line = Text(f"{name:<{wide}}  ", style="bold" if name == SCALED_ON else "")
        style = (
            "yellow"
            if no_data
            else "cyan"
            if isinstance(shown.answer, Value) and shown.answer.idle
            else "green"
        )
        if no_data and not any(isinstance(look.signals[name].answer, Value) for look in looks):
            line.append(printable(_said(name, shown, units)), style=style)
        else:
            line.append(f"{printable(_said(name, shown, units))[:20]:<20}  ", style=style)
            line.append(_history([look.signals[name] for look in looks[-history:]]) if history else "")
        lines.append(line)
    if absent:
        lines.append(Text(f"without a number here: {len(absent)} more signals", style="dim"))
    return lines


def _told(looks: Sequence[Look], room: int) -> tuple[list[str], list[str]]:
    """The signals that get a line of their own, and the others: those that these Tritons do not show, and, of few lines, those that
    are not seen yet."""
    now = looks[-1].signals
    absent = [name for name, shown in now.items() if is_absent(shown)]
    told = [name for name in now if name not in absent]
    seen = {name for name in told if any(isinstance(look.signals[name].answer, Value) for look in looks)}
    first = sorted(told, key=lambda name: (name != SCALED_ON, name not in seen, list(now).index(name)))
    kept = set(first[: max(1, room)])
    return [name for name in told if name in kept], [name for name in now if name not in kept]


def _said(name: str, shown: Shown, units: dict[str, str]) -> str:
    match shown.answer:
        case NoData(reason=Reason.WARMING_UP):
            return "measuring ..."
        case NoData(message=message):
            return f"no data: {message}"
        case Value(value=value, idle=idle):
            unit = _SHORT_UNITS.get(units[name], units[name].partition(",")[0])
            return f"{number(value)} {'idle' if idle else unit}"


def _history(shown: Sequence[Shown]) -> str:
    """Bars up to the largest so far; `?` where there was no data, which is not zero."""
    values = [each.answer.value if isinstance(each.answer, Value) else None for each in shown]
    most = max((value for value in values if value is not None), default=0.0)
    return "".join(
        "?" if value is None else _BARS[round(value / most * (len(_BARS) - 1)) if most > 0 else 0]
        for value in values
    )


def _pods(look: Look, room: int) -> list[Text]:
    """The busiest pods with a bar each, as many as fit."""
    known = sorted(
        ((load, pod) for pod, load in look.pods.items() if load is not None),
        key=lambda each: (-each[0], each[1]),
    )
    most = max((load for load, _ in known), default=0.0)
    lines = [Text(f"{'REQUESTS AT ONCE IN A POD':<34}{len(known)} pods, the busiest first", style="dim")]
    fit = known[: max(1, room - 1)] if len(known) > room else known
    for load, pod in fit:
        bar = "█" * round(load / most * _BAR_WIDTH) if most > 0 else ""
        lines.append(
            Text(f"{number(load):>7} ")
            .append(f"{bar:<{_BAR_WIDTH}}", style="green")
            .append(f"  {printable(pod)}")
        )
    if len(fit) < len(known):
        lines.append(Text(f"        and {len(known) - len(fit)} more", style="dim"))
    return lines


def _missing(look: Look) -> list[Text]:
    """One line: who is not seen, and why."""
    failures = sorted(look.fleet.failures.items())
    if not failures:
        return []
    pod, failure = failures[0]
    more = f", and {len(failures) - 1} more" if len(failures) > 1 else ""
    return [Text(printable(f"not seen: {pod} ({failure}){more}"), style="yellow")]
