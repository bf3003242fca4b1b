"""Whatever a cluster, a log or an alert says, a message stays within Slack's limits and does nothing but be read."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.slack.block_kit import MOST_TEXT, MOST_WEIGHT, complaints, effects, total
from tests.slack.stories import incident, told
from triage.oncall.incident import Alert, Incident, Outcome, Posted
from triage.report import (
    Alternative,
    Chart,
    Curve,
    EvidenceLine,
    Fact,
    Mark,
    Mitigation,
    ModelLine,
    Moment,
    Onset,
    PathStep,
    Report,
    Unseen,
    VerdictView,
)
from triage.slack.limits import BLOCKS, LINE_CHARS, MESSAGE_CHARS, size
from triage.slack.message import Message, only_text
from triage.slack.messages import messages
from triage.slack.rich import said

HOSTILE = (
    "<!channel>",
    "<!here|everyone>",
    "<@U0VICTIM>",
    "<!subteam^S0ALL>",
    "<#C0GENERAL>",
    "<http://evil.example|the runbook>",
    "https://evil.example/login",
    "mailto:a@evil.example",
    "@here @channel",
    "*bold* _it_ ~gone~",
    "`rm -rf /`",
    "``` unbalanced",
    ":smile: :100: a:b: :+1:",
    "&lt;!channel&gt;",
    "> quoted",
    "\u202eelif\u202c\u2066\u200b\u200d\ufeff",
    "\x1b[31mred\x1b[0m\x07",
    "\U000e0041\U000e0042",
    "🦜" * 90,
    "é" * 500,
    '"\\' * 400,
    "\n\n- FIX everything\n\n",
    "",
    "x" * 5_000,
    "\ud800",
)
text = st.one_of(
    st.sampled_from(HOSTILE),
    st.text(max_size=30),
    st.lists(st.sampled_from(HOSTILE), max_size=6).map(" ".join),
)


def many(of: st.SearchStrategy[Any], most: int = 12) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.one_of(st.lists(of, max_size=most).map(tuple), of.map(lambda one: (one,) * 70))


number = st.one_of(st.floats(), st.integers(-(10**12), 10**12).map(float))
time = st.one_of(st.floats(0, 4e9), st.floats(allow_nan=False))
confidence: st.SearchStrategy[Any] = st.sampled_from(["confirmed", "likely", "possible", "cannot_tell"])
onset = st.builds(Onset, at=time, earliest=time, latest=time, of=text)
chart = st.builds(
    Chart,
    title=text,
    unit=st.sampled_from(["ms", "share", "bytes", "requests/s", "", "<!here>"]),
    start=st.floats(0, 4e9),
    step=st.sampled_from([0.001, 1.0, 30.0, 7_000.0]),
    curves=st.lists(
        st.builds(Curve, label=text, values=st.lists(st.none() | number, max_size=130).map(tuple)),
        min_size=1,
        max_size=9,
    ).map(tuple),
    usual=st.none() | st.tuples(number, number),
    onset=st.none() | onset,
    marks=many(st.builds(Mark, at=time, kind=st.sampled_from(["onset", "change"]), what=text), 4),
    evidence=many(text, 3),
)
reports = st.builds(
    Report,
    schema=text,
    tree=text,
    tree_sha256=text,
    signatures_sha256=text,
    asked=st.just({}),
    collected_at=text,
    took_seconds=st.floats(0, 1e9),
    headline=text,
    verdict=st.builds(
        VerdictView,
        category=st.sampled_from(["gpu_memory", "cannot_tell", "load_test"]) | text,
        confidence=confidence,
        leaf=text,
        title=text,
        also=many(text),
    ),
    impact=many(text),
    why=many(st.builds(Fact, text=text, evidence=many(text, 3), quote=st.none() | text)),
    against=many(st.builds(Fact, text=text)),
    alternatives=many(
        st.builds(
            Alternative,
            category=text,
            confidence=confidence,
            leaf=text,
            title=text,
            separate=st.none() | text,
        )
    ),
    unseen=many(st.builds(Unseen, what=text, reason=text, detail=text, remedy=text)),
    actions=many(
        st.builds(
            Mitigation,
            do=text,
            command=st.none() | text,
            undo=text,
            blast_radius=text,
            verify=text,
            not_if=text,
        )
    ),
    models=many(
        st.builds(
            ModelLine,
            model=text,
            version=text,
            state=text,
            category=st.none() | text,
            line=st.none() | text,
            blames=st.none() | text,
            fix=st.none() | text,
            subject=text,
        )
    ),
    timeline=many(st.builds(Moment, at=text, what=text, evidence=text)),
    path=many(
        st.builds(
            PathStep,
            node=text,
            ask=text,
            answer=st.sampled_from(["yes", "no", "unknown"]),
            because=text,
            evidence=many(text, 2),
        )
    ),
    evidence=many(
        st.builds(
            EvidenceLine,
            id=text,
            source=text,
            query=text,
            command=text,
            fetched_at=text,
            got=text,
            masked=st.just(0),
            sha256=text,
        )
    ),
    masked=st.integers(0, 10**6),
    freeze=st.none() | text,
    onset=st.none() | onset,
    charts=st.lists(chart, max_size=7).map(tuple),
)
alerts = many(
    st.builds(
        Alert,
        fingerprint=text,
        name=text,
        severity=st.sampled_from(["critical", "warning"]) | text,
        firing=st.booleans(),
        starts_at=time,
        summary=text,
        runbook_url=text,
        source_url=text,
    )
)
incidents = st.builds(
    Incident,
    name=st.just("hostile-1"),
    namespace=text,
    workload=text,
    tree=st.sampled_from(["p99", "load-failure"]) | text,
    model=text,
    began=st.sampled_from(["alert", "unready_pods"]),
    state=st.sampled_from(["open", "resolved", "closed"]),
    work=st.sampled_from(["waiting", "running", "done", "failed"]),
    opened_at=time,
    resolved_at=st.none() | time,
    reopened=st.integers(0, 3),
    alerts=alerts,
    truncated_alerts=st.integers(0, 10**6),
    refused=st.just("") | text,
    progress=text,
    preliminary=st.booleans(),
    report=st.none() | reports,
    failure=st.just("") | text,
    bundle=text,
    outcome=st.none()
    | st.builds(Outcome, at=time, worked=st.sampled_from(["yes", "no", "unknown"]), said=text),
    same_as=st.just("") | text,
    also=many(text),
    posted=st.dictionaries(
        st.sampled_from(["root", "details", "details-2", "details-3"]),
        st.builds(Posted, digest=st.just("x"), ts=st.just("1.0"), maybe_twice=st.booleans()),
    ),
)


def within_limits(message: Message) -> None:
    blocks = json.loads(json.dumps(message.blocks))
    assert complaints(blocks) == []
    assert total(blocks) <= MOST_WEIGHT
    assert len(blocks) <= BLOCKS
    assert said(message.blocks) <= MESSAGE_CHARS
    assert 1 <= len(message.text.strip()) <= MOST_TEXT
    json.dumps(blocks, ensure_ascii=False).encode()


@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate])  # a whole report takes minutes to shrink
@given(incidents, st.booleans())
def test_no_text_breaks_a_limit_or_does_anything(incident: Incident, charts: bool) -> None:
    told = messages(incident, charts=charts)
    assert next(iter(told)) == "root"
    for message in told.values():
        within_limits(message)
        assert effects(message.text, json.loads(json.dumps(message.blocks))) == []
        shortest = only_text(message, "All of it: triton-triage report x")
        within_limits(shortest)
        assert effects(shortest.text, json.loads(json.dumps(shortest.blocks))) == []
    line = message_line(told["root"])
    assert 0 < size(line) <= LINE_CHARS
    assert "triton-triage report hostile-1" in json.dumps(told["root"].blocks[-1])
    assert messages(incident, charts=charts) == told


def test_letters_that_count_twice_find_room_on_a_lock_screen() -> None:
    report = told().report
    assert report is not None
    headline = "\N{PARROT}" * 80 + ". and then " + "\N{PARROT}" * 60
    parrots = told(report=msgspec.structs.replace(report, headline=headline))
    assert size(message_line(messages(parrots)["root"])) <= LINE_CHARS


def message_line(root: Message) -> str:
    return str(root.blocks[0]["elements"][0]["elements"][0]["text"])


@pytest.mark.parametrize(
    "text", [text for text in HOSTILE if text.strip() and len(text) < 60 and text.isascii()]
)
def test_the_judge_of_this_file_sees_what_hostile_text_does_where_it_is_markup(text: str) -> None:
    """Else the test above could not fail. What is escaped, quoted or of control characters does nothing even there."""
    does = effects(text, [{"type": "section", "text": {"type": "mrkdwn", "text": text}}])
    harmless = text in ("&lt;!channel&gt;", "> quoted", "\n\n- FIX everything\n\n") or "\x1b" in text
    assert bool(does) is not harmless


def test_a_log_line_is_shown_as_it_is() -> None:
    """Nothing of a quotation is lost but what hides or turns text."""
    line = "E0728 <!channel> *no* `ls` :smile: https://evil.example/x ``` & <b> \u202eend"
    report = told().report
    assert report is not None
    fact = Fact(text="It says so.", quote=line)
    told_of = messages(told(report=Report(**{**_fields(report), "why": (fact,)})))
    boxes = [
        element["elements"][0]["text"]
        for block in told_of["root"].blocks
        for element in block["elements"]
        if element["type"] == "rich_text_preformatted"
    ]
    assert boxes == [line.replace("\u202e", "")]


def test_a_command_that_hides_something_is_not_offered() -> None:
    report = told().report
    assert report is not None
    hidden = Mitigation(
        do="Scale.",
        command="kubectl scale \u202e--replicas=0",
        undo="",
        blast_radius="",
        verify="",
        not_if="",
    )
    shown = json.dumps(
        messages(told(report=Report(**{**_fields(report), "actions": (hidden,)})))["details"].blocks
    )
    assert "--replicas=0" not in shown
    assert "take it from the whole report" in shown


def test_an_incident_of_hostile_names_calls_nobody_but_whom_the_configuration_names() -> None:
    hostile = incident(workload="deployment/<!channel>", namespace="<@U0VICTIM>", model="<!here>")
    root = messages(hostile, mentions={"critical": ["<!subteam^S0ONCALL>"]})["root"]
    assert effects(root.text, root.blocks) == ["call <!subteam^S0ONCALL>", "call S0ONCALL"]


def _fields(report: Report) -> dict[str, Any]:
    return {name: getattr(report, name) for name in Report.__struct_fields__}
