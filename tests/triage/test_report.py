"""The report: what to do first, every sentence with its evidence, and nothing out of a log that a shell or a terminal obeys."""

import shlex

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.triage.snapshots import (
    GAVE_UP,
    RULES,
    SERVING,
    container,
    evidence,
    failed,
    gone,
    index,
    loaded,
    loading,
    log,
    own,
    pod,
    pods,
    previous_log,
    ready,
    report,
    unavailable,
    verdict,
)
from triage.evidence import PodView, Readiness
from triage.render_json import render_json
from triage.render_text import render_text
from triage.report import Moment, Report
from triage.seal import printable

OUT = "device memory ran out"


@pytest.mark.parametrize(
    ("told", "headline"),
    [
        (report(log(failed("m", OUT)), index(unavailable("m", OUT))), "FIX m (GPU memory): Free memory for m. CONFIRMED."),
        (report(log(own(OUT), GAVE_UP)), "FIX the server (GPU memory): Free memory for MODEL. LIKELY."),
        (report(log(own("port in use"))), "DO NOTHING about model loading: Another process has the port. POSSIBLE."),
        (report(log(loaded("m"))), "DO NOTHING about model loading: 1 model loaded and none failed. LIKELY."),
        (report(log(failed("m"))), "CANNOT TELL m: a cause that no line names. Get the log from the start of the process"
         " to the failure, with --log-verbose=1 where it can be set, and ask again."),
        (report(log(loaded("m")), model="typo"), "CANNOT TELL typo: no source names it. Is --model right? They name m."),
        (report(), "CANNOT TELL: nothing seen. Give a source that answers: the server's log, or its address."),
        (report(gone("log")), "CANNOT TELL: no right; get the right."),
    ],
)  # fmt: skip
def test_the_first_line_is_the_action_and_how_sure_it_is(told: Report, headline: str) -> None:
    assert told.headline == headline


def test_a_report_of_nothing_has_no_facts_and_says_how_to_get_some() -> None:
    told = report(gone("log", "not_found"))
    assert (told.impact, told.why, told.against, told.models, told.timeline) == ((), (), (), (), ())
    assert [(gap.what, gap.reason, gap.remedy) for gap in told.unseen] == [
        ("log", "not_found", "get the right")
    ]
    assert [(step.node, step.answer) for step in told.path] == [("seen", "no")]


def test_every_fact_names_the_evidence_that_it_stands_in() -> None:
    told = report(log(failed("m", OUT)), index(unavailable("m", OUT)))
    assert [(fact.text, fact.evidence, fact.quote) for fact in told.why] == [
        ("The GPU is full.", ("log",), failed("m", OUT)),
        ("m failed to load.", ("log", "index"), None),
        ("the repository index has m UNAVAILABLE for the same reason.", ("index",), None),
    ]
    assert {item.id for item in told.evidence} >= {id for fact in told.why for id in fact.evidence}


def test_what_speaks_against_it_and_what_was_not_seen_is_told() -> None:
    serves = evidence("readiness:m", "readiness", Readiness(200, "m", "1"))
    told = report(log(failed("m", OUT), cut=True), serves)
    assert [fact.text for fact in told.against] == ["Triton says that m is ready"]
    assert [(gap.what, gap.reason) for gap in told.unseen] == [
        ("log", "truncated"),
        ("a second source, which is not a log, that shows the same failure", "not_given"),
        ("who held the GPU's memory when the load began", "not_given"),
    ]


def test_the_impact_says_who_fails_who_fails_with_it_and_who_serves() -> None:
    lines = (failed("top", "'top' needs 'm'"), failed("m", OUT), loaded("a"), *map(loaded, "bcdefgh"))
    assert report(log(*lines)).impact == (
        "failed to load: top, m",
        "fails with it: top",
        "loaded: a, b, c, d, e, f and 2 more",
    )
    assert report(log(loaded("m"), loading("m"), failed("m"))).impact == (
        "failed to load: m",
        "m had loaded before: the earlier version may still serve",
    )
    assert report(log(GAVE_UP)).impact == ("the server did not start, so no model of this server is served",)


def test_a_version_that_failed_beside_one_that_serves_is_told_and_does_not_speak_against_itself() -> None:
    as_a_model = evidence("readiness:m", "readiness", Readiness(200, "m"))
    by_version = evidence("readiness:m/1", "readiness", Readiness(400, "m", "1"))
    told = report(log(failed("m", OUT)), index(unavailable("m", OUT)), as_a_model, by_version)
    assert "m serves all the same, by another version: Triton says that the model is ready" in told.impact
    assert (told.verdict.confidence, told.against) == ("confirmed", ())


