"""Signatures: what one line says, found in linear time; a row that is wrong is refused at its line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir
from tests.triage.snapshots import RULES, TREE
from triage.rules import rules_from_folder
from triage.signatures import load_signatures, parse_signatures

FILE = """\
area: two lines
signatures:
  - id: memory
    role: cause
    category: gpu_memory
    origin: triton
    pattern: "memory of (?P<what>[a-z]+) ran out"
    says: It is full.
    fix: "Free {what}."
    cites: [a]
    matches: ["memory of cuda ran out"]
    rejects: ["memory ran out"]
  - {id: quiet, role: noise, origin: triton, pattern: harmless, says: x, cites: [a], matches: [harmless]}
"""


def problems(*texts: str) -> list[str]:
    with pytest.raises(InvalidFileError) as caught:
        parse_signatures({f"{name}.yaml": text for name, text in zip("ab", texts, strict=False)}, "folder")
    return [f"{p.file}:{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


def ids(text: str) -> list[str]:
    return [match.signature.id for match in RULES.signatures.match(text)]


def test_a_right_file_is_its_rows() -> None:
    assert [row.id for row in parse_signatures({"a.yaml": FILE}, "folder").all] == ["memory", "quiet"]


@pytest.mark.parametrize(
    ("right", "wrong", "told"),
    [
        ("role: cause", "role: reason",
         "4:5: role: input should be 'cause', 'noise', 'general', 'hint' or 'cascade' (got 'reason')"),
        ("    category: gpu_memory\n", "", "3:5: 0: role 'cause' needs a category"),
        ("role: noise", "role: noise, category: gpu_memory", "13:5: 1: role 'noise' takes no category"),
        ('    fix: "Free {what}."\n', "", "3:5: 0: 'fix' is missing: say what to change so that the model loads"),
        ("{what}", "{this}", "3:5: 0: fix names ['this'], which the pattern does not capture"),
        ("{what}", "{what", "3:5: 0: fix has a brace without its other half"),
        ("of (?P<", "of (?=x)(?P<", "7:5: pattern: not an RE2 pattern: invalid perl operator: (?=; RE2 has no look-around "
         "and no back-references (got 'memory of (?=x)(?P<what>[a-z]+) ran out')"),
        ("of cuda ran", "of 7 ran", "3:5: 0: pattern does not match its own example 'memory of 7 ran out'"),
        ('rejects: ["memory', 'rejects: ["memory of all',
         "3:5: 0: pattern matches 'memory of all ran out', which it is to reject"),
        ('matches: ["memory of cuda ran out"]', "matches: []",
         "11:5: matches: tuple should have at least 1 item after validation, not 0"),
        ("id: quiet", "id: memory", "13:6: 'memory' is already a signature of a.yaml"),
        ("says: It is", "say: It is", "8:5: unknown key 'say'; did you mean 'says'?"),
        ("id: memory", "id: The Memory",
         "3:5: id: string should match pattern '^[a-z0-9]+(-[a-z0-9]+)*$' (got 'The Memory')"),
        ("cites: [a]\n", "cites: []\n", "10:5: cites: tuple should have at least 1 item after validation, not 0"),
    ],
)  # fmt: skip
def test_a_mistake_is_refused_at_its_line(right: str, wrong: str, told: str) -> None:
    assert right in FILE
    text = FILE.replace(right, wrong, 1)
    assert f"a.yaml:{told}" in problems(text)


def test_an_example_that_another_row_decides_is_refused_at_its_own_row() -> None:
    """Of two causes in one line the first decides, so the second row's example shows nothing."""
    other = (
        FILE.replace("id: memory", "id: code")
        .replace("gpu_memory", "model_code")
        .replace("id: quiet", "id: still")
    )
    assert problems(FILE, other.replace('"memory of (?P<what>[a-z]+)', '"(?P<what>cuda)')) == [
        "b.yaml:3:5: 'memory' (gpu_memory) decides the example 'memory of cuda ran out', not 'code'"
    ]


