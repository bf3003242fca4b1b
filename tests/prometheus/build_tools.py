"""The real Prometheus and promtool that tests run, built from source by Go once per machine.

`python -m tests.prometheus.build_tools` builds them ahead and prints their folder. Standard library only."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key
from tests.go_tools import Go

MODULE = Path(__file__).parent / "tools"
# Files and fixed addresses remain: nothing here is found in a cloud, and those clients are most of the build.
TAGS = "remove_all_sd"
LINK_FLAGS = "-s -w"
PROGRAMS = {
    "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
}
NEEDS_BYTES = 3_000_000_000


@dataclass
class PrometheusTools:
    prometheus: Path
    promtool: Path
    queries: int = 0
    """That servers started with them have answered."""


def ensure_prometheus() -> PrometheusTools:
    """The programs' paths; builds what no earlier run built."""
    key = content_key((MODULE / "go.mod", MODULE / "go.sum"), TAGS, LINK_FLAGS, *PROGRAMS)
    built = build_once(cache_folder() / "prometheus" / key, _build, needs_bytes=NEEDS_BYTES)
    return PrometheusTools(built / "prometheus", built / "promtool")


def _build(folder: Path, progress: Progress) -> None:
    with Go(folder, [MODULE], progress) as go:
        for name, package in PROGRAMS.items():
            go.build(package, folder / name, MODULE, "-tags", TAGS, "-ldflags", LINK_FLAGS)


if __name__ == "__main__":
    try:
        print(ensure_prometheus().prometheus.parent)
    except (OSError, RuntimeError) as problem:
        sys.exit(f"prometheus: {problem}")
