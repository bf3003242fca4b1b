"""Where the runs stand: docs/stability.json as it came out of them, docs/stability.md and the drawings made of it."""

from pathlib import Path
from typing import Final

from tests.faults.table import between_marks
from tests.stability import gain
from tests.stability.drawing import draw
from tests.stability.loads import AIM, LOADS
from tests.stability.systems import HIGH_AIM, MANY
from tests.stability.table import SUMMARY, from_json, summary, table

DOCS: Final = Path(__file__).parents[2] / "docs"
RECORDED: Final = DOCS / "stability.json"
PAGE: Final = DOCS / "stability.md"
MARKS: Final = ("<!-- stability: made by `make stability` -->", "<!-- stability end -->")

AIMS: Final = ((AIM, 1), (HIGH_AIM, 1), (HIGH_AIM, MANY))


def write_pages(recorded: str) -> None:
    RECORDED.write_text(recorded)
    for file, text in pages(recorded).items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def pages(recorded: str) -> dict[Path, str]:
    """docs/stability.md with the slopes and the tables of this record, and a drawing for each load."""
    outcomes = from_json(recorded)
    made = {DOCS / "stability" / f"{load.name}.svg": draw(load, outcomes) for load in LOADS}
    parts = [SUMMARY, summary(LOADS, outcomes), "## By arithmetic", gain.SAYS, gain.table(AIMS)]
    for load in LOADS:
        title = f"## {load.name.capitalize()}: {load.says}"
        drawing = f"![load, replicas and waits over time](stability/{load.name}.svg)"
        parts += [title, table(load, outcomes), drawing]
    return made | {PAGE: between_marks(PAGE.read_text(), "\n\n".join(parts), MARKS)}


if __name__ == "__main__":
    write_pages(RECORDED.read_text())
