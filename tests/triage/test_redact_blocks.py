"""What goes on over several lines is masked to its end, and no further."""

import base64
import random
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from triage.redact import Redactor, load_redaction

RULES = load_redaction(Path(__file__).parents[2] / "rules" / "redaction.yaml")
BASE64 = string.ascii_letters + string.digits + "+/"
AFTER = [
    "Done",
    "server started",
    "I1122 16:00:00.000000 1 server.cc:674] ready",
    "abcdefghijklmnopqrstuvwxyz",
]


def key_lines(lines: int = 25, width: int = 64, last: int = 24) -> list[str]:
    chosen = random.Random(lines)
    return [
        *("".join(chosen.choices(BASE64, k=width)) for _ in range(lines)),
        "".join(chosen.choices(BASE64, k=last)) + "==",
    ]


def redact(lines: list[str]) -> list[str]:
    redactor = Redactor(RULES)
    return [redactor.line(line) for line in lines]


def prefixes(style: str) -> Iterator[str]:
    for number in range(600):
        yield {
            "none": "",
            "cri": f"2026-11-22T16:00:00.{number:09}Z stderr F ",
            "compose": "triton-1  | ",
            "glog": f"E1122 16:00:00.{number:06} 1 pb_stub.cc:402] ",
            "cri and glog": f"2026-11-22T16:00:00.{number:09}Z stdout F I1122 16:00:00.{number:06} 1 a.cc:1] ",
            "kubectl": f"[pod/triton-0/server] 2026-11-22T16:00:00.{number:09}Z ",
            "python": f"2026-11-22 16:00:00,{number:03} - model - INFO - ",
            "indented": "        ",
            "repr": " '",
        }[style]


STYLES = ["none", "cri", "compose", "glog", "cri and glog", "kubectl", "python", "indented", "repr"]


