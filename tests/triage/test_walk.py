"""How sure a verdict is: a word by rule, and never a surer one than the evidence allows."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.triage.snapshots import (
    GAVE_UP,
    RULES,
    SERVING,
    container,
    events,
    evidence,
    failed,
    gone,
    index,
    loaded,
    loading,
    log,
    own,
    pod,
    previous_log,
    ready,
    unavailable,
    verdict,
)
from triage.answers import view_of
from triage.case import make_case, primary
from triage.evidence import Evidence, Readiness
from triage.tree import Tree, parse_tree
from triage.walk import BANDS, Verdict, lower, walk

OUT = "device memory ran out"
SAME = index(unavailable("m", OUT))


def gaps(*found: Evidence) -> tuple[str, ...]:
    return walked(RULES.tree, *found)[0].gaps


def walked(tree: Tree, *found: Evidence) -> list[Verdict]:
    case = make_case("", found, RULES.signatures)
    return walk(tree, view_of(case, primary(case)))


@pytest.mark.parametrize(
    ("found", "word"),
    [
        ((log(failed("m", OUT)), SAME), "confirmed"),
        ((log(failed("m", OUT)),), "likely"),
        ((SAME,), "likely"),
        ((log(failed("m", OUT)), gone("index")), "likely"),
        ((log(failed("m", OUT)), index(unavailable("m", "no version of 'm'"))), "likely"),
        ((log(f"failed to load 'm' version 1: {OUT}"),), "possible"),
        ((log(f"failed to load 'm' version 1: {OUT}"), SAME), "confirmed"),
        ((log(failed("m"), "device memory ran out"),), "cannot_tell"),
        ((log(loading("m"), own(OUT), failed("m")),), "likely"),
        ((log(loading("m"), loading("n"), own(OUT), failed("m"), failed("n")),), "possible"),
        ((log(failed("m", "may be unreadable")),), "possible"),
        ((log(failed("m", "may be unreadable")), index(unavailable("m", "may be unreadable"))), "possible"),
        ((log(failed("m")),), "cannot_tell"),
    ],
)  # fmt: skip
def test_each_gap_lowers_the_word(found: tuple[Evidence, ...], word: str) -> None:
    assert verdict(*found)[1] == word


def test_each_contradiction_lowers_the_word_by_one() -> None:
    """The index has the failure, and a readiness path says that the model serves: an earlier version, or another server."""
    serves = evidence("readiness:m", "readiness", Readiness(200, "m", "1"))
    later = log(failed("m", OUT), loaded("m"))
    assert verdict(log(failed("m", OUT)), SAME)[1] == "confirmed"
    assert verdict(log(failed("m", OUT)), SAME, serves)[1] == "likely"
    assert verdict(later, SAME)[1] == "likely"
    assert verdict(later, SAME, serves)[1] == "possible"
    assert gaps(later, SAME, serves)[-2:] == (
        "against it: Triton says that m is ready",
        "against it: the log ends with m loaded",
    )


def test_every_gap_is_told() -> None:
    assert gaps(log("may be unreadable")) == (
        "not seen: a second source, which is not a log, that shows the same failure",
        "the telling line fits this cause and does not prove it",
        "no line names the mechanism",
        "the telling line is text without Triton's source file: anything may have printed it",
        "the telling line does not name the model; it stands within its load",
    )


def test_that_all_is_well_is_confirmed_by_the_index_alone_and_only_possible_by_anybodys_text() -> None:
    assert verdict(log(loaded("m"), SERVING), index(ready("m")))[:2] == ("not_a_load_failure", "confirmed")
    assert verdict(log(loaded("m"), SERVING), gone("index"))[:2] == ("not_a_load_failure", "likely")
    assert verdict(log("successfully loaded 'm'"))[:2] == ("not_a_load_failure", "possible")
    assert verdict(log("Started HTTPService at 0.0.0.0:8000"))[:2] == ("not_a_load_failure", "possible")
    assert verdict(log("port in use"))[:2] == ("not_a_load_failure", "possible")


def test_a_model_that_failed_is_not_well_whatever_harmless_line_stands_beside_it() -> None:
    assert verdict(log(own("port in use"), failed("m"))) == ("cannot_tell", "cannot_tell", "m")
    assert verdict(log(own("port in use"), failed("m", OUT))) == ("gpu_memory", "likely", "m")
    assert verdict(log(own("port in use"), loaded("m")))[:2] == ("not_a_load_failure", "likely")


def test_what_was_not_read_is_not_well() -> None:
    well = (loaded("m"), SERVING)
    assert verdict(log(*well, cut=True))[0] == "cannot_tell"
    assert verdict(log(*well), gone("log", pod="web-1"))[0] == "cannot_tell"
    assert verdict(index(ready("m")))[0] == "cannot_tell"
    assert verdict(log(*well), model="typo")[0] == "cannot_tell"
    assert verdict(log(failed("m", OUT), cut=True))[:2] == ("gpu_memory", "likely")


def test_what_the_cluster_says_of_a_pod_is_likely() -> None:
    killed = pod("web-1", container("terminated: OOMKilled, exit code 137", exit_code=137))
    assert verdict(killed)[:2] == ("host_resources", "likely")
    assert verdict(killed, log(loading("m"), pod="web-1"))[:2] == ("host_resources", "likely")


def test_a_server_that_gave_up_needs_no_model_named_and_its_exit_code_is_a_second_source() -> None:
    ended = pod("web-1", container("terminated: Error, exit code 1", exit_code=1))
    assert verdict(ended, log(own(OUT), GAVE_UP, pod="web-1"))[:2] == ("gpu_memory", "confirmed")
    assert verdict(log(own(OUT), GAVE_UP))[:2] == ("gpu_memory", "likely")
    assert verdict(log(own(OUT)))[:2] == ("gpu_memory", "possible")
    assert verdict(ended)[:2] == ("cannot_tell", "cannot_tell")


def test_a_load_that_has_not_ended_is_told_as_such() -> None:
    assert [v.leaf.id for v in walked(RULES.tree, log(loading("m")))] == ["hangs"]


SAYS: dict[str, Callable[[str], str]] = {
    "loaded": loaded,
    "loading": loading,
    "failed": failed,
    "out": lambda m: failed(m, OUT),
    "own": lambda m: own(OUT),
    "layout": lambda m: own(f"no version of '{m}'"),
    "blame": lambda m: own(f"'{m}' needs 'a'"),
    "port": lambda m: own("port in use"),
    "gave up": lambda m: GAVE_UP,
    "serving": lambda m: SERVING,
}
lines = st.lists(st.tuples(st.sampled_from(sorted(SAYS)), st.sampled_from("abc")), max_size=12)


@given(lines, lines)
def test_logs_alone_never_reach_confirmed(now: list[tuple[str, str]], before: list[tuple[str, str]]) -> None:
    found = [previous_log(*(SAYS[word](m) for word, m in before)), log(*(SAYS[word](m) for word, m in now))]
    assert verdict(*found)[1] != "confirmed"


@given(lines)
def test_free_text_alone_never_reaches_likely(said: list[tuple[str, str]]) -> None:
    """Every line without the header that Triton gives its own."""
    text = [SAYS[word](model).partition("] ")[2] or SAYS[word](model) for word, model in said]
    assert verdict(log(*text))[1] in ("possible", "cannot_tell")


def test_a_log_that_prints_everything_proves_nothing() -> None:
    every = [example for row in RULES.signatures.all for example in row.matches]
    assert verdict(log(*every, *every[::-1]))[1] == "possible"


def test_events_alone_prove_nothing() -> None:
    assert verdict(pod(), events("web-1", OUT, "Exception: x"))[0] == "cannot_tell"


EXPLORING = """
tree: small
about: two ways
budget: 1s
probes:
  log: {asks: x, deadline: 1s}
