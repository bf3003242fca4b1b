"""Keeps runs as recorded incidents: `python -m tests.incidents.keep FOLDER/NAME...` of runs that were made with `--triage`.

A run whose proof failed is refused, and so is a bundle that tells where it was made."""

import argparse
import gzip
import json
import shutil
import sys
from pathlib import Path

from tests.incidents.triaged import BUNDLE

RECORDED = Path(__file__).parent / "recorded"
TRUTHS = RECORDED / "truths.json"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.incidents.keep", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="FOLDER/NAME")
    refused = 0
    for run in parser.parse_args().runs:
        result = json.loads((run / "result.json").read_text())
        placed = str(run.resolve()).encode() in gzip.decompress((run / BUNDLE).read_bytes())
        if not result["proven"] or placed:
            why = "its bundle names its folder" if placed else "its proof failed"
            print(f"{run}: not kept, since {why}", file=sys.stderr)
            refused += 1
            continue
        keep(result["id"], run / BUNDLE, {"label": result["label"], "onset": round(result["onset"], 2)})
    return 1 if refused else 0


def keep(name: str, bundle: Path, truth: dict[str, object]) -> None:
    shutil.copy(bundle, RECORDED / f"{name}.json.gz")
    (RECORDED / f"{name}.json.gz").chmod(0o644)
    truths = json.loads(TRUTHS.read_text()) | {name: truth}
    TRUTHS.write_text(json.dumps(dict(sorted(truths.items())), indent=1) + "\n")
    print(f"{name}: kept, {truth}")


if __name__ == "__main__":
    sys.exit(main())
