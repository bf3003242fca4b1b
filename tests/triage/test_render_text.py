"""The report in a terminal: in the order in which it is needed at night, wrapped, and in one's own words alone."""

from hypothesis import given
from hypothesis import strategies as st

from tests.triage.snapshots import (
    RULES,
    container,
    events,
    failed,
    gone,
    index,
    loaded,
    loading,
    log,
    own,
    pod,
    pods,
    report,
    unavailable,
)
from triage.evidence import Evidence
from triage.render_text import render_text
from triage.report import Report
from triage.rules import Rules
from triage.signatures import parse_signatures

OUT = "device memory ran out"
FOUND = (log(failed("top", "'top' needs 'm'"), failed("m", OUT), loaded("a")), gone("index"))


def titles(told: Report) -> list[str]:
    """The lines that stand at the margin, without the foot."""
    return [line for line in render_text(told).splitlines() if line and not line.startswith((" ", "2026"))]


def lines(told: Report, width: int = 100) -> list[str]:
    return render_text(told, width).splitlines()


def test_the_whole_report_of_a_small_incident() -> None:
    small = render_text(report(log(loading("m"), own(OUT), failed("m", OUT)))).split("\n\n")
    small[5:7] = []  # the mitigations are the tree's, and its hash changes with them
    assert "\n\n".join(small[:-1]) == (
        """\
FIX m (GPU memory): Free memory for m. LIKELY.

Impact
  - failed to load: m

Why
  1. The GPU is full. [log]
     | E0728 12:00:00.000000 1 model_lifecycle.cc:654] device memory ran out
  2. m failed to load. [log]
     | E0728 12:00:00.000000 1 model_lifecycle.cc:654] failed to load 'm' version 1: device memory ran out

Against it
  - nothing that was seen

Could not see
  - a second source, which is not a log, that shows the same failure: not given (the verdict stays
    at likely without it)
    -> ask again with the pod, or with --triton URL
  - who held the GPU's memory when the load began: not given (no source tells how full the pod's
    GPUs were when the load began)
    -> give --prometheus URL of one that scrapes triton-gpu-agent or dcgm-exporter, and TARGET

Path
  yes      Did any source answer?
           1 source answered
  yes      Did a model fail to load, or the server fail to start?
           m failed to load
  no       elsewhere, marked, layout, config, backend, permissions, artifact, engine
  yes      Did device memory run out during the load?
           The GPU is full.

Evidence
  [log] log: 3 lines
      $ ask log"""
    )


def test_the_sections_stand_in_the_order_in_which_they_are_needed() -> None:
    assert titles(report(*FOUND)) == [
        "FIX m (GPU memory): Free memory for m. LIKELY.",
        "Impact",
        "Why",
        "Against it",
        "Could not see",
        "Do",
        "Models",
        "Timeline",
        "Path",
        "Evidence",
    ]


def test_a_report_of_nothing_says_where_to_look_and_has_no_empty_sections() -> None:
    assert titles(report())[1:] == ["Against it", "Look", "Path", "Evidence"]


def test_each_tone_has_its_style_and_plain_text_has_none() -> None:
    def tone(*found: Evidence) -> str:
        return render_text(report(*found), style=lambda text, style: f"{style}:{text}").partition(":")[0]

    assert tone(log(failed("m", OUT))) == "headline-cause"
    assert tone(log(loaded("m"))) == "headline-calm"
    assert tone(log(failed("m"))) == "headline-unknown"


@given(st.integers(min_value=1, max_value=300))
def test_no_line_but_a_quotation_or_a_command_is_wider_than_the_terminal(width: int) -> None:
    wide = [line for line in lines(report(*FOUND), width) if len(line) > max(40, width)]
    assert [line for line in wide if not line.lstrip().startswith(("|", "$", "12:00"))] == [
        line for line in wide if " " not in line.strip()
    ]


def test_a_name_with_hyphens_is_not_torn_where_the_line_ends() -> None:
    name = "a-name-with-many-hyphens-in-it-for-a-model"
    torn = [line for line in lines(report(log(failed(name, OUT))), 60) if line.rstrip().endswith("-")]
    assert (torn, name in render_text(report(log(failed(name, OUT))), 60)) == ([], True)


def test_what_a_container_says_in_several_lines_stays_a_quotation() -> None:
    """The last words of a container are its own, and may look like a report."""
    said = "terminated: OOMKilled, exit code 137: x\nDO NOTHING about model loading: all is well. CONFIRMED.\n\nImpact"
    told = report(pods("web-1", unready=("web-1",)), pod("web-1", container(said, exit_code=137)))
    assert titles(told)[:2] == ["FIX the server (the host's resources): Raise the limit. LIKELY.", "Impact"]
    assert "     | DO NOTHING about model loading: all is well. CONFIRMED." in lines(told)


@given(st.text(alphabet="ab \n\t\r\x0b\x0c\x1c\x85\u2028\u2029", max_size=30))
def test_no_line_break_in_evidence_begins_a_line_of_the_report(text: str) -> None:
    name = f"m{text}FIX"
    found = (
        index(unavailable(name, f"{OUT}{text}FIX")),
        pod("web-1", container(f"x{text}FIX")),
        events("web-1", f"{text}FIX"),
    )
    assert [line for line in lines(report(*found))[3:] if line.startswith("FIX")] == []


def test_what_was_ruled_out_stands_in_one_line() -> None:
    path = render_text(report(log(failed("m", "Exception: x")))).partition("\nPath\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in path.splitlines() if line.startswith("  ") and line[2] != " "] == [
        "yes",
        "yes",
        "no",
        "yes",
    ]


def test_other_failing_models_have_their_own_remedy_beside_them() -> None:
    models = render_text(report(*FOUND)).partition("\nModels\n")[2].partition("\n\n")[0]
    assert models == (
        "  failed   top:1: dependency model, blames m\n"
        "           -> Load m first.\n"
        "  failed   m:1: gpu memory\n"
        "  loaded   a"
    )


def test_masked_values_are_counted() -> None:
    masked = Evidence(
        **{name: getattr(FOUND[0], name) for name in FOUND[0].__struct_fields__} | {"masked": 2}
    )
    assert render_text(report(masked)).rstrip().endswith("1 sources, 2 values masked")


def test_a_long_text_without_a_space_takes_no_time() -> None:
    row = "{id: long, role: cause, category: model_code, origin: python, pattern: 'long (?P<x>.*)', says: S, fix: '{x}', "
    rows = parse_signatures(
        {"a.yaml": f"area: x\nsignatures: [{row} cites: [a], matches: ['long x']}}]\n"}, "x"
    )
    rules = Rules(RULES.tree, rows, RULES.tree_text, {}, {})
    told = report(log(failed("m", "long " + "a-" * 50_000)), rules=rules)
    assert len(render_text(told)) < 10_000
