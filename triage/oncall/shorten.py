"""A report cut to what a record can hold: whole rows go, the least needed first, and what an engineer acts on stays. Pure.

The whole of it is in the bundle."""

from collections.abc import Callable, Iterator

import msgspec

from triage.report import Chart, Curve, Fact, Report
from triage.wording import short

MOST_BYTES = 32_000
"""Leaves room in 64 KiB for alerts, posts and the names of incidents with the same cause."""
_MOST_POINTS = 60
_MOST_TEXT = 1200


def shorten(report: Report, most_bytes: int = MOST_BYTES) -> Report:
    """The report, if it fits; else without rows until it does."""
    if _size(report) <= most_bytes:
        return report
    for cut in _CUTS:
        report = cut(report)
        if _size(report) <= most_bytes:
            break
    return report


def _size(report: Report) -> int:
    return len(msgspec.json.encode(report))


def _cited_evidence(report: Report) -> Report:
    cited = {mark for fact in (*report.why, *report.against) for mark in fact.evidence}
    cited |= {mark for chart in report.charts[:1] for mark in chart.evidence}
    return msgspec.structs.replace(
        report, evidence=tuple(each for each in report.evidence if each.id in cited)[:20]
    )


def _first_charts(report: Report) -> Report:
    return msgspec.structs.replace(report, charts=tuple(map(_thinned, report.charts[:2])))


def _thinned(chart: Chart) -> Chart:
    """Every few points their largest, so that no peak is lost; a gap stays a gap."""
    longest = max((len(curve.values) for curve in chart.curves), default=0)
    every = -(-longest // _MOST_POINTS)
    if every <= 1:
        return chart
    curves = tuple(Curve(label=curve.label, values=tuple(_largest(curve, every))) for curve in chart.curves)
    return msgspec.structs.replace(chart, step=chart.step * every, curves=curves)


def _largest(curve: Curve, every: int) -> Iterator[float | None]:
    for start in range(0, len(curve.values), every):
        there = [value for value in curve.values[start : start + every] if value is not None]
        yield max(there) if there else None


def _path_that_was_taken(report: Report) -> Report:
    return msgspec.structs.replace(
        report,
        path=tuple(step for step in report.path if step.answer != "no"),
        models=report.models[:10],
        timeline=report.timeline[-10:],
    )


def _texts(report: Report) -> Report:
    def fact(told: Fact) -> Fact:
        return msgspec.structs.replace(
            told,
            text=short(told.text, _MOST_TEXT),
            quote=short(told.quote, _MOST_TEXT) if told.quote else None,
        )

    return msgspec.structs.replace(
        report,
        why=tuple(map(fact, report.why)),
        against=tuple(map(fact, report.against))[:5],
        unseen=report.unseen[:8],
        alternatives=report.alternatives[:5],
        actions=report.actions[:4],
        impact=tuple(short(line, _MOST_TEXT) for line in report.impact[:8]),
    )


def _in_few_words(report: Report) -> Report:
    """What is left of a report whose very texts are too long: nothing of it may keep an incident from being recorded."""

    def cut(value: object) -> object:
        if isinstance(value, str):
            return short(value, 200)
        if isinstance(value, list | tuple):
            return [cut(inner) for inner in value[:4]]
        if isinstance(value, dict):
            return {key: cut(inner) for key, inner in value.items()}
        return value

    return msgspec.convert(cut(msgspec.to_builtins(report)), Report)


def _without_pictures(report: Report) -> Report:
    return msgspec.structs.replace(
        report,
        charts=(),
        evidence=(),
        path=(),
        models=(),
        gpus=None,
        timeline=report.timeline[-5:],
        unseen=report.unseen[:4],
    )


_CUTS: tuple[Callable[[Report], Report], ...] = (
    _cited_evidence,
    _first_charts,
    _path_that_was_taken,
    _texts,
    _without_pictures,
    _in_few_words,
)
