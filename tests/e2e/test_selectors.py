"""Label selectors beside the real API server's own: what one accepts the other does, and both select the same objects."""

import json
import random
from pathlib import Path
from urllib.parse import quote

import pytest

from autoscaler.selector import SelectorError, parse_selector
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import ApiRefused

pytestmark = pytest.mark.asyncio(loop_scope="session")

LABEL_SETS: list[dict[str, str]] = json.loads(
    (Path(__file__).parents[1] / "api" / "labels_parse_vectors.json").read_text()
)["label_sets"]
NAMESPACE = "selectors"
SEED = 20261130
SELECTORS = 400
WORDS = (
    "x",
    "y",
    "z",
    "in",
    "notin",
    "a",
    "b",
    "1",
    "3",
    "10",
    "-1",
    "example.com/x",
    "A_b.c",
    "a/b",
    "a:b",
    "é",
    "-",
    "",
)
SIGNS = ("=", "==", "!=", "!", ",", "(", ")", " in ", " notin ", "<", ">", " ", "\t", "\n")  # fmt: skip


def _likely(drawn: random.Random) -> str:
    """One to three requirements, most of which are right."""

    def value() -> str:
        return drawn.choice(("a", "b", "", "1", "3", "10", "in", "99999999999999999999", " a ", "a/b"))

    def requirement() -> str:
        key = drawn.choice(("x", "y", "z", "in", "example.com/x", " x "))
        match drawn.randrange(6):
            case 0:
                return drawn.choice((key, f"!{key}", f"! {key}"))
            case 1 | 2:
                return f"{key}{drawn.choice(('=', '==', '!='))}{value()}"
            case 3:
                return f"{key}{drawn.choice('<>')}{value()}"
            case _:
                values = ",".join(value() for _ in range(drawn.randrange(1, 4)))
                return f"{key} {drawn.choice(('in', 'notin'))} ({values})"

    return ",".join(requirement() for _ in range(drawn.randrange(1, 4)))


def _unlikely(drawn: random.Random) -> str:
    """Tokens in any order."""
    return "".join(drawn.choice(WORDS + SIGNS) for _ in range(drawn.randrange(1, 9)))


async def test_the_same_selectors_are_accepted_and_select_the_same(control_plane: ControlPlane) -> None:
    await control_plane.create_namespace(NAMESPACE)
    await control_plane.api.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": f"set-{number}", "namespace": NAMESPACE, "labels": labels},
            }
            for number, labels in enumerate(LABEL_SETS)
        ]
    )
    drawn = random.Random(SEED)
    accepted = 0
    for number in range(SELECTORS):
        text = (_likely if number % 2 else _unlikely)(drawn)
        theirs = await _selected(control_plane, text)
        assert _ours(text) == theirs, repr(text)
        accepted += theirs is not None
    assert SELECTORS * 0.3 < accepted < SELECTORS * 0.9


def _ours(text: str) -> set[str] | None:
    try:
        selector = parse_selector(text)
    except SelectorError:
        return None
    return {f"set-{number}" for number, labels in enumerate(LABEL_SETS) if selector.matches(labels)}


async def _selected(control_plane: ControlPlane, text: str) -> set[str] | None:
    """Names of the ConfigMaps that kube-apiserver selects; None where it refuses the selector."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps?labelSelector={quote(text, safe='')}"
    try:
        found = await control_plane.api.call("GET", path)
    except ApiRefused as refused:
        if refused.status != 400:
            raise
        return None
    names = {item["metadata"]["name"] for item in found["items"]}
    return {name for name in names if name.startswith("set-")}
