"""Models whose names no label value can hold: each is selectable, and none is guessed at."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from autoscaler.alias import alias_of, exact_alias_of, selectable_names
from autoscaler.answer import Answer, NoData, Reason
from autoscaler.selector import parse_selector, value_problem
from tests.autoscaler.fleet import RATE, ask, number, pod, row

LONG = "llama-" * 20 + "v2"


def _rate(model: str, *, of: tuple[str, ...], operator: str = "=") -> Answer:
    """The request rate asked for `model`, where each of these models completed a request a second."""
    return ask(RATE, pod("a", {name: row(30) for name in of}), selector=f"model{operator}{model}")


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_every_name_has_aliases_that_a_selector_can_hold_and_the_exact_one_is_its_own(
    one: str, other: str
) -> None:
    for alias in (alias_of(one), exact_alias_of(one)):
        assert alias
        assert value_problem(alias) is None
        assert parse_selector(f"model={alias}").exact_labels() == {"model": alias}
    assert one == other or exact_alias_of(one) != exact_alias_of(other)


def test_aliases_do_not_change_from_release_to_release() -> None:
    """HPAs hold them."""
    assert alias_of("org/name:v2") == "org_name_v2"
    assert alias_of("plain-1.0_b") == "plain-1.0_b"
    assert alias_of("///") == exact_alias_of("///") == "model-732c4e97"
    assert exact_alias_of("org/name:v2") == "org_name_v2-3cab7505"
    assert alias_of(LONG) == exact_alias_of(LONG)
    assert len(alias_of(LONG)) <= 63


def test_the_documented_aliases_are_the_real_ones() -> None:
    page = (Path(__file__).parents[2] / "docs/autoscaler.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `([^`]+)`", page, re.MULTILINE)
    assert [name for name, _, _ in rows] == ["resnet50", "org/name:v2"]
    for name, alias, exact in rows:
        assert (alias, exact_alias_of(name).startswith(exact)) == (alias_of(name), True)
    assert exact_alias_of(LONG)[:-9] == LONG[:54].rstrip("-")


def test_an_odd_name_is_selected_by_its_alias_and_by_its_exact_alias() -> None:
    models = ("org/name:v2", "plain", LONG)
    for model in models:
        for name in selectable_names(model) - {"org/name:v2", LONG}:
            assert number(_rate(name, of=models)) == 1.0, name
            assert number(_rate(name, of=models, operator="!=")) == 2.0, name
    assert number(_rate("(org_name_v2,plain)", of=models, operator=" in ")) == 2.0
    assert number(_rate("(org_name_v2,plain)", of=models, operator=" notin ")) == 1.0


def test_an_alias_of_two_models_is_refused_with_both_and_their_exact_aliases_work() -> None:
    for other in ("org:name", "org_name"):
        answer = _rate("org_name", of=("org/name", other))
        assert isinstance(answer, NoData)
        assert answer.reason is Reason.AMBIGUOUS_MODEL
        for model in ("org/name", other):
            exact = exact_alias_of(model)
            assert f"{model!r} (model={exact})" in answer.message
            assert number(_rate(exact, of=("org/name", other))) == 1.0


def test_another_models_alias_matters_only_where_it_is_asked_for() -> None:
    assert number(_rate("plain", of=("org/name", "org:name", "plain"))) == 1.0


def test_where_nothing_matches_the_aliases_to_choose_from_are_named() -> None:
    answer = _rate("nothing", of=("org/name:v2",))
    assert isinstance(answer, NoData)
    assert "serve org_name_v2" in answer.message