def test_the_failing_pod_is_spoken_of_and_not_the_well_one_or_the_list() -> None:
    well = (pod("web-1", is_ready=True), log(loaded("m"), SERVING, pod="web-1"))
    bad = (pod("web-2", container()), log(failed("m", OUT), pod="web-2"))
    told = report(pods("web-1", "web-2", unready=("web-2",)), *well, *bad)
    assert (told.verdict.category, told.verdict.confidence) == ("gpu_memory", "likely")
    assert told.impact[0] == "1 of 2 pods not ready: web-2"
    assert [(row.subject, row.state) for row in told.models] == [("web-2", "failed"), ("web-1", "loaded")]


def test_pods_that_are_all_well_are_well() -> None:
    """The list of the pods, or a log file that is not there, is a case of its own and tells nothing."""
    well = [part for name in ("web-1", "web-2") for part in
            (pod(name, is_ready=True), log(loaded("m"), SERVING, pod=name))]  # fmt: skip
    told = report(pods("web-1", "web-2"), gone("log", "not_found"), *well)
    assert (told.verdict.category, told.verdict.confidence) == ("not_a_load_failure", "confirmed")
    assert told.impact[0] == "2 of 2 pods ready"


def test_one_unclear_pod_is_told_before_the_well_ones() -> None:
    well = (pod("web-1", is_ready=True), log(loaded("m"), SERVING, pod="web-1"))
    assert verdict(pods("web-1", "web-2"), *well, pod("web-2"), gone("log", pod="web-2"))[0] == "cannot_tell"


def test_a_log_by_hand_belongs_to_the_only_pod() -> None:
    ended = pod("web-1", container("terminated: Error, exit code 1", exit_code=1))
    told = report(pods("web-1"), ended, log(failed("m", OUT), GAVE_UP))
    assert (told.verdict.category, told.verdict.confidence, told.verdict.model) == (
        "gpu_memory",
        "confirmed",
        "m",
    )


def test_pods_that_could_not_be_read_are_not_counted() -> None:
    assert report(gone("pod", pod="web-1"), log(failed("m"), pod="web-1")).impact == ("failed to load: m",)


def test_the_timeline_is_in_the_order_of_the_log_over_midnight_and_lives() -> None:
    def at(time: str, model: str) -> str:
        return loaded(model).replace("12:00:00", time)

    told = report(log(at("23:59:59", "a"), at("00:00:01", "b")), previous_log(at("23:00:00", "c")))
    assert told.timeline == (
        Moment(at="23:00:00.000000", what="c loaded", evidence="previous_log"),
        Moment(at="23:59:59.000000", what="a loaded", evidence="log"),
        Moment(at="00:00:01.000000", what="b loaded", evidence="log"),
    )


HOSTILE = "x; rm -rf ~ $(id) `id` '\" {model} {pod}"


def test_a_command_is_one_a_shell_takes_apart_as_it_was_meant() -> None:
    facts = PodView(HOSTILE, HOSTILE, "Running", False, containers=(container(name=HOSTILE),))
    told = report(evidence("pod", "pod", facts, pod="web-1"), log(loading("m"), pod="web-1"))
    assert told.actions[0].command is not None
    *command, script = shlex.split(told.actions[0].command)
    assert command == ["kubectl", "-n", HOSTILE, "exec", HOSTILE, "-c", HOSTILE, "--", "sh", "-c"]
    assert script.startswith("for p in /proc/[0-9]*; do tr ")


def test_a_name_between_backquotes_is_quoted_and_a_brace_in_it_is_no_placeholder() -> None:
    told = report(index(unavailable(HOSTILE, "no version of 'm'")))
    assert told.actions[0].do == f"Run `ls {shlex.quote(HOSTILE)}`."
    assert told.models[0].fix == "Run `ls m`."


def test_a_command_that_names_what_is_not_known_is_left_out() -> None:
    told = report(log(loading("m")))
    assert [action.command for action in told.actions] == [None, None]
    assert "or the log gets a line about MODEL" in told.actions[0].verify


def test_what_a_json_string_in_a_log_hides_does_not_reach_a_terminal() -> None:
    line = own(
        r'"failed to load ' + r"'m\u001b[31m\u202e\ud800' version 1: Exception: \u001b]0;x\u0007y" + '"'
    )
    told = report(log(line))
    assert told.verdict.model == "m\ufffd"
    assert told.actions[0].do == "Mend: y."
    for text in (render_text(told), render_json(told)):
        assert printable(text) == text.encode().decode()


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_name_and_any_line_make_a_report(name: str, line: str) -> None:
    told = report(
        log(own(f"failed to load '{name}' version 1: {line}"), line),
        index(unavailable(name, line)),
        pod(name),
    )
    for text in (render_text(told), render_json(told)):
        assert printable(text) == text.encode().decode()


