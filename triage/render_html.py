"""The report as one page of HTML: no script, nothing from elsewhere, the same bytes for the same report."""

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from triage.chart_scale import clock, day, letters
from triage.gpu_map import gpu_memory_of, gpu_name, left_out
from triage.html.chart_svg import chart_figures
from triage.html.path_svg import path_drawings
from triage.report import Report, tone_of
from triage.seal import printable
from triage.timeline import whole_timeline
from triage.wording import short


def render_html(report: Report) -> str:
    """The page, for a browser, a phone or paper. It asks nothing of any other server and may be kept for years."""
    page = _pages().get_template("report.html.j2")
    css = _style()
    return page.render(
        report=report,
        css=Markup(css),  # noqa: S704 - our own file, and never a word of the report
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        headline=_headline(report),
        # A verdict that could not be reached says so first of all; once is enough.
        sure=None if report.verdict.category == "cannot_tell" else _words(report.verdict.confidence),
        tone=tone_of(report),
        anchors=_anchors(report),
        figures=chart_figures(report.charts),
        changes=[(letter, clock(mark.at), mark.what) for mark, letter in letters(report.charts).items()],
        onset=_onset(report),
        unseen=Counter(report.unseen),
        paths=path_drawings(report),
        timeline=whole_timeline(report),
        gpus_left_out=left_out(report.gpus) if report.gpus else "",
    )


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=PackageLoader("triage", "html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["words"] = _words
    pages.filters["short"] = short
    pages.filters["gpu_name"] = gpu_name
    pages.filters["gpu_memory_of"] = gpu_memory_of
    return pages


def _style() -> str:
    env = _pages()
    assert env.loader is not None  # noqa: S101 - for the type alone: it was just given
    return env.loader.get_source(env, "report.css")[0]


def _finalize(value: Any) -> Any:
    """Every text of the page passes here, before it is escaped."""
    if value is None:
        raise TypeError("a template shows a value that is None: ask for it with `if` first")
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _words(name: str) -> str:
    return name.replace("_", " ")


def _headline(report: Report) -> str:
    """Without the confidence at its end, which stands beside it as a word of its own."""
    said = report.headline.removesuffix(f" {_words(report.verdict.confidence).upper()}.")
    return short(said, 600)


def _anchors(report: Report) -> Mapping[str, str]:
    """Where the page tells of each piece of evidence. Ids hold whatever a pod is called, so anchors are numbers."""
    ids = dict.fromkeys(item.id for item in report.evidence)
    return {name: f"evidence-{number}" for number, name in enumerate(ids, 1)}


def _onset(report: Report) -> str:
    """When it began, as a sentence; empty where no onset is known."""
    began = report.onset
    if began is None:
        return ""
    return f"began {day(began.at)} {clock(began.at)} UTC, between {clock(began.earliest)} and {clock(began.latest)}"
