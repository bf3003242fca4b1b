"""Where the table stands: docs/faults.json as it came out of the run, and the two pages made of it."""

import json
from collections.abc import Mapping
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


if __name__ == "__main__":
    write_pages(json.loads(RECORDED.read_text()))
