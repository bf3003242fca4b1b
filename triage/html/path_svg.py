"""The path through the tree as boxes from top to bottom. All markup is in path.svg.j2."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from triage.report import PathStep, Report
from triage.seal import printable


@dataclass(frozen=True, slots=True)
class TextLine:
    y: int
    text: str
    kind: str
    """question, because or leaf."""


@dataclass(frozen=True, slots=True)
class Box:
    kind: str
    """question, unsure (one answered unknown), ruled (those answered no) or leaf."""
    top: int
    height: int
    lines: tuple[TextLine, ...]
    answer: str = ""
    """On the edge below; empty: nothing is below."""

    @property
    def bottom(self) -> int:
        return self.top + self.height


@dataclass(frozen=True, slots=True)
class PathDrawing:
    name: str
    width: int
    height: int
    boxes: tuple[Box, ...]


_LINE, _PAD, _EDGE = 19, 9, 30


def path_drawings(report: Report) -> tuple[PathDrawing, ...]:
    """The path drawn for a wide page and for a phone."""
    return tuple(_draw(report, *size) for size in (("wide", 600, 70), ("narrow", 360, 40)))


def _draw(report: Report, name: str, width: int, columns: int) -> PathDrawing:
    boxes: list[Box] = []
    top = 1
    for box in _boxes(report, columns):
        boxes.append(
            replace(box, top=top, lines=tuple(replace(line, y=line.y + top) for line in box.lines)),
        )
        top += box.height + _EDGE
    return PathDrawing(name, width, top - _EDGE + 1, tuple(boxes))


def _boxes(report: Report, columns: int) -> Iterator[Box]:
    ruled: list[PathStep] = []
    for step in report.path:
        # The last answer leads to the leaf, so it is shown whatever it was.
        if step.answer == "no" and step is not report.path[-1]:
            ruled.append(step)
            continue
        if ruled:
            yield _ruled(ruled, columns)
            ruled = []
        kind = "unsure" if step.answer == "unknown" else "question"
        yield _box(kind, step.answer, [(step.ask, "question", 3), (step.because, "because", 3)], columns)
    verdict = report.verdict
    words = dict.fromkeys((verdict.title or verdict.category, verdict.confidence))
    yield _box("leaf", "", [(": ".join(words).replace("_", " "), "leaf", 3)], columns)


def _ruled(steps: Sequence[PathStep], columns: int) -> Box:
    names = ", ".join(step.node for step in steps)
    return _box("ruled", "no", [(names, "because", 8)], columns)


def _box(kind: str, answer: str, texts: Sequence[tuple[str, str, int]], columns: int) -> Box:
    lines: list[TextLine] = []
    for text, style, most in texts:
        # What stands below a question is smaller, so more of it fits.
        for said in _wrap(text, columns * 5 // 4 if style == "because" else columns, most):
            lines.append(TextLine(_PAD + _LINE * (len(lines) + 1) - 5, said, style))
    return Box(kind, 0, 2 * _PAD + _LINE * len(lines), tuple(lines), answer)


def _wrap(text: str, columns: int, most: int) -> list[str]:
    said = " ".join(printable(text[:4000]).split())
    return textwrap.wrap(said, columns, max_lines=most, placeholder=" …", break_on_hyphens=False)
