"""The tables, and the record that they are made of. Pure."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from tests.stability.loads import Load
from tests.stability.outcome import Outcome, Step, downs_into_overload, flaps
from tests.stability.reference import SAYS
from tests.stability.systems import BEHAVIOURS, SYNC_SECONDS, SYSTEMS

COLUMNS: Final = (
    "target",
    "behaviour",
    "flaps",
    "pods added",
    "downs into overload",
    "seconds over the objective",
    "waited long",
    "most replicas",
    "replica-minutes",
    "no value",
)
SUMMARY: Final = "Flaps / pods added / seconds over the objective / replica-minutes, of each load:"


def table(load: Load, outcomes: Sequence[Outcome]) -> str:
    """A row for each system and behaviour under this load."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [_row(load, outcome) for outcome in outcomes if outcome.load == load.name]
    return "\n".join(lines)


def summary(loads: Sequence[Load], outcomes: Sequence[Outcome]) -> str:
    """A row for each system and behaviour, a column for each load; each cell as SUMMARY says."""
    lines = [
        f"| target | behaviour | {' | '.join(load.name for load in loads)} |",
        "|---" * (len(loads) + 2) + "|",
    ]
    rows: dict[tuple[str, str], dict[str, Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.system, outcome.behaviour), {})[outcome.load] = outcome
    for (system, behaviour), found in rows.items():
        cells = [_cell(found[load.name]) if load.name in found else "" for load in loads]
        lines.append(f"| {says(system)} | {said_of(behaviour)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def says(system: str) -> str:
    """In words."""
    return SAYS.get(system) or next(one.says for one in SYSTEMS if one.name == system)


def said_of(behaviour: str) -> str:
    """In words; empty for none."""
    return next((one.says for one in BEHAVIOURS if one.name == behaviour), "")


def to_json(outcomes: Sequence[Outcome]) -> str:
    """A line for each outcome."""
    lines = ",\n".join(json.dumps(asdict(outcome), separators=(",", ":")) for outcome in outcomes)
    return f'{{"outcomes":[\n{lines}\n]}}\n'


def from_json(text: str) -> list[Outcome]:
    def read(row: dict[str, Any]) -> Outcome:
        steps = tuple(Step(**step) for step in row["steps"])
        return Outcome(**row | {"steps": steps, "waits_ms": tuple(row["waits_ms"])})

    return [read(row) for row in json.loads(text)["outcomes"]]


def _row(load: Load, outcome: Outcome) -> str:
    reference = outcome.system in SAYS
    cells = [
        says(outcome.system),
        said_of(outcome.behaviour),
        "" if reference else str(flaps(outcome, SYNC_SECONDS)),
        str(outcome.added),
        "" if reference else str(downs_into_overload(outcome, load)),
        str(outcome.over_seconds),
        f"{outcome.long / outcome.requests:.1%}".replace("%", " %"),
        str(outcome.most),
        f"{outcome.replica_minutes:.0f}",
        "" if reference else f"{outcome.held_seconds:.0f} s",
    ]
    return f"| {' | '.join(cells)} |"


def _cell(outcome: Outcome) -> str:
    counted = "–" if outcome.system in SAYS else str(flaps(outcome, SYNC_SECONDS))
    return f"{counted} / {outcome.added} / {outcome.over_seconds} / {outcome.replica_minutes:.0f}"