def test_ten_thousand_models_make_a_report_that_can_be_read() -> None:
    told = report(index(*(unavailable(f"m{n}", "x" * 1000) for n in range(10_000))))
    assert (len(told.models), told.impact) == (
        50,
        ("failed to load: m0, m1, m10, m100, m1000, m1001 and 9994 more",),
    )
    assert len(render_text(told)) < 30_000


def test_a_name_without_end_is_cut() -> None:
    told = report(log(failed("m" * 16_000, OUT), failed("n" * 16_000, OUT)))
    assert max(map(len, render_text(told).splitlines())) < 700


def test_a_log_that_prints_every_known_sentence_makes_a_report() -> None:
    every = [example for row in RULES.signatures.all for example in row.matches]
    told = report(log(*every, *map(failed, every), *map(own, every)))
    assert told.verdict.confidence in ("likely", "possible")
    assert len(render_text(told)) < 30_000


def test_the_report_follows_the_asked_model_where_several_fail() -> None:
    found = log(failed("a", OUT), failed("b", "Exception: x"))
    assert verdict(found) == ("gpu_memory", "likely", "a")
    assert verdict(found, model="b") == ("model_code", "likely", "b")


KEYS = """
schema tree tree_sha256 signatures_sha256 asked{model tree} collected_at took_seconds headline
verdict{category confidence leaf model version root_line action signature title also}
impact[] why[text evidence quote] against[text evidence quote] alternatives[]
unseen[what reason detail remedy] actions[do command undo blast_radius verify not_if]
models[model version state category line blames fix subject] timeline[at what evidence]
path[node ask answer because evidence] evidence[id source query command fetched_at got masked sha256] masked
freeze onset charts[] gpus
"""


def test_the_keys_of_the_json_are_those_of_its_schema() -> None:
    """A key that is added, renamed or gone is another schema's, or belongs in this list."""
    serves = evidence("readiness:m", "readiness", Readiness(200, "m", "1"))
    told = msgspec.json.decode(
        render_json(report(log(failed("m", OUT)), serves, index(ready("n")), model="m"))
    )
    assert told["schema"] == "triton-ops/triage-report/v1"

    def keys(value: object) -> str:
        if isinstance(value, dict):
            return "{" + " ".join(value) + "}"
        inner = (
            keys(value[0])[1:-1] if isinstance(value, list) and value and isinstance(value[0], dict) else ""
        )
        return f"[{inner}]" if isinstance(value, list) else ""

    asked = "{" + " ".join(sorted(told["asked"])) + "}"
    names = [name + (asked if name == "asked" else keys(value)) for name, value in told.items()]
    assert names == _words(KEYS)


def _words(text: str) -> list[str]:
    """Split at spaces outside brackets."""
    words, depth = [""], 0
    for character in " ".join(text.split()):
        depth += (character in "[{") - (character in "]}")
        if character == " " and not depth:
            words.append("")
        else:
            words[-1] += character
    return words


def test_what_is_said_while_the_loaded_models_serve_is_of_a_request() -> None:
    asked = f"E0728 12:00:00.000000 1 http_server.cc:3605] {OUT}"
    told = report(log(loading("m"), loaded("m"), SERVING, asked))
    assert told.headline == "DO NOTHING about model loading: 1 model loaded and none failed. LIKELY."
    assert (told.why[0].text, told.why[0].quote) == (
        "This was said after the models had loaded and the ports were open, so by a request and not by a load.",
        asked,
    )
    for lines in (
        (loading("m"), loaded("m"), asked),  # the ports were not open yet
        (SERVING, asked),  # nothing loaded
        (loaded("m"), SERVING, loading("n"), asked),  # a load is under way
        (loaded("m"), SERVING, failed("n"), asked),
        (loaded("m"), SERVING, own(OUT)),  # whoever manages the models speaks of models
    ):
        assert report(log(*lines)).verdict.category != "not_a_load_failure", lines


def test_an_instance_that_the_python_backend_calls_a_model_is_the_model_that_loaded() -> None:
    stub = "E0728 12:00:00.000000 1 pb_stub.cc:700] no version of 'm_0'"
    assert [row.model for row in report(log(loading("m"), failed("m"), stub)).models] == ["m"]
    assert [row.model for row in report(log(loading("m_0"), loading("m"), stub)).models] == ["m_0", "m"]
    assert {row.model for row in report(log(loading("m"), own("no version of 'm_0'"))).models} == {"m", "m_0"}
