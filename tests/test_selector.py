"""Label selectors against what Kubernetes itself makes of them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.selector import EVERYTHING, MAX_SELECTOR_CHARS, SelectorError, parse_selector

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "api" / "labels_parse_vectors.json").read_text()
)


@pytest.mark.parametrize("vector", VECTORS["selectors"], ids=lambda vector: ascii(vector["selector"])[:60])
def test_a_selector_means_what_it_means_to_kubernetes(vector: dict[str, Any]) -> None:
    if not vector["ok"]:
        with pytest.raises(SelectorError):
            parse_selector(vector["selector"])
        return
    selector = parse_selector(vector["selector"])
    assert str(selector) == vector["text"]
    assert [selector.matches(labels) for labels in VECTORS["label_sets"]] == vector["matches"]


def test_no_selector_selects_everything() -> None:
    assert parse_selector("") == EVERYTHING
    assert EVERYTHING.matches({})
    assert EVERYTHING.matches({"model": "llama"})


def test_an_absent_label_satisfies_inequality() -> None:
    assert parse_selector("model!=llama,version notin (1,2)").matches({})


def test_exact_labels_are_those_pinned_to_one_value() -> None:
    selector = parse_selector("model=llama,version in (3),node in (a,b),workload!=x,zone")
    assert selector.exact_labels() == {"model": "llama", "version": "3"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model=org/name", "label value 'org/name' at character 7 is no label value"),
        ("model=llama,", "found the end, expected a label key after ','"),
        ("model llama", "found 'llama' at character 7, expected one of =, ==, !=, in, notin, >, <"),
        ("model in llama", "found 'llama' at character 10, expected '('"),
        ("version>new", "'version' > 'new' compares with no integer"),
        ("a/b/c", "label key 'a/b/c' at character 1 has more than one '/'"),
        ("model=\x1b[31m", r"label value '\x1b[31m' at character 7"),
        ("model=a\0,tenant=b", "found a NUL byte at character 8"),
        ("model=" + "x" * 500, "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' at character 7 has more than 63"),
        ("x" * (MAX_SELECTOR_CHARS + 1), "is 4097 characters long; at most 4096 are accepted"),
        (",".join(f"version>{n}" for n in range(33)), "more than 32 requirements; list values with in (...)"),
    ],
)
def test_an_error_says_what_where_and_what_is_accepted(text: str, message: str) -> None:
    with pytest.raises(SelectorError) as error:
        parse_selector(text)
    assert message in str(error.value)
    assert len(str(error.value)) <= 300


def test_as_many_requirements_as_anybody_needs_are_read() -> None:
    assert len(parse_selector(",".join(f"version>{n}" for n in range(32))).requirements) == 32


@given(st.text(alphabet="ab1-./ =!,()<>in\tnotin\0é", max_size=40))
def test_any_text_is_a_selector_or_a_selector_error(text: str) -> None:
    try:
        selector = parse_selector(text)
    except SelectorError as error:
        assert str(error).isprintable()  # noqa: PT017 - either outcome is right, so there is nothing to expect
        return
    assert str(parse_selector(str(selector))) == str(selector)
    selector.matches({"a": "1"})
