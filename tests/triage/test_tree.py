"""A tree's file: what is wrong in it is refused at its line, and the tree that ships holds what the walk relies on."""

import pytest

from telemetry.located_yaml import InvalidFileError
from tests.triage.snapshots import TREE
from triage.signatures import CATEGORIES
from triage.tree import ALL_PLACEHOLDERS, Explore, Test, parse_tree

SMALL = """\
tree: small
about: a tree of one question
budget: 10s
probes:
  log: {asks: The log., deadline: 8s}
start: first
nodes:
  - id: first
    ask: Did a model fail?
    test: {kind: failed, reads: [log]}
    yes: broken
    no: well
    unknown: well
checks:
  - id: again
    says: it loaded later
    test: {kind: loaded_after, reads: [log]}
leaves:
  - id: broken
    category: model_config
    title: broken
    means: It is broken.
    requires: [again]
    actions:
      - {do: "Mend {model}.", command: "ls {model}", undo: u, blast_radius: b, verify: v, not_if: n}
    sources: [s]
  - id: well
    category: not_a_load_failure
    title: well
    means: It is well.
    actions:
      - {do: Rest., undo: u, blast_radius: b, verify: v, not_if: n}
    sources: [s]
"""


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidFileError) as caught:
        parse_tree(text, "small.yaml")
    return [f"{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


def test_a_right_file_is_its_tree() -> None:
    tree = parse_tree(SMALL, "small.yaml")
    first = tree.node("first")
    assert first is not None
    assert (first.yes, first.no, first.unknown, tree.node("well")) == ("broken", "well", "well", None)
    assert (tree.leaf("broken").requires, tree.check("again").says, tree.budget) == (
        ("again",),
        "it loaded later",
        10,
    )


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("start: first", "start: frist", "6:1: start: 'frist' is no node; known: broken, first, well"),
        ("yes: broken", "yes: brocken", "8:5: 'first' leads to 'brocken', which is no node or leaf"),
        ("yes: broken", "yes: well", "19:5: nothing leads to 'broken'"),
        ("requires: [again]", "requires: [agian]", "19:5: 'broken' names check 'agian', which is not there"),
        ("requires: [again]", "requires: []", "15:5: no leaf names check 'again'"),
        ("reads: [log]}\n    yes", "reads: [lag]}\n    yes", "8:5: 'first' reads 'lag', which is no probe; known: log"),
        ("loaded_after, reads: [log]", "loaded_after, reads: [lag]",
         "15:5: 'again' reads 'lag', which is no probe; known: log"),
        ("  log: {asks", "  index: {asks: x, deadline: 1s}\n  log: {asks", "5:3: probe 'index' is read by no test"),
        ("- id: again", "- id: first",
         "15:5: 'first' is given twice; ids of nodes, checks, leaves and shared actions are one namespace"),
        ("unknown: well", "unknown: first", "8:5: 'first' leads back to itself: first -> first"),
        ("- id: well", "- {id: well}\n  - id: well",
         "27:5: 'category' is missing here; add it"),
        ("kind: failed", "kind: fails",
         "10:5: test: input tag 'fails' found using 'kind' does not match any of the expected tags: 'seen', 'failed', "
         "'unfinished', 'root', 'serves', 'loaded_after', 'second_source', 'healthy', 'said_beside', "
         "'shared_memory', 'probe_time', 'gpus_asked', 'memory_limit', 'quiet', 'at_work', 'node', 'gpu_memory', "
         "'gpu_memory_held', 'gpu_errors', 'in_order', 'read_in_part', 'alone', "
         "'answered', 'shift', 'level', 'part', 'split', 'skew', 'change', 'setting', 'predicate'"),
        ("kind: failed", "kind: root", "10:5: root: 'category' belongs to kind 'root', and only there"),
        ("kind: failed", "kind: failed, category: model_config",
         "10:5: failed: 'category' belongs to kind 'root', and only there"),
        ("kind: failed", "kind: failed, signature: repo-marked-bad",
         "10:5: failed: 'signature' belongs to kind 'root', beside its category"),
        ("kind: failed", "kind: root, category: config",
         f"10:5: root: 'config' is no category; known: {', '.join(CATEGORIES)}"),
        ("category: model_config", "category: config",
         f"19:5: 0: 'config' is no category; known: cannot_tell, {', '.join(CATEGORIES)}"),
        ("reads: [log]}\n    yes", "reads: []}\n    yes",
         "10:26: reads: tuple should have at least 1 item after validation, not 0"),
        ("unknown: well", "unknown: {explore: [well, well], cap: likely}", "8:5: 'first' explores a way twice"),
        ("- {do: Rest.,", "- {needs: [model], do: Rest.,", "27:5: 1: no action is left where model is not known; give one "
         "without 'needs'"),
        ("- {do: Rest.,", "- {lacks: [model], do: Rest.,", "27:5: 1: no action is left where model is known; give one "
         "without 'needs'"),
        ("- {do: Rest.,", "- {lacks: [modle], do: Rest.,",
         f"32:9: 0: 'modle' is never filled in; known: {', '.join(ALL_PLACEHOLDERS)}"),
        ("requires: [again]", "requires: [again]\n    shows: [agian]",
         "19:5: 'broken' names check 'agian', which is not there"),
        ("Mend {model}", "Mend {modle}",
         f"25:9: 0: {{modle}} is never filled in; known: {', '.join(ALL_PLACEHOLDERS)}"),
        ('"ls {model}"', "\"sh -c 'ls {model}'\"",
         "25:9: 0: {model} stands between quotes, and is quoted by itself; take it out of them"),
        ("undo: u, blast_radius: b, verify: v, not_if: n}\n    sources: [s]\n  - id", "undo: u, verify: v, not_if: n}"
         "\n    sources: [s]\n  - id", "25:9: 'blast_radius' is missing here; add it"),
        ("about:", "abuot:", "2:1: unknown key 'abuot'; did you mean 'about'?"),
        ("budget: 10s", "budget: 10",
         "3:1: budget: expected a duration above zero, such as 500ms, 5s, 2m or 1h (got 10)"),
        ("tree: small", "tree: ../small",
         "1:1: tree: string should match pattern '^[a-z0-9]+([-_][a-z0-9]+)*$' (got '../small')"),
        ("sources: [s]\n  - id: well", "sources: []\n  - id: well",
         "26:5: sources: tuple should have at least 1 item after validation, not 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_at_its_line(right: str, wrong: str, told: str) -> None:
    assert right in SMALL
    assert told in problems(SMALL.replace(right, wrong, 1))


def test_a_row_is_found_in_flow_style_and_in_quotes() -> None:
    row = "- id: again\n    says: it loaded later\n    test: {kind: loaded_after, reads: [log]}\n"
    flow = '- {says: x, id: "again", test: {kind: loaded_after, reads: [log]}}\n'
    assert problems(SMALL.replace(row, flow).replace("[again]", "[]")) == [
        "15:15: no leaf names check 'again'"
    ]


def test_a_row_is_found_where_a_key_of_the_file_has_its_name() -> None:
    text = (
        SMALL.replace("first", "about")
        .replace("requires: [again]", "requires: [x, again]")
        .replace("yes: broken", "yes: x")
    )
    assert "8:5: 'about' leads to 'x', which is no node or leaf" in problems(text)


def test_circles_are_told_with_their_way() -> None:
    second = (
        "  - {id: second, ask: x, test: {kind: seen, reads: [log]}, yes: first, no: well, unknown: well}\n"
    )
    text = (
        SMALL.replace("yes: broken", "yes: second")
        .replace("no: well", "no: broken")
        .replace("checks:\n", second + "checks:\n")
    )
    assert problems(text) == ["8:5: 'first' leads back to itself: first -> second -> first"]


def test_a_tree_deeper_than_a_walk_can_go_is_refused_and_not_fallen_through() -> None:
    node = (
        "  - {{id: n{0}, ask: x, test: {{kind: seen, reads: [log]}}, yes: n{1}, no: well, unknown: well}}\n"
    )
    nodes = "".join(node.format(n, n + 1) for n in range(1500))
    text = SMALL.replace("nodes:\n", "nodes:\n" + nodes)
    assert problems(text) == ["7:1: nodes: tuple should have at most 300 items after validation, not 1501"]


SHIPPED = parse_tree(TREE, "load-failure.yaml")


def test_every_category_has_one_leaf_and_one_question_that_leads_to_it() -> None:
    """Beside a leaf of one signature alone, which says more."""
    tests = [(node.test, str(node.yes)) for node in SHIPPED.nodes if isinstance(node.test, Test)]
    roots = [(test, leaf) for test, leaf in tests if test.kind == "root"]
    special = {leaf for test, leaf in roots if test.signature is not None}
    named = [
        leaf.category for leaf in SHIPPED.leaves if leaf.category != "cannot_tell" and leaf.id not in special
    ]
    asked = {test.category: SHIPPED.leaf(leaf).category for test, leaf in roots if leaf not in special}
    assert sorted(named) == sorted(CATEGORIES)
    assert asked == {category: category for category in CATEGORIES}


def test_every_cause_needs_a_second_source_and_can_be_contradicted() -> None:
    rests = {
        leaf.category: (leaf.requires, leaf.contradicted_by)
        for leaf in SHIPPED.leaves
        if leaf.category not in ("cannot_tell", "not_a_load_failure")
    }
    collides = rests.pop("load_concurrency")
    assert set(rests.values()) == {(("second-source",), ("serves-now", "loaded-after"))}
    assert collides == (("second-source",), ("serves-now", "loaded-after", "loaded-alone"))


def test_no_verdict_stands_behind_an_unknown_answer_to_its_own_question() -> None:
    for node in SHIPPED.nodes:
        if node.test.kind == "root" and not isinstance(node.unknown, Explore):
            assert node.unknown != node.yes, node.id
