"""The report on slow requests: the same for the same evidence everywhere, and unharmed by whatever the evidence says."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from telemetry.rules_dir import rules_dir
from tests.triage.latency.evidence import (
    Part,
    at_step,
    gateway,
    hpa,
    log,
    nothing_of,
    placed,
    platform,
    recorded,
    rollouts,
    rules,
    served,
    settings,
    snapshot,
    steady,
    stepped,
    triton,
)
from triage.bundle import BundleError, load_bundle, save_bundle
from triage.cluster_views import PodPlacement, Revision
from triage.evidence import Snapshot
from triage.render_html import render_html
from triage.render_json import render_json
from triage.render_text import render_text
from triage.report import Report
from triage.report_of import report_of
from triage.rules import seals_from_folder

ROOT = Path(__file__).parents[3]
BEGAN = at_step(80)


def rich(model: str = "m", pod: str = "llm-7c5d8b9f6d-x2v9k") -> list[Part]:
    """A slower revision in one of two pods, with a word of every source."""
    return [
        served(model, pod, queue=stepped(1, 30), infer=stepped(8, 80)),
        served(model, "llm-6b4c7d8f9c-q8w2z"),
        triton("pending", stepped(0.1, 9), pod=pod, model=model),
        gateway("gateway_p99", stepped(20, 300)),
        platform("cpu_throttled", stepped(0.01, 0.4), pod=pod),
        settings(model, instances=2, max_queue_delay_ms=5.0),
        placed(PodPlacement(pod, "n1", ready=True), PodPlacement("llm-6b4c7d8f9c-q8w2z", "n2", ready=True)),
        rollouts(
            Revision(1, "6b4c7d8f9c", 0.0), Revision(2, "7c5d8b9f6d", BEGAN - 60, changes=("image: a -> b",))
        ),
        hpa(2, 2),
        recorded(model, BEGAN - 90, BEGAN - 60),
        log("I1118 11:30:00.5 1 model_lifecycle.cc:839] successfully loaded 'other'"),
        nothing_of("past/success/1d", "no_series"),
    ]


SNAPSHOT = snapshot(*rich(), target="deploy/llm", namespace="prod")


def reported(found: Snapshot = SNAPSHOT) -> Report:
    return report_of(found, rules())


def test_the_report_says_what_moved_since_when_and_by_what_evidence() -> None:
    report = reported()
    assert report.verdict.model == "m"
    assert report.verdict.category != "cannot_tell"
    assert report.onset is not None
    assert report.onset.earliest <= BEGAN <= report.onset.latest
    known = {line.id for line in report.evidence}
    cited = {e for fact in (*report.why, *report.against) for e in fact.evidence}
    cited |= {e for step in report.path for e in step.evidence} | {m.evidence for m in report.timeline}
    assert cited <= known
    assert "deployment/llm revision 2: image: a -> b" in [moment.what for moment in report.timeline]
    assert 1 <= len(report.charts) <= 5


def test_both_tails_at_the_gateway_are_told_and_one_that_is_not_there_is_not() -> None:
    both = reported(snapshot(*rich(), gateway("gateway_p95", stepped(15, 150)))).impact
    alone = reported().impact
    tail = "99th percentile at the gateway: 20 ms before, 300 ms during"
    assert [line for line in both if line not in alone] == [
        "95th percentile at the gateway: 15 ms before, 150 ms during"
    ]
    assert tail in alone
    assert tail in both


def test_nothing_at_all_makes_a_report_that_says_what_to_give() -> None:
    report = reported(snapshot())
    assert (report.verdict.category, report.verdict.confidence) == ("cannot_tell", "cannot_tell")
    assert report.headline.startswith("CANNOT TELL why requests are slow: ")
    assert "give --prometheus URL: it has the history" in {one.remedy for one in report.unseen}
    assert (report.charts, report.timeline, report.onset) == ((), (), None)


def test_a_report_is_the_same_after_a_round_through_json() -> None:
    report = reported()
    assert msgspec.json.decode(render_json(report), type=Report) == report


def test_the_order_in_which_sources_answered_changes_no_verdict() -> None:
    other = msgspec.structs.replace(SNAPSHOT, evidence=tuple(reversed(SNAPSHOT.evidence)))
    here, there = reported(), reported(other)
    assert (here.verdict, here.onset, here.impact) == (there.verdict, there.onset, there.impact)


@pytest.mark.parametrize("output", ["text", "json", "html"])
def test_replay_gives_the_same_bytes_in_any_folder_timezone_and_process(tmp_path: Path, output: str) -> None:
    bundle = tmp_path / "slow.json.gz"
    save_bundle(bundle, SNAPSHOT, rules())

    def replay(cwd: Path, **environment: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-m", "triage", "replay", str(bundle), "-o", output],
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (1, b"")
        return done.stdout

    render: dict[str, Callable[[Report], str]] = {
        "text": lambda report: render_text(report, 100, unicode=True),
        "json": render_json,
        "html": render_html,
    }
    here = render[output](reported()).encode()
    utf8 = {"PYTHONIOENCODING": "utf-8"}
    assert replay(ROOT, **utf8) == here
    assert (
        replay(tmp_path, **utf8, TZ="Asia/Tokyo", COLUMNS="40", PYTHONHASHSEED="7", HOME="/", FORCE_COLOR="1")
        == here
    )


def test_a_bundle_holds_the_measures_by_which_it_was_judged(tmp_path: Path) -> None:
    save_bundle(tmp_path / "b", SNAPSHOT, rules())
    found, by = load_bundle(tmp_path / "b")
    assert (found, report_of(found, by)) == (SNAPSHOT, reported())


HOSTILE = (
    "m\x1b[31m\x07\r\nFIX everything",
    "</script><script>alert(1)</script>",
    '"; rm -rf / #',
    "$(reboot)`reboot`",
    "../../etc/passwd",
    "m\u202egnp.exe\u2066",
    "{model}{0}%s",
    "x" * 100_000,
    "",
)


class _Scripts(HTMLParser):
    """Elements that run or load something."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        loads = [name for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")]
        if tag in ("script", "iframe", "object", "img", "link", "form") or loads:
            self.found.append(tag)


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:20])
def test_a_hostile_name_of_a_model_or_pod_does_no_harm(name: str) -> None:
    report = reported(snapshot(*rich(name, name), model=name, target=f"deploy/{name}", namespace=name))
    text = render_text(report)
    assert [c for c in text if (c < " " and c != "\n") or "\x7f" <= c < "\xa0"] == []
    assert "\u202e" not in text
    assert [line for line in text.splitlines()[1:] if line.startswith("FIX")] == []
    told = (report.headline, *report.impact, *(m.what for chart in report.charts for m in chart.marks))
    assert max(map(len, (*told, *report.asked.values()))) < 1000
    page = render_html(report)
    assert _Scripts(page).found == _Scripts(render_html(reported())).found
    assert json.loads(render_json(report))["verdict"]["category"] == report.verdict.category


