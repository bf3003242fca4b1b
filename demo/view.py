"""How a run looks: one screen of at most 23 lines by 79 columns, or plain lines. Pure."""

import math
from collections.abc import Iterator, Sequence

from rich.text import Text

from demo.observe import Look, Measured, Observation
from demo.recording import About
from demo.story import SCALED_ON

_BARS = "▁▂▃▄▅▆▇█"
_LEFT = 60  # columns before the history
_WIDEST = 140
_UNITS = {
    "requests a second": "req/s",
    "milliseconds": "ms",
    "milliseconds a request": "ms",
    "ratio, 0 to 1": "ratio",
}
_COLOURS = {"value": "green", "idle": "cyan", "no data": "yellow"}

NEXT = (
    "README.md: what triton-ops is for, and how it is installed",
    "triton-triage load-failure --help: act two on your own pods and logs",
    "triton-triage p99 --help: act three on your own Prometheus and pods",
    "deploy/install.yaml: the daemon in a cluster",
    "deploy/examples/hpa.yaml: an HPA on these signals (triton-autoscaler signals)",
)


def screen(about: About, run: Sequence[Observation], width: int, first_number: float | None = None) -> Text:
    """The last observation of `run` with those before it as history. `first_number`: seconds until Triton gave one."""
    width = min(width, _WIDEST) - 1
    now = run[-1]
    act = about.story.at(now.at)
    lines = [
        _title(about, now, width),
        _acts(about, now),
        Text(act.headline, style="bold"),
        Text(act.look),
        Text(),
        *_table(about, run, width),
        _error(now),
        Text(),
        *_hpa(about, run, width),
        Text(),
        *_footer(about, first_number),
    ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines)


def _title(about: About, now: Observation, width: int) -> Text:
    kind = "RECORDED run of one Triton" if about.recorded_on else "one real Triton"
    left = f"triton-ops demo: {kind} {about.triton}, no Kubernetes"
    right = f"{now.at:.0f} of {about.story.seconds:.0f} s"
    return Text(f"{left:<{width - len(right)}}{right}", style="reverse")


def _acts(about: About, now: Observation) -> Text:
    """The story's phases in a row, the present one in brackets, since colour may be missing."""
    line = Text()
    for phase in about.story.phases:
        if phase.name == now.phase:
            line.append(f"[{phase.name.upper()}]", style="bold")
        else:
            line.append(f" {phase.name} ", style="dim")
        line.append("  ")
    return line


def _table(about: About, run: Sequence[Observation], width: int) -> Iterator[Text]:
    now = run[-1]
    step = _seconds_a_column(about, width)
    over = f"SIGNAL, over {about.story.window:g} s"
    so_far = f"SO FAR, a column is {step} s" if width > 90 else f"SO FAR, {step} s each"
    yield Text(f"{over:<31} {'MEASURED':<16} {'CLIENTS':>8}   {so_far}", style="dim")
    for name, measured in now.signals.items():
        line = Text(f"{name:<31} ", style="bold" if name == SCALED_ON else "")
        if measured.state == "no data" and name not in now.truth:
            line.append(f"{f'no data: {measured.words}':<25}", style=_COLOURS["no data"])
        else:
            line.append(f"{_cell(about, name, measured):<16} ", style=_COLOURS[measured.state])
            line.append(f"{_number(now.truth.get(name)):>8}")
        yield line.append("   ").append(_history([seen.signals[name] for seen in run], step))


def _cell(about: About, name: str, measured: Measured) -> str:
    if measured.state == "no data":
        return "no data"
    unit = "idle" if measured.state == "idle" else _UNITS.get(about.units[name], about.units[name])
    return f"{_number(measured.value):>7} {unit}"


def _error(now: Observation) -> Text:
    """The error that the HPA gets, word for word; an empty line while it gets a number."""
    measured = now.signals[SCALED_ON]
    text = f"no data, {measured.words}: {measured.message}" if measured.message else ""
    return Text(text, style=_COLOURS["no data"])


def _hpa(about: About, run: Sequence[Observation], width: int) -> Iterator[Text]:
    """Six lines: the replicas, three of how they came about, two of the HPA's settings."""
    story, now = about.story, run[-1]
    look, ago = now.look, now.at - now.look.at
    line = Text(f"HPA {f'{ago:.0f} s ago' if ago >= 1 else 'just now'}:".ljust(16), style="bold")
    line.append("■" * look.replicas, style="green").append("□" * (story.max_replicas - look.replicas))
    line.append(f"  {_replicas(look)}", style="bold")
    line.append("  HOLDS" if look.held else "", style=f"bold {_COLOURS['no data']}")
    line.append(" " * (_LEFT - len(line)))
    step = _seconds_a_column(about, width)
    yield line.append("".join(str(part[-1].look.replicas) for part in _columns(run, step)), style="green")
    yield from [*(Text(f"  {said}") for said in look.steps), Text(), Text(), Text()][:3]
    yield Text(
        f"  target {story.target} requests a replica (averageValue), 1 to {story.max_replicas} replicas,",
        style="dim",
    )
    yield Text(
        f"  looks every {story.look_every:g} s (in real life 15), scales down after {story.scale_down_after:g} s (300)",
        style="dim",
    )


