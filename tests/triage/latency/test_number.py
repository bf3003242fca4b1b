"""Numbers for people."""

import pytest

from triage.latency.number import amount


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "ms", "nothing"),
        (0.0, "ms", "0 ms"),
        (12.345, "ms", "12.3 ms"),
        (999.4, "ms", "999 ms"),
        (999.6, "ms", "1 s"),
        (4100, "ms", "4.1 s"),
        (-4100, "ms", "-4.1 s"),
        (0.0004, "ms", "0.0004 ms"),
        (0.367, "share", "36.7 %"),
        (1.0, "share", "100 %"),
        (3.2 * 2**30, "bytes", "3.2 GiB"),
        (1536, "bytes/s", "1.5 KiB/s"),
        (10, "bytes", "10 bytes"),
        (99.96, "requests/s", "100 requests/s"),
        (12_345_678, "requests/s", "12345678 requests/s"),
    ],
)
def test_three_digits_and_the_unit(value: float | None, unit: str, shown: str) -> None:
    assert amount(value, unit) == shown
