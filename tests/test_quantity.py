"""Quantities against Kubernetes' own canonical form, and the properties that the HPA relies on."""

import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoscaler.quantity import MAX_MILLI, QuantityError, format_quantity

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "api" / "labels_parse_vectors.json").read_text()
)
SUFFIXES = {"m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


@pytest.mark.parametrize("vector", VECTORS["quantities"], ids=lambda vector: str(vector["milli"]))
def test_a_quantity_is_written_as_kubernetes_writes_it(vector: dict[str, Any]) -> None:
    value = vector["milli"] / 1000
    if Fraction(repr(value)) * 1000 == vector["milli"]:
        assert format_quantity(value) == vector["text"]


@pytest.mark.parametrize(
    ("value", "quantity"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.1, "100m"),
        (12.0, "12"),
        (1.5, "1500m"),
        (0.0004, "1m"),
        (5e-324, "1m"),
        (2.0001, "2001m"),
        (3000.0, "3k"),
    ],
)
def test_a_quantity_is_rounded_up_to_a_milli_unit(value: float, quantity: str) -> None:
    assert format_quantity(value) == quantity


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e-9, -1.0, 9.3e15, 1e300])
def test_what_no_quantity_can_hold_is_refused(value: float) -> None:
    with pytest.raises(QuantityError):
        format_quantity(value)


@given(st.floats(min_value=0, max_value=9.2e15))
def test_a_quantity_is_never_below_its_value_and_less_than_a_milli_unit_above(value: float) -> None:
    served = _milli(format_quantity(value))
    exact = Fraction(repr(value)) * 1000
    assert exact <= served < exact + 1
    assert served <= MAX_MILLI


@given(st.integers(min_value=0, max_value=10**12))
def test_whole_milli_units_are_served_exactly(milli: int) -> None:
    assert _milli(format_quantity(milli / 1000)) == milli


def _milli(quantity: str) -> Fraction:
    digits = quantity.rstrip("mkMGTPE")
    return Fraction(digits) * Fraction(10) ** (SUFFIXES[quantity[len(digits) :]] + 3)
