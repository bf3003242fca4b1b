"""Where the table stands: docs/faults.json as it came out of the run, and the two pages made of it."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.faults.table import between_marks, from_json, long, short

CHECKOUT: Final = Path(__file__).parents[2]
RECORDED: Final = CHECKOUT / "docs" / "faults.json"
PAGE: Final = CHECKOUT / "docs" / "faults.md"
README: Final = CHECKOUT / "README.md"


def write_pages(told: Mapping[str, Any]) -> None:
    RECORDED.write_text(json.dumps(told, indent=1) + "\n")
    for file, text in pages(told).items():
        file.write_text(text)


def pages(told: Mapping[str, Any]) -> dict[Path, str]:
    """README and docs/faults.md with the tables of this run."""
    outcomes = from_json(told)
    readme = between_marks(README.read_text(), short(outcomes))
    return {README: readme, PAGE: between_marks(PAGE.read_text(), f"{short(outcomes)}\n\n{long(outcomes)}")}


def joined(files: Sequence[Path]) -> Mapping[str, Any]:
    """One run out of several that played other systems, in the order of these files."""
    runs = [json.loads(file.read_text()) for file in files]
    return {**runs[0], "outcomes": [outcome for run in runs for outcome in run["outcomes"]]}


if (
    __name__ == "__main__"
):  # with files of `--json`, of systems that were played beside each other; else what is recorded
    write_pages(joined([Path(name) for name in sys.argv[1:]] or [RECORDED]))
