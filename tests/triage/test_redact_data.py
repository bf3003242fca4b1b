"""Data that is not text: what stands under the name of a credential is masked, and the rest keeps its shape."""

from pathlib import Path
from typing import Any

import pytest

from triage.redact import Redactor, load_redaction

RULES = load_redaction(Path(__file__).parents[2] / "rules" / "redaction.yaml")


def test_data_is_masked_by_its_keys() -> None:
    redactor = Redactor(RULES)
    pod = {
        "env": [
            {"name": "AWS_SECRET_ACCESS_KEY", "value": "s3cr3t"},
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}}},
            {"name": "MAX_TOKENS", "value": "128"},
        ],
        "args": ["--password", "hunter", "--port", "8000", "--http-restricted-api=trace:key=s3cr3t"],
        "password": 1234,
        "token": "item",
        "secret": {"secretName": "tls"},
        "headers": {"Authorization": "Bearer x", "Accept": "*/*", "cookie": ["a=b", "c=d"]},
        "ready": True,
    }
    assert redactor.value(pod) == {
        "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "[MASKED:credential]"}, *pod["env"][1:]],  # type: ignore[index]
        "args": [
            "--password",
            "[MASKED:credential]",
            "--port",
            "8000",
            "--http-restricted-api=trace:key=[MASKED:triton-restricted-api]",
        ],
        "password": "[MASKED:credential]",
        "token": "item",
        "secret": {"secretName": "tls"},
        "headers": {
            "Authorization": "[MASKED:credential]",
            "Accept": "*/*",
            "cookie": ["[MASKED:credential]"] * 2,
        },
        "ready": True,
    }
    assert redactor.masked == 7


@pytest.mark.parametrize(
    "manifest",
    [{"kind": "Secret", "data": {"a": "YQ=="}}, {"kind": "SecretList", "items": [{"data": {"a": "YQ=="}}]}],
)
def test_a_secret_object_keeps_its_keys_and_no_value(manifest: dict[str, Any]) -> None:
    assert "YQ==" not in str(Redactor(RULES).value(manifest))
    assert Redactor(RULES).value({**manifest, "kind": "ConfigMap"}) == {**manifest, "kind": "ConfigMap"}


def test_numbers_are_no_secrets_but_under_the_name_of_one() -> None:
    assert Redactor(RULES).value({"values": [1, 2.5, None], "password": [1234, None]}) == {
        "values": [1, 2.5, None],
        "password": ["[MASKED:credential]", None],
    }


def test_keys_of_mappings_are_text_too() -> None:
    """Two secrets as keys stay two keys."""
    one, two = ("ghp_" + letter * 36 for letter in "ab")
    assert Redactor(RULES).value({one: 1, two: 2}) == {
        "[MASKED:github-token]": 1,
        "[MASKED:github-token] (2)": 2,
    }


def test_data_without_bottom_is_cut_and_what_is_no_json_is_refused() -> None:
    deep: Any = "password=hunter2"
    for _ in range(5000):
        deep = [deep]
    assert "hunter2" not in repr_of(Redactor(RULES).value(deep))
    with pytest.raises(TypeError, match="not bytes"):
        Redactor(RULES).value({"a": b"password"})


def repr_of(value: Any) -> str:
    while isinstance(value, list):
        value = value[0]
    return str(value)
