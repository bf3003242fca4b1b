"""The report as a page: nothing runs in it, nothing is fetched by it, and every mark leads to its evidence."""

import base64
import hashlib
import re
from collections import Counter
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.triage.moved import ONSET, change, chart, moved, source
from tests.triage.snapshots import failed, gone, log, own, report
from triage.cli import main
from triage.html.chart_svg import chart_figures
from triage.render_html import render_html
from triage.report import Fact, Mitigation, ModelLine, Moment, PathStep, Report, VerdictView

LOAD = report(
    log(failed("top", "'top' needs 'm'"), failed("m", "device memory ran out"), own("x")), gone("index")
)
CANNOT_TELL = report(gone("index"))
STEPS = tuple(
    PathStep(
        node=node,
        ask=f"Is it {node}?",
        answer=answer,
        because=f"for {node}",
        evidence=("triton/request_p99",),
    )
    for node, answer in (
        ("seen", "yes"),
        ("queue", "no"),
        ("payload", "no"),
        ("node", "unknown"),
        ("split", "yes"),
    )
)
SPIKE = moved(
    chart(
        (50.0, 52.0, None, 400.0, 400.0),
        (5.0, 5.0, 5.0, 5.0),
        usual=(45.0, 61.0),
        onset=ONSET,
        marks=(change(1, "scaled"),),
    ),
    why=(
        Fact(text="Time in the queue rose.", evidence=("triton/request_p99", "never fetched"), quote="a\nb"),
    ),
    actions=(
        Mitigation(
            do="Scale.",
            command="kubectl scale 'a'",
            undo="Scale back.",
            blast_radius="",
            verify="v",
            not_if="n",
        ),
    ),
    path=STEPS,
)
VOID = {"meta", "br"}


class Page(HTMLParser):
    """The page as a browser reads it. Tags that do not match are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, given, value in self.attributes if given == name]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def assert_harmless(page: Page) -> None:
    known = {"a", "br", "circle", "code", "desc", "details", "path", "pre", "rect", "svg", "text", "title"}
    known |= {
        "html",
        "head",
        "meta",
        "style",
        "body",
        "header",
        "main",
        "footer",
        "section",
        "summary",
        "span",
        "strong",
    }
    known |= {"h1", "h2", "h3", "p", "ul", "ol", "li", "dl", "div", "dt", "dd", "figure", "figcaption"}
    known |= {"time", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(page.tags) <= known
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        assert name not in {
            "src",
            "srcset",
            "style",
            "action",
            "formaction",
            "data",
            "xlink:href",
            "background",
        }
        assert name != "href" or value.startswith("#")
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(ids)
    named = " ".join(page.values("aria-labelledby")).split()
    assert set(named) <= set(ids)


@pytest.mark.parametrize(
    "told", [LOAD, CANNOT_TELL, SPIKE, moved()], ids=["load", "cannot-tell", "spike", "bare"]
)
def test_nothing_runs_in_the_page_and_nothing_is_fetched(told: Report) -> None:
    text = render_html(told)
    assert_harmless(Page(text))
    assert not re.search(r"url\(|@import|https?://", text.partition("</style>")[0])


def test_the_page_may_use_its_own_style_and_nothing_else() -> None:
    text = render_html(SPIKE)
    style = text.partition("<style>")[2].partition("</style>")[0]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert (
        f"\"default-src 'none'; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'\"" in text
    )
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_a_mark_with_a_long_name_is_cut_at_the_edge_of_a_narrow_screen() -> None:
    """Seen at 390 pixels: the ids of a Deployment's pods made the page twice as wide as the screen."""
    style = (resources.files("triage.html") / "report.css").read_text(encoding="utf-8")
    mark = style.partition("\n.mark {")[2].partition("}")[0]
    assert "max-width: 100%" in mark
    assert "text-overflow: ellipsis" in mark
    assert (
        ".timeline { table-layout: fixed; }" in style
    )  # else a cell is as wide as the mark in it wants to be


