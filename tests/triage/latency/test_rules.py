"""The rules that ship load, and a mistake in them is refused at its line with what would be right."""

import re
import shutil
from pathlib import Path

import pytest

from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir
from tests.triage.latency.evidence import incident, rules
from triage.answers import Answer
from triage.latency.answers import answer
from triage.latency.kinds import Predicate
from triage.latency.predicates import PREDICATES
from triage.latency.rules import latency_rules_from_folder, latency_rules_from_texts
from triage.tree import Leaf
from triage.walk import BANDS
from triage.xids import told_xid

PACKAGE = Path(__file__).parents[3] / "triage" / "latency"

TREE = (rules_dir() / "trees" / "p99.yaml").read_text(encoding="utf-8")
TEXTS = rules().texts
LEAVES = {leaf.id: leaf for leaf in rules().tree.leaves}


def refused(tree: str = TREE, **texts: str) -> str:
    with pytest.raises(InvalidFileError) as caught:
        latency_rules_from_texts(tree, {**TEXTS, **texts}, "saved")
    return str(caught.value)


def test_the_rules_of_the_folder_and_their_texts_are_the_same() -> None:
    again = latency_rules_from_texts(rules().tree_text, rules().texts, "saved")
    assert (again.tree, again.measures, again.quantities) == (
        rules().tree,
        rules().measures,
        rules().quantities,
    )
    assert (again.tree_sha256, again.knowledge_sha256) == (rules().tree_sha256, rules().knowledge_sha256)


def test_every_leaf_is_reached_and_has_a_category_of_its_own() -> None:
    tree, reached, waiting = rules().tree, set[str](), [rules().tree.start]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            node = tree.node(name)
            waiting += node.targets() if node else ()
    assert {leaf.id for leaf in tree.leaves} <= reached
    named = [leaf.category for leaf in tree.leaves if leaf.category != "cannot_tell"]
    assert len(named) == len(set(named))


def test_every_predicate_and_every_quantity_of_the_tree_is_asked_of_something() -> None:
    tree = rules().tree
    tests = [node.test for node in tree.nodes] + [check.test for check in tree.checks]
    asked = {test.name for test in tests if test.kind == "predicate"}
    assert asked <= PREDICATES.keys()
    assert all(test.quantity in rules().quantities for test in tests if hasattr(test, "quantity"))


@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
def test_no_leaf_is_its_own_cause_or_told_from_itself(leaf: Leaf) -> None:
    assert leaf.id not in {*leaf.over, *leaf.separate}


@pytest.mark.parametrize("leaf", LEAVES.values(), ids=LEAVES)
def test_no_leaf_is_against_what_it_rests_on(leaf: Leaf) -> None:
    assert {*leaf.mechanism, *leaf.requires} & {*leaf.contradicted_by} == set()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("quantity: kv_cache,", "quantity: kv_cash,", "asks for quantity 'kv_cash', which quantities.yaml"),
        ("probes: [triton,", "probes: [tritium,", "asks probe 'tritium'; known: "),
        ("over: [overload,", "over: [overloaded,", "names leaf 'overloaded', which is not there"),
        ("mechanism: [is_stalled]", "mechanism: [is_stuck]", "names check 'is_stuck', which is not there"),
        ("namespace {namespace}", "namespace {name}", "{name} is never filled in; known: "),
        ("start: seen", "start: sight", "start: 'sight' is no node"),
    ],
)
def test_a_name_that_is_not_there_is_refused_at_its_line(old: str, new: str, said: str) -> None:
    old, new = (old, new) if old in TREE else ("-n {namespace}", "-n {name}")
    told = refused(TREE.replace(old, new, 1))
    line = TREE[: TREE.index(old)].count("\n") + 1
    assert said in told
    places = [int(part.split(":")[2]) for part in told.splitlines() if part.startswith("saved: tree:")]
    assert any(line - 40 <= place <= line for place in places), (places, line)


def test_a_folders_tree_that_asks_an_unknown_predicate_is_refused_at_its_line(tmp_path: Path) -> None:
    shutil.copytree(rules_dir(), tmp_path / "rules")
    tree = tmp_path / "rules" / "trees" / "p99.yaml"
    tree.write_text(TREE.replace("name: stalled}", "name: stuck}", 1))
    with pytest.raises(InvalidFileError, match="asks predicate 'stuck'; known: ") as caught:
        latency_rules_from_folder(tmp_path / "rules")
    line = TREE[: TREE.index("name: stalled}")].count("\n") + 1
    assert [(Path(one.file), line - 3 <= one.line <= line) for one in caught.value.problems] == [(tree, True)]