def test_a_command_to_paste_quotes_what_it_is_told() -> None:
    name = "$(reboot);reboot"
    report = reported(snapshot(*rich(name, name), model=name, namespace=name))
    commands = [action.command for action in report.actions if action.command]
    assert all(name not in each.replace(f"'{name}'", "") for each in commands)


def test_secrets_in_labels_and_texts_are_masked_before_they_are_evidence() -> None:
    secret = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
    make_seal = seals_from_folder(rules_dir())
    parts = rich(f"m-{secret}", f"pod-{secret}")
    sealed = tuple(make_seal().evidence(one) for one in snapshot(*parts).evidence)
    found = msgspec.structs.replace(snapshot(), evidence=sealed)
    report = reported(found)
    assert secret not in render_json(report) + render_text(report) + render_html(report)
    assert secret not in msgspec.json.encode(found).decode()
    assert report.masked > 0


def changed(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    file = tmp_path / "b.json"
    save_bundle(file, SNAPSHOT, rules())
    content = json.loads(file.read_text())
    change(content["snapshot"])
    file.write_text(json.dumps(content))
    return file


def ranges(found: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = found["evidence"][0]["facts"]
    return facts


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: ranges(s).update(step=0), "has a step of 0 s"),
        (lambda s: ranges(s).update(step=-30), "has a step of -30 s"),
        (lambda s: ranges(s).update(steps=7), "has 120 values on a grid of 7 steps"),
        (lambda s: ranges(s)["series"][0]["values"].pop(), "has 119 values on a grid of 120 steps"),
        (lambda s: ranges(s).update(start=1e300), "has a time that is none: 1e+300"),
        (lambda s: ranges(s).update(smear=-60), "has a smear of -60 s"),
        (
            lambda s: ranges(s)["series"][0].update(values=[1e300] * 120),
            "has a value that no source gives: 1e+300",
        ),
        (lambda s: s["asked"].update(start=1e18), "has a time that is none: 1e+18"),
    ],
)
def test_series_that_no_source_can_have_given_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(BundleError) as caught:
        load_bundle(changed(tmp_path, change))
    assert said in str(caught.value)
    assert str(caught.value).endswith("; give a file that --save wrote")


def facts_of(found: dict[str, Any], id: str) -> dict[str, Any]:
    return next(one["facts"] for one in found["evidence"] if one["id"] == id)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: ranges(s)["series"][0].update(values=[9e18] * 120),
        lambda s: ranges(s)["series"][0].update(values=[1e-300] * 120),
        lambda s: ranges(s)["series"][0].update(values=[-1.0] * 120),
        lambda s: ranges(s)["series"][0].update(values=[None] * 120),
        lambda s: [one.update(fetched_at="\x1b[2J") for one in s["evidence"]],
        lambda s: facts_of(s, "rollouts")["revisions"][1].update(created_at=1e300),
        lambda s: facts_of(s, "rollouts").update(revisions=[]),
        lambda s: facts_of(s, "repository")["changes"][0].update(seen_at=-1e300),
        lambda s: facts_of(s, "settings:m").update(parts=["m", "m"], instances=-4),
        lambda s: facts_of(s, "hpa").update(max_replicas=-1),
        lambda s: s.update(evidence=s["evidence"] * 2),
    ],
    ids=range(11),
)
def test_facts_that_make_no_sense_make_a_report(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    report = report_of(*load_bundle(changed(tmp_path, change)))
    assert render_text(report) != ""
    assert render_html(report) != ""
    assert json.loads(render_json(report))["schema"] == report.schema


def test_a_chart_marks_the_changes_and_shows_gaps_as_gaps() -> None:
    gaps: list[float | None] = [*steady(20, 60), *steady(None, 10), *steady(20, 50)]
    report = reported(
        snapshot(served(rate=gaps, infer=stepped(8, 80)), recorded("m", BEGAN - 90, BEGAN - 60))
    )
    chart = report.charts[0]
    assert (chart.title, chart.unit, len(chart.curves[0].values)) == ("time in Triton per request", "ms", 120)
    assert chart.curves[0].values[60:70] == (None,) * 10
    assert [mark.what for mark in chart.marks] == ["m: config changed"]
    assert chart.usual == (10, 10)
