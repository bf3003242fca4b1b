"""The real Helm that renders, lints and installs the chart, built from source by Go once per machine.

`python -m tests.deploy.build_tools` builds it ahead and prints its path. Standard library only."""

import sys
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key
from tests.go_tools import Go

MODULE = Path(__file__).parent / "tools"
VERSION = "v4.2.4"
PACKAGE = "helm.sh/helm/v4/cmd/helm"
LINK_FLAGS = f"-s -w -X helm.sh/helm/v4/internal/version.version={VERSION}"
NEEDS_BYTES = 3_000_000_000


def ensure_helm() -> Path:
    """The program; builds what no earlier run built."""
    key = content_key((MODULE / "go.mod", MODULE / "go.sum"), LINK_FLAGS, PACKAGE)
    return build_once(cache_folder() / "helm" / key, _build, needs_bytes=NEEDS_BYTES) / "helm"


def _build(folder: Path, progress: Progress) -> None:
    with Go(folder, [MODULE], progress) as go:
        go.build(PACKAGE, folder / "helm", MODULE, "-ldflags", LINK_FLAGS)


if __name__ == "__main__":
    try:
        print(ensure_helm())
    except (OSError, RuntimeError) as problem:
        sys.exit(f"helm: {problem}")
