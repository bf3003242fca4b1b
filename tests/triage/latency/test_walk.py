"""From answers to leaves: what rules one out, what keeps it possible, which one comes first."""

from tests.triage.latency.evidence import Part, incident, nothing_of, platform, served, settings, stepped
from tests.triage.latency.trees import leaf, tree
from triage.latency.walk import Walk, walk
from triage.tree import Tree

SLOW = served(infer=stepped(8, 80))
THROTTLED = platform("cpu_throttled", stepped(0.01, 0.5), pod="a")
UNTHROTTLED = platform("cpu_throttled", stepped(0.01, 0.01), pod="a")


def walked(small: Tree, *parts: Part) -> Walk:
    return walk(small, incident(*parts))


def words(found: Walk) -> dict[str, str]:
    return {c.leaf.id: c.confidence for c in found.candidates}


def test_a_mechanism_that_is_not_there_rules_its_leaf_out() -> None:
    small = tree(leaf("slow", "infer_rose"), leaf("full", "infer_rose", "queue_rose"))
    found = walked(small, SLOW)
    assert words(found) == {"slow": "confirmed", "nothing": "cannot_tell"}
    assert [(gone.id, check.check) for gone, check in found.ruled_out] == [("full", "queue_rose")]


def test_a_mechanism_that_could_not_be_looked_at_leaves_it_possible_at_most() -> None:
    small = tree(leaf("slow", "infer_rose", "throttled_rose"))
    assert words(walked(small, SLOW, THROTTLED))["slow"] == "confirmed"
    assert words(walked(small, SLOW))["slow"] == "possible"
    assert "slow" not in words(walked(small, SLOW, UNTHROTTLED))


def test_a_leaf_none_of_whose_mechanism_was_seen_is_no_candidate() -> None:
    small = tree(leaf("throttled", "throttled_rose"))
    found = walked(small, SLOW)
    assert (words(found), [*found.ruled_out]) == ({"nothing": "cannot_tell"}, [])


def test_each_gap_lowers_the_word() -> None:
    small = tree(
        leaf("sure", "infer_rose", requires=["throttled_rose"]),
        leaf("one_gap", "infer_rose", requires=["batches"]),
        leaf("two_gaps", "infer_rose", requires=["batches", "queue_rose"]),
        leaf("against", "infer_rose", contradicted_by=["throttled_rose"]),
        leaf("not_against", "infer_rose", contradicted_by=["queue_rose", "batches"]),
    )
    found = walked(small, SLOW, THROTTLED)
    assert words(found) == {
        "sure": "confirmed",
        "not_against": "confirmed",
        "one_gap": "likely",
        "against": "likely",
        "two_gaps": "possible",
        "nothing": "cannot_tell",
    }
    gaps = {c.leaf.id: c.gaps for c in found.candidates}
    assert gaps["two_gaps"] == ("not seen: batches", "not seen: queue rose")
    assert gaps["against"] == (
        "against it: share of CPU periods in which the container was throttled: 1 % before, 50 % during",
    )


def test_a_cause_comes_before_its_consequence() -> None:
    consequence = leaf("slow", "infer_rose")
    cause = leaf("throttled", "throttled_rose", requires=["batches"], over=["slow"])
    found = walked(tree(consequence, cause), SLOW, THROTTLED)
    assert [(c.leaf.id, c.confidence, c.consequence_of) for c in found.candidates] == [
        ("throttled", "likely", ""),
        ("slow", "confirmed", "throttled"),
        ("nothing", "cannot_tell", ""),
    ]


def test_of_two_that_may_each_follow_from_the_other_the_surer_one_is_the_cause() -> None:
    def causes(requires: list[str]) -> dict[str, str]:
        one = leaf("one", "infer_rose", over=["other"], requires=requires)
        other = leaf("other", "infer_rose", over=["one"], requires=["throttled_rose"])
        found = walked(tree(one, other), SLOW)
        return {c.leaf.id: c.consequence_of for c in found.candidates if c.leaf.id != "nothing"}

    assert causes([]) == {"one": "", "other": "one"}
    assert causes(["throttled_rose", "batches"]) == {"other": "", "one": "other"}
    assert causes(["batches"]) == {"one": "", "other": ""}


def test_a_cause_that_is_merely_possible_is_not_over_what_is_sure() -> None:
    cause = leaf("throttled", "infer_rose", "throttled_rose", over=["slow"])
    found = walked(tree(leaf("slow", "infer_rose"), cause), SLOW)
    told = {c.leaf.id: (c.confidence, c.consequence_of) for c in found.candidates}
    assert found.candidates[0].leaf.id == "slow"
    assert (told["slow"], told["throttled"][1]) == (("likely", ""), "")


def test_what_lacks_evidence_is_never_first_before_what_is_bold() -> None:
    """Also where the bold one follows from another, and where the other answers the page by itself."""
    small = tree(
        leaf("unseen", "throttled_rose", "infer_rose"),
        leaf("calm", "throttled_rose", "infer_rose", first=True),
        leaf("slow", "infer_rose"),
        leaf("root", "infer_rose", over=["slow"]),
    )
    assert [c.leaf.id for c in walked(small, SLOW).candidates][:2] == ["root", "slow"]