start: first
nodes:
  - {id: first, ask: a, test: {kind: root, category: gpu_memory, reads: [log]}, yes: gpu, no: code,
     unknown: {explore: [second, code], cap: possible}}
  - {id: second, ask: b, test: {kind: loaded_after, reads: [log]}, yes: gpu, no: gpu,
     unknown: {explore: [code, gpu], cap: likely}}
leaves:
"""
for _name, _category in (("gpu", "gpu_memory"), ("code", "model_code")):
    EXPLORING += f"""
  - {{id: {_name}, category: {_category}, title: t, means: m, sources: [s],
     actions: [{{do: d, undo: u, blast_radius: b, verify: v, not_if: n}}]}}
"""


def test_where_both_ways_are_explored_each_leaf_is_told_once_and_never_surer_than_the_cap() -> None:
    found = walked(parse_tree(EXPLORING, "small.yaml"), log("nothing"))
    told = [(v.leaf.id, v.confidence, [step.node for step in v.path]) for v in found]
    assert told == [("code", "possible", ["first", "second"]), ("gpu", "possible", ["first", "second"])]


def test_ways_that_part_and_meet_again_do_not_multiply() -> None:
    """Forty forks one after the other are 2 to the power of 40 ways."""
    nodes = "".join(
        f"  - {{id: n{n}{way}, ask: a, test: {{kind: root, category: gpu_memory, reads: [log]}}, yes: gpu, no: gpu,\n"
        f"     unknown: {{explore: [{target}], cap: likely}}}}\n"
        for n in range(40)
        for way in "ab"
        for target in [f"n{n + 1}a, n{n + 1}b" if n < 39 else "gpu, code"]
    )
    head, _, leaves = EXPLORING.partition("leaves:")
    first = "unknown: {explore: [n0a, n0b], cap: likely}}\n"
    tree = (
        head.partition("nodes:")[0]
        + "nodes:\n"
        + head.partition("nodes:\n")[2].partition("unknown")[0]
        + first
        + nodes
    )
    found = walked(parse_tree(f"{tree}leaves:{leaves}", "forks.yaml"), log("nothing"))
    assert [(v.leaf.id, v.confidence) for v in found] == [("gpu", "likely"), ("code", "likely")]


@given(st.sampled_from(BANDS), st.sampled_from(BANDS))
def test_the_less_sure_of_two_words_is_never_surer_than_either(one: str, other: str) -> None:
    word = BANDS.index(lower(one, other))  # type: ignore[arg-type]
    assert word == max(BANDS.index(one), BANDS.index(other))
