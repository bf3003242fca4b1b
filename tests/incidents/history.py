"""An earlier run's metrics pages as the history of a day and of a week ago: what was really measured then, moved back in time."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.incidents.cluster import NAMESPACE

DAY_SECONDS = 86_400
AGO_DAYS = (1, 7)
_SAMPLE = re.compile(
    r"^(?P<family>(?:nv_inference|traefik)_\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$", re.MULTILINE
)


def openmetrics(folder: Path, start: float) -> str:
    """Of the run in `folder`, as if its baseline had begun some days before `start`; for `promtool tsdb create-blocks-from`."""
    began = json.loads((folder / "result.json").read_text())["baseline"]["start"]
    shifts = [start - days * DAY_SECONDS - began for days in AGO_DAYS]
    nodes = {row["pod"]: row["node"] for row in json.loads((folder / "placements.json").read_text())}
    lines = [
        line
        for file in sorted(folder.glob("pages/*.jsonl"))
        for line in _lines(file, nodes.get(file.stem, ""), shifts)
    ]
    return "".join(f"{line}\n" for line in lines) + "# EOF\n"


def _lines(file: Path, node: str, shifts: list[float]) -> Iterator[str]:
    target = f'pod="{file.stem}",namespace="{NAMESPACE}",node="{node}"' if node else f'instance="{file.stem}"'
    for page in map(json.loads, file.read_text().splitlines()):
        for sample in _SAMPLE.finditer(page.get("text", "")):
            if sample["value"].lower() != "nan":
                labels = ",".join(filter(None, (sample["labels"], target)))
                for shift in shifts:
                    yield f"{sample['family']}{{{labels}}} {sample['value']} {page['at'] + shift:.3f}"