def test_a_leaf_of_separate_has_to_be_there() -> None:
    assert "names leaf 'nobody', which is not there" in refused(
        TREE.replace("    separate:\n", "    separate:\n      nobody: how\n", 1)
    )


def test_a_predicate_may_not_be_asked_without_a_name_nor_a_kind_that_is_none() -> None:
    assert "name" in refused(TREE.replace("{kind: predicate, name: stalled}", "{kind: predicate}", 1))
    assert "kind" in refused(TREE.replace("kind: predicate,", "kind: oracle,", 1))


def test_a_tree_without_a_word_for_nothing_is_refused() -> None:
    said = refused(re.sub(r"id: (\w+)\n    category: cannot_tell", r"id: \1\n    category: \1", TREE))
    assert "no leaf has category 'cannot_tell', which is the verdict where nothing fits" in said


QUANTITIES = TEXTS["quantities.yaml"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (
            "  - {quantity: q, says: q, unit: ms, sum: [queues]}\n",
            "'q' needs measure 'queues', which no file in measures/ has",
        ),
        ("  - {quantity: queue, says: q, unit: ms, sum: [success]}\n", "'queue' is given twice"),
        ("  - {quantity: q, says: q, unit: ms, sum: []}\n", "sum"),
        ("  - {quantity: q, says: q, unit: ms, sum: [success], less: [failure]}\n", "less"),
        (
            "  - {quantity: q, says: q, unit: ms, sum: [success], optional: [failure]}\n",
            "'q' says that 'failure' is optional, and is not made of it",
        ),
    ],
)
def test_a_quantity_that_cannot_be_made_is_refused(row: str, said: str) -> None:
    told = refused(**{"quantities.yaml": QUANTITIES + row})
    assert said in told
    assert "quantities.yaml" in told


def test_rules_without_quantities_or_measures_are_refused() -> None:
    with pytest.raises(InvalidFileError, match=r"there is no quantities\.yaml beside it"):
        latency_rules_from_texts(TREE, {"triton.yaml": TEXTS["triton.yaml"]}, "saved")
    with pytest.raises(InvalidFileError):
        latency_rules_from_texts(TREE, {"quantities.yaml": QUANTITIES}, "saved")


def test_a_folder_without_rules_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidFileError, match=r"quantities\.yaml"):
        latency_rules_from_folder(tmp_path)


def test_the_words_stand_from_the_surest() -> None:
    assert BANDS == ("confirmed", "likely", "possible", "cannot_tell")


def test_whatever_ships_is_asked_about() -> None:
    """A predicate, a quantity or a check that nothing reads is a promise that nothing keeps."""
    shipped = rules()
    tests = [node.test for node in shipped.tree.nodes] + [check.test for check in shipped.tree.checks]
    assert {test.name for test in tests if isinstance(test, Predicate)} == set(PREDICATES)
    code = "".join(file.read_text() for file in PACKAGE.rglob("*.py"))
    asked = {getattr(test, "quantity", "") for test in tests}
    assert [name for name in shipped.quantities if name not in asked and f'"{name}"' not in code] == []


def test_no_leaf_is_before_another_that_is_before_it() -> None:
    over = {leaf.id: leaf.over for leaf in rules().tree.leaves}
    assert [(one, other) for one, later in over.items() for other in later if one in over[other]] == []


def test_a_saved_tree_may_ask_what_this_version_no_longer_asks() -> None:
    """A folder's tree is refused for it; in a bundle the answer is unknown, and the rest of the report stands."""
    text = rules().tree_text.replace("name: hpa_blind}", "name: gone_since}")
    saved = latency_rules_from_texts(text, rules().texts, "bundle")
    test = next(check.test for check in saved.tree.checks if check.id == "blind")
    assert isinstance(test, Predicate)
    assert answer(test, incident()) == Answer("unknown", "this version does not ask 'gone since'")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("  - {xid: 79, means: again}\n", "it has XID 79 twice"),
        ("  - {xid: 0, means: nothing}\n", "greater than or equal to 1"),
        ("  - {xid: 500, means: x, whose: mine}\n", "whose"),
    ],
)
def test_an_xid_that_cannot_be_is_refused_in_its_file(row: str, said: str) -> None:
    told = refused(**{"gpu_xids.yaml": TEXTS["gpu_xids.yaml"] + row})
    assert said in told
    assert "gpu_xids.yaml" in told


def test_without_its_file_an_xid_is_told_by_its_number() -> None:
    older = {name: text for name, text in TEXTS.items() if name != "gpu_xids.yaml"}
    assert latency_rules_from_texts(TREE, older, "saved").xids == {}
    assert told_xid(79, {}) == "XID 79"
    assert told_xid(79, rules().xids) == "XID 79 (GPU has fallen off the bus)"