@pytest.mark.parametrize("label", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
@pytest.mark.parametrize("style", STYLES)
def test_a_private_key_is_masked_line_by_line(style: str, label: str) -> None:
    tail = "\\n'" if style == "repr" else ""
    body = key_lines()
    block = [f"-----BEGIN {label}PRIVATE KEY-----", *body, f"-----END {label}PRIVATE KEY-----"]
    lines = [prefix + line + tail for prefix, line in zip(prefixes(style), [*block, *AFTER], strict=False)]
    wanted = [
        prefix + "[MASKED:private-key]" + tail for prefix, _ in zip(prefixes(style), block, strict=False)
    ]
    wanted[0], wanted[len(block) - 1] = lines[0], lines[len(block) - 1]
    redactor = Redactor(RULES)
    assert [redactor.line(line) for line in lines] == [*wanted, *lines[len(block) :]]
    assert redactor.masked == 1


def test_the_headers_of_an_old_key_are_no_end_of_it() -> None:
    head = [
        "-----BEGIN RSA PRIVATE KEY-----",
        "Proc-Type: 4,ENCRYPTED",
        "DEK-Info: AES-128-CBC,0123456789ABCDEF",
        "",
    ]
    body = key_lines()
    assert redact([*head, *body]) == [*head, *["[MASKED:private-key]"] * len(body)]


def test_a_key_that_never_ends_takes_nothing_else_with_it() -> None:
    """Cut off after its third line, and after its last. (After a full line one bare word may be its end, and is masked.)"""
    body = key_lines()
    begin = "-----BEGIN PRIVATE KEY-----"
    for cut, after in ((body[:3], AFTER[1:]), (body, AFTER)):
        assert redact([begin, *cut, *after]) == [begin, *["[MASKED:private-key]"] * len(cut), *after]


def test_lines_of_other_threads_stand_between_those_of_a_key() -> None:
    body = key_lines(6, last=40)
    mixed = [
        line
        for line in body
        for line in ("I1122 16:00:00.000000 1 model_lifecycle.cc:472] loading: bert:1", line)
    ]
    redacted = redact(["-----BEGIN PRIVATE KEY-----", *mixed])
    assert redacted == [
        "-----BEGIN PRIVATE KEY-----",
        *(line if "loading" in line else "[MASKED:private-key]" for line in mixed),
    ]


def test_a_window_that_begins_inside_a_key_shows_nothing_of_it() -> None:
    body = key_lines()
    assert redact([*body[5:], "-----END PRIVATE KEY-----", *AFTER]) == [
        *["[MASKED:private-key]"] * (len(body) - 5),
        "-----END PRIVATE KEY-----",
        *AFTER,
    ]


def test_a_key_forgets_itself() -> None:
    """At most 256 lines after its beginning, what could be its body is a line like others."""
    line = "tensorName4WithDigits2"
    redacted = redact(["-----BEGIN PRIVATE KEY-----", *["server started"] * 300, line])
    assert redacted[-1] == line


def test_certificates_are_public() -> None:
    lines = ["-----BEGIN CERTIFICATE-----", *key_lines(), "-----END CERTIFICATE-----"]
    assert redact(lines) == lines


def test_docker_writes_each_line_of_a_key_into_its_own_object() -> None:
    block = ["-----BEGIN PRIVATE KEY-----", *key_lines(3), "-----END PRIVATE KEY-----"]
    wrap = '{{"log":"{}\\n","stream":"stderr","time":"2026-11-22T16:00:00.000000001Z"}}'.format
    wanted = [line if "-----" in line else "[MASKED:private-key]" for line in block]
    assert redact([wrap(line) for line in block]) == [wrap(line) for line in wanted]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SECRET = f"""\
apiVersion: v1
data:
  tls.crt: {encoded("x" * 300)}
  username: {encoded("triton-service")}
kind: Secret
metadata:
  name: model-store
  namespace: default
type: Opaque
---
apiVersion: v1
kind: ConfigMap
data:
  mode: full
  model: densenet
  config.pbtxt: |
    max_batch_size: 8
"""


@pytest.mark.parametrize("style", STYLES[:6])
def test_a_secret_as_kubectl_prints_it_keeps_its_keys_and_no_value(style: str) -> None:
    lines = [prefix + line for prefix, line in zip(prefixes(style), SECRET.splitlines(), strict=False)]
    wanted = list(lines)
    wanted[2] = lines[2].replace(encoded("x" * 300), "[MASKED:kubernetes-secret]")
    wanted[3] = lines[3].replace(encoded("triton-service"), "[MASKED:kubernetes-secret]")
    assert redact(lines) == wanted


def test_when_the_kind_comes_first_every_value_is_masked() -> None:
    lines = ["kind: Secret", "data:", "  a: YQ==", '  b: "YWI="', "metadata:", "  name: model-store"]
    assert redact(lines) == [
        *lines[:2],
        "  a: [MASKED:kubernetes-secret]",
        '  b: "[MASKED:kubernetes-secret]"',
        *lines[4:],
    ]


def test_string_data_is_a_secrets_whatever_it_looks_like() -> None:
    lines = [
        "stringData:",
        "  user: triton",
        "  config.ini: |",
        "    [a]",
        "    x = plain words",
        "type: Opaque",
    ]
    masked = "[MASKED:kubernetes-secret]"
    assert redact(lines) == [
        lines[0],
        f"  user: {masked}",
        lines[2],
        f"    {masked}",
        f"    {masked}",
        lines[5],
    ]


def test_a_secret_in_json_over_lines() -> None:
    lines = [
        "{",
        '    "data": {',
        f'        "user": "{encoded("triton-service")}",',
        '        "b": "YWI="',
        "    },",
    ]
    wanted = [
        *lines[:2],
        '        "user": "[MASKED:kubernetes-secret]",',
        '        "b": "[MASKED:kubernetes-secret]"',
        lines[4],
    ]
    assert redact([*lines, '    "kind": "Secret"']) == [*wanted, '    "kind": "Secret"']


def test_a_block_under_a_credentials_name_is_masked() -> None:
    lines = ["auth:", "  password: |", "    correct horse", "    battery", "  user: triton"]
    assert redact(lines) == [*lines[:2], "    [MASKED:credential]", "    [MASKED:credential]", lines[4]]


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (
            ["- name: AWS_SECRET_ACCESS_KEY", "  value: plainword", "- name: X"],
            "  value: [MASKED:credential]",
        ),
        (['"name": "HF_TOKEN",', '"value": "plainword"'], '"value": "[MASKED:credential]"'),
        (["- --password", "- plainword", "- --port"], "- [MASKED:credential]"),
        (['"--api-key",', '"plainword",'], '"[MASKED:credential]",'),
        (["- name: MAX_TOKENS", '  value: "128"'], '  value: "128"'),
        (["- name: HF_TOKEN", "  valueFrom:"], "  valueFrom:"),
        (["- --password", "- --port"], "- --port"),
        (["- --tokenizer-dir", "- /models/tokenizer"], "- /models/tokenizer"),
    ],
)
def test_a_value_stands_on_the_line_after_its_name(lines: list[str], wanted: str) -> None:
    assert redact(lines) == [lines[0], wanted, *lines[2:]]


@pytest.mark.parametrize(
    "lines",
    [
        ['  key: "HF_TOKEN"', "  value {", '    string_value: "plainword"', "  }"],
        ['  key: "db_password"', "  value: {", '    string_value: "plainword"', "  }"],
        ['"parameters": {', '  "HF_TOKEN": {', '    "string_value": "plainword"', "  }"],
    ],
)
def test_a_parameter_of_a_printed_model_configuration_is_masked_by_its_name(lines: list[str]) -> None:
    assert redact(lines) == [line.replace("plainword", "[MASKED:credential]") for line in lines]


def test_a_block_stands_on_the_lines_after_its_name() -> None:
    lines = ["- name: TLS_PRIVATE_KEY", "  value: |", "    plain words", "- name: X"]
    assert redact(lines) == [*lines[:2], "    [MASKED:credential]", lines[3]]