def test_the_same_report_is_the_same_page() -> None:
    again = msgspec.json.decode(msgspec.json.encode(SPIKE), type=Report)
    assert render_html(again) == render_html(SPIKE)


def test_the_page_is_in_the_order_in_which_it_is_needed_at_night() -> None:
    full = msgspec.structs.replace(
        SPIKE,
        impact=("p99 is high",),
        models=(ModelLine(model="a", version="", state="loaded", category=None, line=None),) * 2,
        unseen=LOAD.unseen,
        timeline=(Moment(at="02:09:00", what="alert", evidence="triton/request_p99"),),
    )
    titles = re.findall(r"<h2 id=\"\w+\">([^<]+)</h2>", render_html(full))
    assert titles == [
        "Impact",
        "Why",
        "What moved",
        "Against it",
        "Could not see",
        "Do",
        "Models",
        "Timeline",
        "Path",
        "Evidence",
    ]


def test_the_confidence_is_a_word_that_is_said_once() -> None:
    page = Page(render_html(SPIKE)).text
    assert "SCALE OUT llm: too few instances. likely" in page
    assert "LIKELY" not in page


def test_a_verdict_that_could_not_be_reached_says_so_once_and_nothing_speaks_against_it() -> None:
    page = Page(render_html(CANNOT_TELL)).text.casefold()
    # Of the tab, of the headline, and of the leaf, which is drawn for a wide page and for a phone.
    assert (page.count("cannot tell"), "against it" in page) == (4, False)


def test_the_same_gap_is_told_once_with_its_count() -> None:
    once = Page(render_html(moved(unseen=LOAD.unseen))).text
    twice = Page(render_html(moved(unseen=LOAD.unseen * 2))).text
    assert ("for 2 questions" in once, "for 2 questions" in twice) == (False, True)
    assert twice.count(LOAD.unseen[0].what) == once.count(LOAD.unseen[0].what)


def test_a_mark_leads_to_its_evidence_and_one_without_any_leads_nowhere() -> None:
    text = render_html(SPIKE)
    assert '<a class="mark" href="#evidence-1">triton/request_p99</a>' in text
    assert '<span class="mark">never fetched</span>' in text
    assert '<tr role="row" id="evidence-1">' in text


def test_evidence_of_one_id_twice_has_one_anchor() -> None:
    page = Page(render_html(moved(evidence=(source("log"), source("log"), source("index")))))
    assert [value for value in page.values("id") if value.startswith("evidence-")] == [
        "evidence-1",
        "evidence-2",
    ]


def test_a_drawing_says_in_words_what_it_shows() -> None:
    text = render_html(SPIKE)
    assert text.count('role="img"') == 4  # a chart and a path, for a wide page and for a phone
    assert '<title id="chart-1-wide-title">Time in Triton, ms</title>' in text
    assert "usual 45 to 61 ms, highest 400 ms, last 400 ms; began 02:03:10</desc>" in text


def test_no_line_goes_across_a_gap_and_a_point_alone_is_a_dot() -> None:
    (figure,) = chart_figures([chart((0.0, 0.0, None, 0.0, None))])
    path = figure.drawings[0].curves[0].path
    assert (path.count("M"), path.count("L"), path.count("h0")) == (2, 1, 1)


def test_names_at_the_ends_of_curves_do_not_lie_on_each_other() -> None:
    (figure,) = chart_figures([chart(*[(1.0, float(k % 2)) for k in range(6)])])
    heights = sorted(curve.name.y for curve in figure.drawings[0].curves if curve.name)
    assert len(heights) == 6
    assert all(lower - upper >= 15 for upper, lower in pairwise(heights))


def test_what_is_not_drawn_is_counted() -> None:
    text = render_html(moved(chart(*[(1.0, 2.0)] * 8)))
    assert "2 more are not drawn." in text
    assert "are not drawn" not in render_html(SPIKE)


