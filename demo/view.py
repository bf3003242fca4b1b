"""How a run looks: one screen of at most 23 lines by 79 columns, or plain lines. Pure."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from demo.observe import Look, Measured, Observation
from demo.recording import About
from demo.story import SCALED_ON, Phase

_BARS = "▁▂▃▄▅▆▇█"
_FIXED = 61  # columns before the sparkline
_UNITS = {
    "requests a second": "req/s",
    "milliseconds": "ms",
    "milliseconds a request": "ms",
    "ratio, 0 to 1": "ratio",
}
_COLOURS = {"value": "green", "idle": "cyan", "no data": "yellow"}

NEXT = (
    "README.md                           what triton-ops is for, and what it is not for",
    "deploy/manifests/autoscaler.yaml    the daemon for a cluster; check your settings: triton-autoscaler check",
    "deploy/examples/hpa.yaml            an HPA on these signals; read about them: triton-autoscaler signals",
)


def screen(about: About, run: Sequence[Observation], width: int) -> Text:
    """The last observation of `run`, with those before it as sparklines."""
    width = min(width, 140) - 1
    now = run[-1]
    phase = about.story.at(now.at)
    lines = [
        _title(about, now, width),
        _phases(about, now),
        Text(),
        Text(phase.headline, style="bold"),
        Text(phase.look),
        Text(),
        *_table(about, run, width),
        _error(now, width),
        *_hpa(about, run, width),
        Text(),
        Text("Replicas are what an HPA would choose: there is one real Triton, and all load", style="dim"),
        Text(_last_line(about), style="dim"),
    ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Text("\n", no_wrap=True).join(lines)


def _title(about: About, now: Observation, width: int) -> Text:
    kind = "RECORDED run of one Triton" if about.recorded_on else "one real Triton"
    left = f"triton-ops demo  {kind} {about.triton}, no Kubernetes"
    right = f"{now.at:.0f} of {about.story.seconds:.0f} s"
    return Text(f"{left:<{width - len(right)}}{right}", style="reverse")


def _phases(about: About, now: Observation) -> Text:
    """The story's phases in a row; the present one in brackets, since colour may be missing."""
    line = Text()
    for phase in about.story.phases:
        here = phase.name == now.phase
        line.append(
            f"[{phase.name.upper()}]" if here else f" {phase.name} ", style="bold" if here else "dim"
        ).append("  ")
    return line


def _table(about: About, run: Sequence[Observation], width: int) -> Iterator[Text]:
    now = run[-1]
    room = width - _FIXED
    span = min(room, len(run))
    yield Text(
        f"{f'SIGNAL, over {about.story.window:g} s':<30}  {'MEASURED':<16}{'CLIENTS':>9}    LAST {span} s",
        style="dim",
    )
    for name in now.signals:
        measured = now.signals[name]
        line = Text(f"{name:<30}  ", style="bold" if name == SCALED_ON else "")
        if measured.state == "no data":
            line.append(f"{f'no data: {measured.words}':<27}", style=_COLOURS["no data"])
        else:
            unit = "idle" if measured.state == "idle" else _UNITS.get(about.units[name], about.units[name])
            line.append(f"{_number(measured.value):>7} {unit:<8}", style=_COLOURS[measured.state])
            line.append(f"{_number(now.truth.get(name)):>9}  ")
        yield line.append("  ").append(_sparkline([seen.signals[name] for seen in run[-room:]]))


def _error(now: Observation, width: int) -> Text:
    """The error that the HPA gets, word for word; an empty line while it gets a number."""
    message = now.signals[SCALED_ON].message
    return Text(f"error: {message}" if message else "", style=_COLOURS["no data"])


def _hpa(about: About, run: Sequence[Observation], width: int) -> Iterator[Text]:
    story, look = about.story, run[-1].look
    yield Text()
    line = Text("HPA would choose  ", style="bold")
    line.append("■" * look.replicas + "□" * (story.max_replicas - look.replicas), style="green")
    line.append(f"  {_replicas(look)}{'  HOLDS' if look.held else ''}", style="bold")
    line.append(" " * max(2, _FIXED - len(line)))
    yield line.append(
        _bars([float(seen.look.replicas) for seen in run[-(width - _FIXED) :]], story.max_replicas)
    )
    steps = [Text(f"  {step}") for step in look.steps]
    yield from [*steps, Text(), Text()][:3] if len(steps) < 3 else steps[:3]
    yield Text(
        f"  target: averageValue {story.target} of {SCALED_ON}, 1 to {story.max_replicas} replicas",
        style="dim",
    )
    yield Text(
        f"  looks every {story.look_every:g} s (a real HPA: 15); scales up at once, and down when lower for "
        f"{story.scale_down_after:g} s (300)",
        style="dim",
    )


