"""The outage table, from outcomes: for the README in one line a row, for docs/faults.md with all that was seen. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from tests.faults.outcome import Judgement, Outcome

AT_ONCE: Final = 4.0
"""Seconds, two syncs: sooner, being right again is not worth a word."""
COLUMNS: Final = (
    "what fails",
    "for",
    "replicas, and the second from which on",
    "wrong down",
    "wrong up",
    "wrong down before",
    "held",
    "right again after",
    "the HPA was told",
)
MARKS: Final = ("<!-- faults: made by `make faults` -->", "<!-- faults end -->")


def to_json(outcomes: Sequence[Outcome], conditions: Mapping[str, Any]) -> dict[str, Any]:
    return {"conditions": dict(conditions), "outcomes": [asdict(outcome) for outcome in outcomes]}


def from_json(told: Mapping[str, Any]) -> list[Outcome]:
    def tuples(value: Any) -> Any:
        return tuple(map(tuples, value)) if isinstance(value, list) else value

    return [
        Outcome(**row | {"did": Judgement(**{key: tuples(value) for key, value in row["did"].items()})})
        for row in told["outcomes"]
    ]


def short(outcomes: Sequence[Outcome]) -> str:
    """A row for each thing that fails, a column for each system."""
    systems, rows = _names(outcomes)
    found = {(outcome.row, outcome.system): outcome for outcome in outcomes}
    lines = ["| what fails | " + " | ".join(systems) + " |", "|---" * (len(systems) + 1) + "|"]
    for row, says in rows.items():
        cells = [found.get((row, system)) for system in systems]
        lines.append(f"| {says} | " + " | ".join("asks none" if c is None else cell(c) for c in cells) + " |")
    wrong = [sum(len(o.did.wrong_downs) for o in outcomes if o.system == system) for system in systems]
    lines.append("| **wrong scale-downs** | " + " | ".join(f"**{count}**" for count in wrong) + " |")
    before = [[len(o.did.wrong_before) for o in outcomes if o.system == system] for system in systems]
    told = (f"{sum(counts)} in {len(counts)} fleets" for counts in before)
    lines.append(
        "| wrong scale-downs while the load came, before anything failed | " + " | ".join(told) + " |"
    )
    return "\n".join(lines)


def long(outcomes: Sequence[Outcome]) -> str:
    """A table for each system."""
    systems, _ = _names(outcomes)
    parts = []
    for system in systems:
        lines = [
            f"## {system}",
            "",
            f"| {' | '.join(COLUMNS)} |",
            "|---" * len(COLUMNS) + "|",
        ]
        lines += [_long_row(outcome) for outcome in outcomes if outcome.system == system]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def cell(outcome: Outcome) -> str:
    """What the HPA did, in a few words."""
    counts = [count for _, count in outcome.did.replicas]
    if outcome.did.wrong_downs:
        at, before, _ = outcome.did.wrong_downs[0]
        least = min(after for _, _, after in outcome.did.wrong_downs)
        did = f"**{before} → {least}** from {at:.0f} s on"
    elif len(counts) > 1 and counts[0] == counts[-1]:
        did = f"{counts[0]} → {max(counts)} → {counts[-1]}"
    elif len(counts) > 1:
        did = f"{counts[0]} → {counts[-1]} within {outcome.did.replicas[-1][0]:.0f} s"
    elif outcome.did.held_seconds > 0:
        did = "held"
    else:
        did = "unmoved"
    if outcome.did.right_after is None:
        return f"{did}, not right within {outcome.did.watched_after:.0f} s after"
    return (
        did if outcome.did.right_after <= AT_ONCE else f"{did}, right {outcome.did.right_after:.0f} s after"
    )


def _long_row(outcome: Outcome) -> str:
    def changes(found: Sequence[tuple[float, int, int]]) -> str:
        return ", ".join(f"{before} → {after} at {at:.0f} s" for at, before, after in found) or "none"

    moved = " → ".join(f"{n} ({at:.0f})" if at else str(n) for at, n in outcome.did.replicas)
    after = "no" if outcome.did.right_after is None else f"{outcome.did.right_after:.0f} s"
    failed = "" if outcome.failed is None else f", {outcome.failed} answers"
    cells = [
        outcome.says,
        f"{outcome.did.fault_seconds:.0f} s{failed}",
        moved,
        changes(outcome.did.wrong_downs),
        changes(outcome.did.wrong_ups),
        changes(outcome.did.wrong_before),
        f"{outcome.did.held_seconds:.0f} s",
        after,
        _told(outcome.error),
    ]
    return "| " + " | ".join(cells) + " |"


def _told(error: str) -> str:
    """The adapter's own words, out of what the HPA wraps around them."""
    said = error.rpartition("external metrics API: ")[2] or error
    return said.replace("|", "\\|").replace("\n", " ")[:200] or "values"


def _names(outcomes: Sequence[Outcome]) -> tuple[list[str], dict[str, str]]:
    """Systems, and rows with what they say, in the order in which they came."""
    return list(dict.fromkeys(o.system for o in outcomes)), {o.row: o.says for o in outcomes}


def between_marks(text: str, table: str, marks: tuple[str, str] = MARKS) -> str:
    """`text` with the table in its place. Raises ValueError where the place is not marked once."""
    first, last = marks
    if text.count(first) != 1 or text.count(last) != 1:
        raise ValueError(f"the place of the table is between one {first} and one {last}")
    head, rest = text.split(first)
    return f"{head}{first}\n{table}\n{last}{rest.split(last)[1]}"