def _footer(about: About, first_number: float | None) -> Iterator[Text]:
    verb = "got" if about.recorded_on else "gets"
    yield Text(
        f"Replicas are what an HPA would choose; the one real Triton {verb} all the load.", style="dim"
    )
    if about.recorded_on:
        what = f"RECORDED on {about.recorded_on}, replayed at its own speed. "
    else:
        what = f"First number {first_number:.1f} s after Triton was told to start. " if first_number else ""
    yield Text(f"{what}Ctrl-C ends.", style="dim")


def _seconds_a_column(about: About, width: int) -> int:
    """So that the whole story fits beside the table."""
    return max(1, math.ceil((about.story.seconds + 1) / max(1, width - _LEFT)))


def _columns(run: Sequence[Observation], step: int) -> Iterator[Sequence[Observation]]:
    for start in range(0, len(run), step):
        yield run[start : start + step]


def _history(seen: Sequence[Measured], step: int) -> Text:
    """Bars up to the largest value so far; `?` where there was no data, which is not zero."""
    last = [seen[min(start + step, len(seen)) - 1] for start in range(0, len(seen), step)]
    top = max([measured.value for measured in last if measured.value is not None], default=0.0)
    line = Text()
    for measured in last:
        bar = "?" if measured.value is None else _bar(measured.value, top)
        line.append(bar, style=_COLOURS[measured.state])
    return line


def _bar(value: float, top: float) -> str:
    return _BARS[round(value / top * (len(_BARS) - 1))] if top > 0 else _BARS[0]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.1f}"


def _replicas(look: Look) -> str:
    return "1 replica" if look.replicas == 1 else f"{look.replicas} replicas"


def plain_lines(about: About, before: Observation | None, now: Observation) -> Iterator[str]:
    """What is new at `now`, a line each: a phase, a look of the HPA that moves or begins to hold, the numbers every 2 s."""
    mark = "RECORDED " if about.recorded_on else ""
    time = f"{mark}{now.at:3.0f} s  "
    act = about.story.at(now.at)
    if before is None or before.phase != now.phase:
        yield mark.rstrip()
        yield f"{time}{act.headline}"
        yield f"{mark}{'':7}{act.look}"
    if before is None or now.look.at != before.look.at:
        moved = now.look.replicas != now.look.previous
        if moved:
            yield f"{time}HPA: {now.look.previous} → {_replicas(now.look)}: {'; '.join(now.look.steps)}"
        elif now.look.held and not (before and before.look.held):
            yield f"{time}HPA holds: {'; '.join(now.look.steps)}"
    changed = before is None or before.signals[SCALED_ON].state != now.signals[SCALED_ON].state
    if changed or int(now.at) % 2 == 0:
        yield f"{time}{now.phase:<8} {_numbers(about, now)}"


def _numbers(about: About, now: Observation) -> str:
    concurrency = now.signals[SCALED_ON]
    true = f"{_number(now.truth[SCALED_ON])} by its clients"
    if concurrency.state == "no data":
        said = f"no data ({concurrency.words}), {true}"
    else:
        state = " (idle)" if concurrency.state == "idle" else ""
        said = f"concurrency {_number(concurrency.value)}{state}, {true}"
        for name, short in (("triton_request_rate", "rate"), ("triton_queue_duration_ms", "queue")):
            said += f" | {short} {_cell(about, name, now.signals[name]).strip()}"
    return f"{said} | {_replicas(now.look)}"


def summary(about: About, run: Sequence[Observation], first_number: float | None) -> Iterator[str]:
    """What there was to see, once it is over."""
    if not run:
        return
    mark = "RECORDED " if about.recorded_on else ""
    chosen = [run[0].look.replicas]
    for now in run:
        if now.look.replicas != chosen[-1]:
            chosen.append(now.look.replicas)
    yield ""
    if first_number is not None:
        yield f"First number: {first_number:.1f} s after Triton was told to start."
    yield f"{mark}Replicas that an HPA would have chosen: {' → '.join(map(str, chosen))}"
    if any(now.look.held for now in run):
        yield f"{mark}It held while Triton was silent."