def _last_line(about: About) -> str:
    if about.recorded_on:
        return f"went to it. RECORDED on {about.recorded_on}, replayed at its own speed. Ctrl-C ends."
    return "goes to it. Ctrl-C ends."


def _sparkline(seen: Sequence[Measured]) -> Text:
    """Up to the largest value in sight; `?` where there was no data, which is not zero."""
    top = max([m.value for m in seen if m.value is not None], default=0.0)
    line = Text()
    for measured in seen:
        if measured.value is None:
            line.append("?", style=_COLOURS["no data"])
        else:
            line.append(_bar(measured.value, top), style=_COLOURS[measured.state])
    return line


def _bars(values: Sequence[float], top: float) -> str:
    return "".join(_bar(value, top) for value in values)


def _bar(value: float, top: float) -> str:
    return _BARS[round(value / top * (len(_BARS) - 1))] if top > 0 else _BARS[0]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 or value == 0 else f"{value:.1f}"


def _replicas(look: Look) -> str:
    return "1 replica" if look.replicas == 1 else f"{look.replicas} replicas"


def plain_lines(about: About, before: Observation | None, now: Observation) -> Iterator[str]:
    """What is new at `now`, a line each: a phase, the numbers every 2 s, a look of the HPA that moves or holds."""
    mark = "RECORDED " if about.recorded_on else ""
    time = f"{mark}{now.at:3.0f} s  "
    phase = about.story.at(now.at)
    if before is None or before.phase != now.phase:
        yield from _plain_phase(mark, time, phase)
    if before is None or int(now.at) % 2 == 0 or _states(before) != _states(now):
        yield f"{time}{now.phase:<8} {_numbers(about, now)}"
    old = before.look if before else None
    if old is None or now.look.at != old.at:
        moved = now.look.replicas != now.look.previous
        if moved or (now.look.held and not (old and old.held)):
            did = f"{now.look.previous} → {now.look.replicas} replicas" if moved else "holds"
            yield f"{time}HPA {did}: {'; '.join(now.look.steps)}"


def _plain_phase(mark: str, time: str, phase: Phase) -> Iterator[str]:
    yield mark.rstrip()
    yield f"{time}{phase.headline}"
    yield f"{mark}{' ' * 7}{phase.look}"


def _states(seen: Observation) -> str:
    return seen.signals[SCALED_ON].state


def _numbers(about: About, now: Observation) -> str:
    concurrency = now.signals[SCALED_ON]
    seen = f"{_number(now.truth[SCALED_ON])} seen by {now.clients} clients"
    if concurrency.state == "no data":
        said = f"no data: {concurrency.message}; {seen}"
    else:
        idle = " (idle)" if concurrency.state == "idle" else ""
        said = f"concurrency {_number(concurrency.value)}{idle}, {seen}"
        for name, short in (("triton_request_rate", "rate"), ("triton_queue_duration_ms", "queue")):
            measured = now.signals[name]
            unit = _UNITS.get(about.units[name], about.units[name])
            told = "no data" if measured.value is None else f"{_number(measured.value)} {unit}"
            said += f" | {short} {told}"
    return f"{said} | HPA would choose {now.look.replicas}"


def summary(about: About, run: Sequence[Observation], first_number: float | None) -> Iterator[str]:
    """What there was to see, once it is over."""
    if not run:
        return
    mark = "RECORDED " if about.recorded_on else ""
    chosen = [run[0].look.replicas]
    for now in run:
        if now.look.replicas != chosen[-1]:
            chosen.append(now.look.replicas)
    held = {now.phase for now in run if now.look.held}
    yield ""
    if first_number is not None:
        yield f"First number: {first_number:.1f} s after Triton was told to start."
    path = " → ".join(map(str, chosen))
    yield f"{mark}Replicas that an HPA would have chosen: {path}{', and held while Triton was silent' if held else ''}."
