"""The real Prometheus, promtool, Alertmanager and amtool that tests run, built from source by Go once per machine.

`python -m tests.prometheus.build_tools` builds them ahead and prints their folders. Standard library only."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key
from tests.go_tools import Go

MODULE = Path(__file__).parent / "tools"
ALERTMANAGER_MODULE = Path(__file__).parent / "alertmanager_tools"
# Files and fixed addresses remain: nothing here is found in a cloud, and those clients are most of the build.
TAGS = "remove_all_sd"
LINK_FLAGS = "-s -w"
PROGRAMS = {
    "prometheus": "github.com/prometheus/prometheus/cmd/prometheus",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
}
ALERTMANAGER_PROGRAMS = {
    "alertmanager": "github.com/prometheus/alertmanager/cmd/alertmanager",
    "amtool": "github.com/prometheus/alertmanager/cmd/amtool",
}
NEEDS_BYTES = 3_000_000_000
ALERTMANAGER_NEEDS_BYTES = 2_000_000_000


@dataclass
class PrometheusTools:
    prometheus: Path
    promtool: Path
    queries: int = 0
    """That servers started with them have answered."""


@dataclass(frozen=True)
class AlertmanagerTools:
    alertmanager: Path
    amtool: Path


def ensure_prometheus() -> PrometheusTools:
    """The programs' paths; builds what no earlier run built."""
    key = content_key((MODULE / "go.mod", MODULE / "go.sum"), TAGS, LINK_FLAGS, *PROGRAMS)
    built = build_once(cache_folder() / "prometheus" / key, _build, needs_bytes=NEEDS_BYTES)
    return PrometheusTools(built / "prometheus", built / "promtool")


def ensure_alertmanager() -> AlertmanagerTools:
    """The programs' paths; builds what no earlier run built."""
    files = (ALERTMANAGER_MODULE / "go.mod", ALERTMANAGER_MODULE / "go.sum")
    key = content_key(files, LINK_FLAGS, *ALERTMANAGER_PROGRAMS)
    folder = cache_folder() / "alertmanager" / key
    built = build_once(folder, _build_alertmanager, needs_bytes=ALERTMANAGER_NEEDS_BYTES)
    return AlertmanagerTools(built / "alertmanager", built / "amtool")


def _build(folder: Path, progress: Progress) -> None:
    with Go(folder, [MODULE], progress) as go:
        for name, package in PROGRAMS.items():
            go.build(package, folder / name, MODULE, "-tags", TAGS, "-ldflags", LINK_FLAGS)


def _build_alertmanager(folder: Path, progress: Progress) -> None:
    with Go(folder, [ALERTMANAGER_MODULE], progress) as go:
        for name, package in ALERTMANAGER_PROGRAMS.items():
            go.build(package, folder / name, ALERTMANAGER_MODULE, "-ldflags", LINK_FLAGS)


if __name__ == "__main__":
    try:
        print(ensure_prometheus().prometheus.parent)
        print(ensure_alertmanager().alertmanager.parent)
    except (OSError, RuntimeError) as problem:
        sys.exit(f"prometheus: {problem}")
