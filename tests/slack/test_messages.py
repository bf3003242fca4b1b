"""What the thread of an incident says, as a person reads it who was woken by it."""

import json

import pytest

from tests.incidents.test_recorded import NAMES
from tests.slack.block_kit import complaints, shown
from tests.slack.stories import ALERT, changed, incident, load_failure, slow_requests, told
from triage.oncall.incident import Incident, Outcome
from triage.report import Mitigation, Unseen
from triage.slack.first_line import first_line
from triage.slack.kept import Kept
from triage.slack.limits import LINE_CHARS, size
from triage.slack.messages import messages


def thread(incident: Incident, **how: object) -> dict[str, str]:
    return {part: shown(message.blocks) for part, message in messages(incident, **how).items()}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
def test_line_1_of_a_real_report_says_what_to_do_and_how_sure_that_is(name: str) -> None:
    report = slow_requests(name)
    line = first_line(told(report=report))
    assert size(line) <= LINE_CHARS
    assert line.startswith(("FIX requests of ", "Do nothing"))
    assert line.endswith(f" {report.verdict.confidence.upper()}.")
    if line.startswith("FIX"):
        # Past the cause, into what to do.
        assert len(line.split("): ", 1)[1]) > 25


@pytest.mark.parametrize("name", NAMES)
def test_a_real_report_is_told_whole_in_at_most_three_messages(name: str) -> None:
    report = slow_requests(name)
    said = thread(told(report=report))
    details = "\n".join(text for part, text in said.items() if part.startswith("details"))
    assert len(said) <= 4
    assert all(
        complaints(json.loads(json.dumps(m.blocks))) == [] for m in messages(told(report=report)).values()
    )
    assert "left out here" not in details
    assert f", tree p99 {report.tree_sha256[:12]}, " in details
    for action in report.actions[:6]:
        assert not action.command or f"| {action.command}" in details
    assert [details.index(title) for title in ORDER if title in details] == sorted(
        details.index(title) for title in ORDER if title in details
    )


ORDER = (
    "Freeze first",
    "\nDo\n",
    "What moved",
    "Against it",
    "Could not see",
    "Timeline",
    "Path",
    "Evidence",
)


def test_the_whole_root_of_a_load_failure() -> None:
    said = thread(
        told(
            "prod-web-load",
            report=load_failure(),
            tree="load-failure",
            model="",
            alerts=(),
            first_severity="warning",
            began="unready_pods",
        )
    )
    assert said["root"].splitlines() == [
        "FIX m (GPU memory): Free memory for m. LIKELY.",
        "warning: deployment/web in prod, since 02:13:18 UTC",
        "Impact",
        "- failed to load: top, m",
        "- fails with it: top",
        "- loaded: a",
        "",
        "Why",
        "- The GPU is full.",
        "",
        "| E0728 12:00:00.000000 1 model_lifecycle.cc:654] failed to load 'm' version 1: device memory ran out",
        "",
        "- m failed to load.",
        "",
        "Alerts",
        "- no alert: pods stay unready with a failed model",
        "",
        "All of it: triton-triage report prod-web-load or kubectl get triagereport prod-web-load -o yaml",
    ]


def test_while_one_looks_it_says_for_which_alert_since_when_and_how_far() -> None:
    said = thread(incident(progress="5 sources answered"))["root"]
    assert (
        said.splitlines()[0]
        == "LOOKING at deployment/web in prod for TritonLatencyBudgetBurns, since 02:13 UTC."
    )
    assert "Being looked at. 5 sources answered" in said
    assert "ranker burns its error budget" in said
    assert "Waits for its turn" in thread(incident(work="waiting"))["root"]


def test_a_preliminary_report_says_so_twice() -> None:
    said = thread(told(preliminary=True))["root"]
    assert said.startswith("So far: FIX requests of ranker")
    assert "PRELIMINARY" in said


def test_a_refused_incident_says_why_and_what_to_do_and_has_no_details() -> None:
    said = thread(
        told(refused="namespace prod is not one that this service may look at; add it to namespaces")
    )
    assert list(said) == ["root"]
    assert said["root"].startswith("NOT LOOKED AT: namespace prod is not one that this service may look at")
    assert (
        "| triton-triage p99 -n prod deployment/web --model ranker --at 2026-11-23T02:13:10Z" in said["root"]
    )


