"""Numbers as Kubernetes quantities, in the whole milli-units that the HPA computes in."""

import math
from decimal import ROUND_CEILING, Decimal

MAX_MILLI = 2**63 - 1
"""The HPA reads `MilliValue()`, an int64 that wraps silently past this."""

_SUFFIXES = ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k"))


class QuantityError(ValueError):
    """A number that no external metric may carry: NaN, infinite, negative, or past int64 milli-units."""


def format_quantity(value: float) -> str:
    """The canonical decimal quantity of `value`, rounded up to a whole milli-unit as the HPA would: "0",
    "12", "1500m", "3k". Raises `QuantityError`."""
    milli = whole_milli(value)
    if milli % 1000:
        return f"{milli}m"
    whole = milli // 1000
    for exponent, suffix in _SUFFIXES:
        if whole and whole % 10**exponent == 0:
            return f"{whole // 10**exponent}{suffix}"
    return str(whole)


def whole_milli(value: float) -> int:
    """`value` in milli-units, rounded up. Raises `QuantityError`.

    The shortest decimal that reads back as the same float is what is rounded, so that 0.1 is "100m" and not
    "101m" for the sake of its binary tail.
    """
    if not math.isfinite(value):
        raise QuantityError(f"{value} is no quantity")
    if value < 0:
        raise QuantityError(f"{value} is negative; an external metric is zero or more")
    exact_milli = Decimal(repr(float(value))).scaleb(3)
    if exact_milli > MAX_MILLI:
        raise QuantityError(f"{value} does not fit a quantity: at most {MAX_MILLI}m is accepted")
    return int(exact_milli.to_integral_value(ROUND_CEILING))