def test_the_mistakes_of_all_files_are_told_together() -> None:
    assert problems(FILE.replace("says: It", "say: It"), FILE.replace("says: It", "zzz: It")) == [
        "a.yaml:3:5: 'says' is missing here; add it",
        "a.yaml:8:5: unknown key 'say'; did you mean 'says'?",
        "b.yaml:3:5: 'says' is missing here; add it",
        "b.yaml:8:5: unknown key 'zzz'; remove it",
    ]
    assert problems() == ["folder:1:1: no signatures here: expected at least one *.yaml"]


def test_the_tree_and_the_signatures_of_a_folder_are_judged_together(tmp_path: Path) -> None:
    (tmp_path / "trees").mkdir()
    (tmp_path / "signatures").mkdir()
    (tmp_path / "trees" / "t.yaml").write_text(TREE.replace("start: seen", "start: sene"))
    (tmp_path / "signatures" / "s.yaml").write_text(FILE.replace("says: It", "say: It"))
    with pytest.raises(InvalidFileError) as caught:
        rules_from_folder(tmp_path, "t")
    assert {Path(problem.file).name for problem in caught.value.problems} == {"t.yaml", "s.yaml"}


@pytest.mark.parametrize("name", ["../signatures/cuda", "/etc/passwd", "", "x\0", "a" * 300, "no-such-tree"])
def test_a_tree_that_is_not_there_is_a_mistake_and_no_path_out_of_the_folder(name: str) -> None:
    """A saved bundle says which tree it asks for."""
    with pytest.raises(InvalidFileError):
        rules_from_folder(rules_dir(), name)


def test_the_rules_that_ship_load_and_decide_their_own_examples() -> None:
    assert len(load_signatures(rules_dir() / "signatures").all) > 500


def test_what_names_the_mechanism_decides_before_noise_what_is_general_and_a_hint() -> None:
    assert ids("Exception: may be unreadable harmless device memory ran out") == [
        "memory",
        "quiet",
        "raised",
        "unreadable",
    ]
    assert ids("harmless Exception: x") == ["quiet", "raised"]


def test_of_two_causes_the_first_in_the_text_decides() -> None:
    assert ids("device memory ran out, no version of 'm'") == ["memory", "layout"]
    assert ids("no version of 'm', device memory ran out") == ["layout", "memory"]


def test_a_match_knows_its_groups_and_its_place_also_behind_letters_of_many_bytes() -> None:
    (match,) = RULES.signatures.match("größe 模型: no version of 'é'")
    assert (match.start, match.groups, match.category) == (10, {"model": "é"}, "repository_layout")


@given(st.text())
def test_any_text_can_be_searched(text: str) -> None:
    """Half a character too, which a JSON string in a log may hold."""
    assert "memory" in ids(text + "\ud800 device memory ran out \udfff\0" + text)
    assert RULES.signatures.any("\ud800device memory ran out")


def test_patterns_that_take_exponential_time_elsewhere_take_none_here() -> None:
    row = "{id: slow, role: noise, origin: triton, pattern: '(a+)+b', says: x, cites: [a], matches: [aab]}"
    slow = parse_signatures({"a.yaml": f"area: x\nsignatures: [{row}]\n"}, "x")
    assert slow.match("a" * 100_000) == []


def test_more_rows_than_one_automaton_holds_are_all_searched() -> None:
    row = "  - {{id: r{0}, role: noise, origin: triton, pattern: '<{0}>', says: x, cites: [a], matches: ['<{0}>']}}\n"
    many = parse_signatures({"a.yaml": "area: x\nsignatures:\n" + "".join(map(row.format, range(200)))}, "x")
    assert [many.match(f"<{n}>")[0].signature.id for n in (0, 63, 64, 199)] == ["r0", "r63", "r64", "r199"]
