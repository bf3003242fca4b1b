"""Numbers for people: three significant digits and the unit."""


def amount(value: float | None, unit: str) -> str:
    """Such as `12.3 ms`, `4.1 s`, `37 %`, `3.2 GiB`; `nothing` for None."""
    if value is None:
        return "nothing"
    if unit == "share":
        return f"{_digits(value * 100)} %"
    if unit == "ms":
        return f"{_digits(value / 1000)} s" if abs(value) >= 999.5 else f"{_digits(value)} ms"
    if unit.startswith("bytes"):
        for prefix, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
            if abs(value) >= size:
                return f"{_digits(value / size)} {prefix}{unit.removeprefix('bytes')}"
    return f"{_digits(value)} {unit}"


def _digits(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1g}"
