"""What holds for every text."""

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from triage.redact import Redactor, load_redaction

RULES = load_redaction(Path(__file__).parents[2] / "rules" / "redaction.yaml")

PIECES = st.sampled_from(
    [
        "apiVersion: v1",
        "data:",
        "  tls.crt: eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=",
        "  username: dHJpdG9uLXNlcnZpY2U=",
        "metadata:",
        "---",
        "kind: ConfigMap",
        "  mode: full",
        "  config.pbtxt: |",
        "    max_batch_size: 8",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "q7Rk2Zt9Xb4Mv8Lc" * 4,
        "q7Rk2Zt9Xb4Mv8Lc1Ws6Np",
        "q7R=",
        "Done",
        "server started",
        "I1122 16:00:00.000000 1 server.cc:674] ready",
        "stringData:",
        "  x: y",
        "    z",
        "kind: Secret",
        "- name: HF_TOKEN",
        "  value: x",
        "- --password",
        "- x",
        "password: |",
        "password=",
        "hunter2",
        "[MASKED:jwt]",
        "token: ",
        "Authorization: Bearer ",
        "redis://a:b@",
        "\\n",
        '"',
        "'",
        ",",
        " ",
        ":",
        "=",
        "é\ud800",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.c2ln",
    ]
)
TEXTS = st.lists(st.tuples(PIECES, st.sampled_from(["\n", " ", "", "\n  "])), max_size=20).map(
    lambda parts: "".join(piece + join for piece, join in parts)
)


@given(TEXTS)
def test_a_second_time_changes_and_counts_nothing(text: str) -> None:
    once = Redactor(RULES).text(text)
    again = Redactor(RULES)
    assert again.text(once) == once
    assert again.masked == 0


@given(TEXTS)
def test_a_stream_of_lines_is_the_text(text: str) -> None:
    whole, lines, ended = Redactor(RULES), Redactor(RULES), Redactor(RULES)
    redacted = whole.text(text)
    assert "\n".join(lines.line(line) for line in text.split("\n")) == redacted
    assert "".join(ended.lines(text.splitlines(keepends=True) if "\r" not in text else [text])) == redacted
    assert whole.masked == lines.masked == ended.masked


@given(st.text(st.characters(exclude_characters=":=@-{[", exclude_categories=["Cs"]), max_size=200))
def test_a_text_without_any_sign_of_a_secret_stays(text: str) -> None:
    if not any(sign in text for sign in ("hf_", "gh", "npm_", "dapi", "eyJ", "AKIA", "ASIA", "AIza", "LS0t")):
        assert Redactor(RULES).text(text) == text


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_masked_yaml_is_still_one_line(text: str) -> None:
    written = yaml.safe_dump({"password": text, "z": 1}, width=10_000)
    assert Redactor(RULES).text(written).count("\n") == written.count("\n")