def test_a_chart_without_a_measurement_says_so() -> None:
    text = render_html(moved(chart((None, None))))
    assert "nothing was measured" in text
    assert 'class="chart' not in text


def test_questions_answered_no_take_one_box_in_the_path() -> None:
    text = render_html(SPIKE)
    drawing = text.partition('aria-labelledby="path-wide-title')[2].partition("</svg>")[0]
    assert re.findall(r'class="box (\w+)"', drawing) == ["question", "ruled", "unsure", "question", "leaf"]
    assert re.findall(r'class="answer"[^>]*>(\w+)<', drawing) == ["yes", "no", "unknown", "yes"]
    assert "queue, payload" in drawing


def test_the_question_that_led_to_the_leaf_is_drawn_though_its_answer_was_no() -> None:
    text = render_html(msgspec.structs.replace(SPIKE, path=STEPS[:3]))
    drawing = text.partition('aria-labelledby="path-wide-title')[2].partition("</svg>")[0]
    assert re.findall(r'class="box (\w+)"', drawing) == ["question", "ruled", "question", "leaf"]
    assert "Is it payload?" in drawing


def test_a_calm_verdict_does_not_look_like_a_cause() -> None:
    def tone(category: str) -> str:
        verdict = VerdictView(category=category, confidence="likely", leaf="x")
        return render_html(moved(verdict=verdict)).partition('<header class="')[2].partition('"')[0]

    assert [tone(it) for it in ("overload", "load_test", "not_a_load_failure", "cannot_tell")] == [
        "cause",
        "calm",
        "calm",
        "unknown",
    ]


def test_the_command_writes_the_page_and_keeps_its_exit_code() -> None:
    bundle = Path(__file__).parents[2] / "demo" / "recorded.incident.json.gz"
    got = CliRunner().invoke(main, ["replay", str(bundle), "-o", "html"])
    assert (got.exit_code, got.stderr) == (1, "")
    assert_harmless(Page(got.stdout))


HOSTILE = [
    "<script>alert(1)</script>",
    '"]]><img src=x onerror=alert(1)>',
    "</style><script src=//evil.example></script>",
    "' onmouseover='alert(1)",
    "--><svg onload=alert(1)>",
    "{{ report }}{% raw %}",
    "javascript:alert(1)",
    "\u202etxt.exe\u2066 \u200b",
    "\x00\x1b[31m\ud800\uffff",
    "n" * 100_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_pod_or_a_log_says_stays_text(text: str) -> None:
    page = render_html(_everywhere(SPIKE, text))
    assert_harmless(Page(page))
    assert not set("\u202e\u2066\u200b\x00\x1b\ud800") & set(page)
    assert page.encode()
    if len(text) < 1000:
        assert len(page) < 2 * len(render_html(SPIKE)) + 100_000


def test_hostile_text_is_shown_and_not_dropped() -> None:
    assert HOSTILE[0] in Page(render_html(_everywhere(SPIKE, HOSTILE[0]))).text


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=40))
def test_no_text_at_all_leaves_its_place(text: str) -> None:
    assert_harmless(Page(render_html(_everywhere(SPIKE, text))))


def _everywhere(told: Report, text: str) -> Report:
    """The report with this text in every place that holds any, but those of closed lists."""

    def put(value: object, key: str = "") -> object:
        if isinstance(value, str):
            return value if key in {"confidence", "kind"} else text
        if isinstance(value, dict):
            return {(text if key == "asked" else name): put(inner, name) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [put(inner, key) for inner in value]
        return value

    rows = {
        "models": (
            ModelLine(
                model="a",
                version="1",
                state="failed",
                category="c",
                line="l",
                blames="b",
                fix="f",
                subject="s",
            ),
        )
        * 2,
        "unseen": LOAD.unseen,
        "impact": ("i",),
        "timeline": (Moment(at="02:00:00", what="w", evidence="e"),),
        "alternatives": (),
    }
    return msgspec.convert(put(msgspec.to_builtins(msgspec.structs.replace(told, **rows))), Report)