def test_a_failed_triage_says_so_and_gives_the_command_to_run_by_hand() -> None:
    said = thread(incident(work="failed", failure="the child process was killed: out of memory"))["root"]
    assert said.startswith(
        "LOOK BY HAND at deployment/web in prod: its triage failed: the child process was killed: out of memory"
    )
    assert "| triton-triage p99 -n prod deployment/web --model ranker --at 2026-11-23T02:13:10Z" in said


def test_a_command_by_hand_is_quoted_for_the_shell() -> None:
    said = thread(incident(work="failed", failure="x", model="a; rm -rf /", workload="deployment/$(id)"))[
        "root"
    ]
    assert "-n prod 'deployment/$(id)' --model 'a; rm -rf /'" in said


def test_the_same_cause_is_told_at_the_other_incident_alone() -> None:
    link = "https://team.slack.com/archives/C1/p1"
    said = thread(told(same_as="prod-api-p99"), links={"prod-api-p99": link})
    assert list(said) == ["root"]
    assert said["root"].startswith("SAME CAUSE as prod-api-p99, told there. deployment/web in prod.")
    assert "The cause and what to do are told at prod-api-p99: that thread" in said["root"]
    assert "told at prod-api-p99." in thread(told(same_as="prod-api-p99"))["root"]
    assert not messages(told(same_as="x"), mentions={"critical": ["<!here>"]})["root"].text.endswith(
        "<!here>"
    )


def test_what_else_the_cause_hits_is_listed_with_a_count_of_the_rest() -> None:
    said = thread(told(also=tuple(f"prod/deployment/web-{number}" for number in range(49))))["root"]
    assert "- prod/deployment/web-19\n- 29 more" in said


def test_alerts_that_nobody_told_of_are_said() -> None:
    said = thread(incident(alerts=(ALERT,) * 7, truncated_alerts=3))["root"]
    assert "- 2 more" in said
    assert "Alertmanager left out 3 alerts more; nothing is known of them" in said


@pytest.mark.parametrize(
    ("worked", "said"),
    [("yes", "IT WORKED: "), ("no", "IT DID NOT WORK: "), ("unknown", "CANNOT TELL WHETHER IT WORKED: ")],
)
def test_whether_it_worked_is_said_by_what_was_measured(worked: str, said: str) -> None:
    outcome = Outcome(at=1.0, worked=worked, said="the 99th percentile is 280 ms")  # type: ignore[arg-type]
    text = thread(told(state="closed", resolved_at=1_795_400_500.0, outcome=outcome))["outcome"]
    assert text.startswith(f"{said}the 99th percentile is 280 ms")
    assert ("To look again:" in text) is (worked == "no")


def test_rows_that_find_no_room_are_counted_and_the_first_line_stays() -> None:
    action = Mitigation(
        do="d " * 240,
        command="c" * 690,
        undo="u " * 190,
        blast_radius="b " * 190,
        verify="v " * 190,
        not_if="n " * 190,
    )
    gap = Unseen(what="w " * 90, reason="timeout", detail="d " * 90, remedy="r " * 110)
    report = changed(slow_requests(), actions=(action,) * 9, unseen=(gap,) * 30)
    said = thread(told(report=report))
    assert list(said) == ["root", "details", "details-2", "details-3"]
    assert "- 3 more" in "".join(said.values())
    assert "more rows left out here. All of it: triton-triage report prod-web-p99" in said["details-3"]


def test_how_to_get_the_whole_works_where_it_is_typed() -> None:
    """The record is in the service's namespace, not in the workload's; a folder is on the service's own disk."""
    there = thread(told(), kept=Kept(namespace="triage"))
    for part in ("root", "details-2"):
        assert there[part].endswith(
            "triton-triage report prod-web-p99 -n triage or kubectl get triagereport prod-web-p99 -n triage -o yaml"
        )
    folder = thread(told(), kept=Kept(folder="/var/lib/triton triage"))["root"]
    assert folder.endswith("All of it: triton-triage report prod-web-p99 --folder '/var/lib/triton triage'")


def test_a_message_is_what_it_was_before_as_long_as_nothing_changed() -> None:
    assert messages(told()) == messages(told())
    assert messages(told())["root"].digest != messages(told(preliminary=True))["root"].digest


def test_an_end_that_nobody_told_is_not_said_to_be_one() -> None:
    said = thread(told(state="resolved", resolved_at=1_795_400_500.0, unheard=True))["resolved"]
    assert "Nothing was heard of its alerts any more at 02:21:40 UTC: whether they fire is not known." in said
    assert "No alert fires" not in said
