"""Keeps runs as recorded incidents: `python -m tests.incidents.keep FOLDER/NAME...` of runs that were made with `--triage`.

A run whose proof failed is refused. The rules of that night are taken out of the bundle, since those of the day judge it, and so is
the folder of the run: servers tell it in their logs. `triton-triage replay --rules rules FILE` replays one."""

import argparse
import gzip
import json
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
        if not result["proven"]:
            print(f"{run}: not kept, since its proof failed", file=sys.stderr)
            refused += 1
            continue
        bundle = gzip.decompress((run / BUNDLE).read_bytes()).replace(
            str(run.resolve()).encode(), b"/incident"
        )
        keep(result["id"], bundle, {"label": result["label"], "onset": round(result["onset"], 2)})
    return 1 if refused else 0


def keep(name: str, bundle: bytes, truth: dict[str, object]) -> None:
    evidence = json.loads(bundle) | {"tree": "", "measures": {}}
    compact = json.dumps(evidence, ensure_ascii=False, separators=(",", ":")).encode()
    (RECORDED / f"{name}.json.gz").write_bytes(gzip.compress(compact, mtime=0))
    truths = json.loads(TRUTHS.read_text()) | {name: truth}
    TRUTHS.write_text(json.dumps(dict(sorted(truths.items())), indent=1) + "\n")
    print(f"{name}: kept, {truth}")


if __name__ == "__main__":
    sys.exit(main())
