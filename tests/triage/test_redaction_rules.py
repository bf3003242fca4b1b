"""Rules are data: each row proves itself on its examples, and a mistake is told at its line."""

from pathlib import Path

import pytest

from telemetry.located_yaml import InvalidFileError
from triage.redact import load_redaction

ROW = """\
keys: []
parts:
  HEX: "[a-f0-9]"
rules:
  - id: test-token
    kind: test
    pattern: 'tt-(?P<secret>%HEX%{8})'
    cites: ["RFC 1"]
    masks: ["use tt-«{hex8}» now"]
    keeps: ["tt-model"]
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    return tmp_path / "redaction.yaml"


def test_a_row_that_keeps_its_examples_is_loaded(rules: Path) -> None:
    rules.write_text(ROW, encoding="utf-8")
    assert [rule.row.id for rule in load_redaction(rules).rules] == ["test-token"]


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("{8})", "{8}", "test-token': x"),
        ("%HEX%{8})", "%OCT%{8})", ":5:5: %OCT% is not one of the parts HEX"),
        ("%HEX%{8})", "(?=x)%HEX%{8})", ":5:5: not an RE2 pattern: invalid perl operator: (?="),
        ("(?P<secret>", "(?P<token>", ":5:5: needs the group 'secret'"),
        ("«{hex8}» now", "{hex8} now", ":5:5: 'masks' has 'use tt-{hex8} now', where no «secret» is marked"),
        (
            "«{hex8}»",
            "«{hex8}a»",
            ":5:5: masks ['7e2b9d4f'] in 'use tt-«{hex8}a» now', which marks ['7e2b9d4fa']",
        ),
        ("tt-model", "tt-deadbeef", ":5:5: masks ['deadbeef'] in 'tt-deadbeef', which is to stay as it is"),
        ('["RFC 1"]', "[]", ":8:5: cites:"),
        ("keeps:", "keep:", ":10:5: unknown key 'keep'; did you mean 'keeps'?"),
        ("tt-(?P", r"\Att-(?P", ":5:5: patterns are ASCII, and say ^ and $"),
    ],
)
def test_a_row_that_is_wrong_is_refused_at_its_place(rules: Path, right: str, wrong: str, said: str) -> None:
    assert right in ROW
    rules.write_text(ROW.replace(right, wrong, 1), encoding="utf-8")
    with pytest.raises(InvalidFileError) as refused:
        load_redaction(rules)
    assert said.replace("test-token': x", ":5:5: not an RE2 pattern: missing )") in str(refused.value)


def test_a_row_that_spoils_what_another_keeps_is_refused_there(rules: Path) -> None:
    other = """\
  - id: models
    kind: test
    pattern: '(?P<secret>tt-m[a-z]+)'
    cites: ["RFC 1"]
    masks: ["«tt-mask»"]
"""
    rules.write_text(ROW + other, encoding="utf-8")
    with pytest.raises(
        InvalidFileError, match=r":5:5: with the other rules, 'tt-model' becomes '\[MASKED:test\]'"
    ):
        load_redaction(rules)


def test_an_id_is_given_once(rules: Path) -> None:
    rules.write_text(ROW + ROW[ROW.index("  - id") :], encoding="utf-8")
    with pytest.raises(InvalidFileError, match="'test-token' is given twice"):
        load_redaction(rules)