def test_what_answers_the_page_by_itself_is_first() -> None:
    small = tree(leaf("slow", "infer_rose"), leaf("calm", "infer_rose", first=True, requires=["batches"]))
    found = walked(small, SLOW, settings(dynamic_batching=True))
    assert [c.leaf.id for c in found.candidates] == ["calm", "slow", "nothing"]


def test_equals_stand_in_the_order_of_the_tree() -> None:
    first, second = leaf("b", "infer_rose"), leaf("a", "infer_rose")
    assert [c.leaf.id for c in walked(tree(first, second), SLOW).candidates][:2] == ["b", "a"]
    assert [c.leaf.id for c in walked(tree(second, first), SLOW).candidates][:2] == ["a", "b"]


def test_where_nothing_fits_nothing_can_be_told() -> None:
    small = tree(leaf("full", "queue_rose"))
    assert words(walked(small, SLOW)) == {"nothing": "cannot_tell"}
    found = walked(small, nothing_of("triton/success"))
    assert (words(found), found.path[0].answer.value) == ({"nothing": "cannot_tell"}, "no")


def ask(name: str, quantity: str, **ways: object) -> dict[str, object]:
    return {"id": name, "ask": "?", "test": {"kind": "shift", "quantity": quantity, "to": "up"}, **ways}


def test_where_no_way_led_to_the_leaf_of_nothing_it_is_the_verdict_all_the_same() -> None:
    """A tree whose branch ends in a cause that is then ruled out, or that could not be looked at."""
    for cause in (leaf("full", "queue_rose"), leaf("full", "throttled_rose", "infer_rose")):
        top = ask("top", "infer", yes="full", no="nothing", unknown="nothing")
        found = walked(tree(cause, nodes=[top]), SLOW)
        assert found.candidates[0].leaf.id == "nothing"


def test_a_leaf_that_is_reached_twice_is_one_candidate_as_sure_as_the_surer_way() -> None:
    top = ask(
        "top",
        "throttled",
        yes="slow",
        no="nothing",
        unknown={"explore": ["slow", "again"], "cap": "possible"},
    )
    start = ask("start", "infer", yes=["top", "again"], no="nothing", unknown="nothing")
    again = ask("again", "infer", yes="slow", no="nothing", unknown="nothing")
    small = tree(leaf("slow", "infer_rose"), start="start", nodes=[start, top, again])
    found = walked(small, SLOW)
    assert [(c.leaf.id, c.confidence) for c in found.candidates if c.leaf.id == "slow"] == [
        ("slow", "confirmed")
    ]


def test_a_way_that_was_explored_for_want_of_an_answer_caps_the_word() -> None:
    top = ask(
        "top", "throttled", yes="slow", no="slow", unknown={"explore": ["slow", "nothing"], "cap": "likely"}
    )
    small = tree(leaf("slow", "infer_rose"), nodes=[top])
    assert words(walked(small, SLOW))["slow"] == "likely"
    assert words(walked(small, SLOW, THROTTLED)) == {"slow": "confirmed"}


def test_the_path_tells_each_question_once() -> None:
    found = walked(tree(leaf("a", "infer_rose"), leaf("b", "queue_rose")), SLOW)
    assert [(step.node, step.answer.value) for step in found.path] == [("top", "yes")]


def test_a_cause_that_no_source_tells_of_leaves_its_consequence_likely_at_most() -> None:
    unseen = leaf("unseen", "infer_rose", "throttled_rose", over=["slow"])
    found = walked(tree(leaf("slow", "infer_rose"), unseen), SLOW)
    assert (found.candidates[0].confidence, found.candidates[0].rivals) == ("likely", ("unseen",))
    assert found.candidates[0].gaps == ("not seen: whether throttled rose",)
    seen = walked(tree(leaf("slow", "infer_rose"), unseen), SLOW, UNTHROTTLED)
    assert (seen.candidates[0].confidence, seen.candidates[0].rivals) == ("confirmed", ())


def test_what_lacks_what_it_requires_is_no_verdict_beside_a_cause_that_no_source_tells_of() -> None:
    unseen = leaf("unseen", "infer_rose", "throttled_rose", over=["slow"])
    slow = leaf("slow", "infer_rose", requires=["batches"])
    absent = walked(tree(slow, unseen), SLOW, settings(dynamic_batching=False))
    assert absent.candidates[0].leaf.id == "nothing"
    there = walked(tree(slow, unseen), SLOW, settings(dynamic_batching=True))
    assert there.candidates[0].leaf.id == "slow"


def test_a_leaf_that_the_others_mechanism_speaks_against_is_not_its_cause() -> None:
    opposed = leaf("opposed", "infer_rose", contradicted_by=["throttled_rose"], over=["throttled"])
    doubted = leaf("doubted", "infer_rose", contradicted_by=["infer_rose"], over=["throttled"])
    throttled = leaf("throttled", "throttled_rose")
    first = walked(tree(opposed, throttled), SLOW, THROTTLED).candidates[0]
    assert (first.leaf.id, first.consequence_of) == ("throttled", "")
    assert walked(tree(doubted, throttled), SLOW, THROTTLED).candidates[0].leaf.id == "doubted"
