"""The ratio of two rates from counts, with an exact interval; it works where one of the counts is zero."""

import math
from dataclasses import dataclass

TINY = 1e-300
PRECISION = 1e-12
DEPTH = 100_000
"""Terms of the continued fraction at most; it takes about the square root of the larger count."""


@dataclass(frozen=True, slots=True)
class RateRatio:
    """Of rate a to rate b."""

    low: float
    estimate: float | None
    """None: b counted nothing, and any large ratio would do."""
    high: float | None
    """None: unbounded."""


def rate_ratio(
    count_a: float, seconds_a: float, count_b: float, seconds_b: float, confidence: float = 0.95
) -> RateRatio:
    """How many times rate a is rate b, with the interval that holds it with `confidence` at least.

    Given their sum, the one of two Poisson counts is binomial (Przyborowski & Wilenski 1940), and the share p of a has the exact
    interval of Clopper & Pearson 1934 by quantiles of the beta distribution; the ratio is p / (1 - p) * seconds_b / seconds_a.
    Counts may be fractions, as extrapolated ones are. Raises ValueError for a count below zero or a time that is not above it."""
    for name, number in (("count_a", count_a), ("count_b", count_b)):
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} is {number}; it must be a number from zero up")
    for name, number in (("seconds_a", seconds_a), ("seconds_b", seconds_b)):
        if not 0 < number < math.inf:
            raise ValueError(f"{name} is {number}; it must be a number above zero")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1")
    tail, per_time = (1 - confidence) / 2, seconds_b / seconds_a
    # The share of b near 1 would lose its digits as 1 - p, so each bound is taken of the smaller side's own quantile.
    low = per_time / _odds(tail, count_b + 1, count_a) if count_a else 0.0
    high = per_time * _odds(tail, count_a + 1, count_b) if count_b else None
    return RateRatio(low, per_time * count_a / count_b if count_b else None, high)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the beta distribution's probability below x, 0 to 1; a and b above zero (DLMF 8.17)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # The fraction converges fast below the mean (DLMF 8.17.22); above it the symmetry 8.17.4 leads there.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    """By Lentz' method (Thompson & Barnett 1986). Raises ArithmeticError where it does not settle."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, DEPTH):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < PRECISION:
            return value
    raise ArithmeticError(f"the incomplete beta function does not settle at x={x}, a={a}, b={b}")


def _not_zero(number: float) -> float:
    return number if abs(number) > TINY else TINY


def _odds(tail: float, a: float, b: float) -> float:
    """p / (1 - p) at the p above which the beta distribution has `tail`, by bisection of its logarithm."""
    low, high = -1.0, 1.0
    centre, width = math.log(a / b), math.sqrt(1 / a + 1 / b)

    def above(steps: float) -> float:
        # The probability above p is the one below 1 - p with the sides swapped, and has all its digits where it is small.
        return incomplete_beta(1 / (1 + math.exp(min(centre + steps * width, 700.0))), b, a)

    while above(high) > tail:
        low, high = high, 2 * high
    while above(low) < tail:
        low, high = 2 * low, low
    while high - low > 1e-10 * max(1.0, abs(low)):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > tail else (low, middle)
    return math.exp(min(centre + (low + high) / 2 * width, 700.0))
