"""KEDA's operator and metrics adapter, built from source by Go once per machine, with the manifests that its module ships.

`python -m tests.faults.keda_build` builds them ahead and prints their folder. Standard library only."""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key
from tests.go_tools import Go

MODULE = Path(__file__).parent / "keda_tools"
PACKAGE = "github.com/kedacore/keda/v2"
VERSION = "2.21.0"
LINK_FLAGS = f"-s -w -X={PACKAGE}/version.Version={VERSION}"
PROGRAMS = {"keda-adapter": f"{PACKAGE}/cmd/adapter", "keda-operator": f"{PACKAGE}/cmd/operator"}
MANIFESTS = (
    "config/crd/bases/*.yaml",
    "config/service_account/service_account.yaml",
    "config/rbac/role.yaml",
    "config/rbac/role_binding.yaml",
    "config/metrics-server/role.yaml",
    "config/metrics-server/role_binding.yaml",
)
NEEDS_BYTES = 8_000_000_000


@dataclass(frozen=True)
class KedaTools:
    adapter: Path
    operator: Path
    manifests: Path
    """Custom resources and rights, one YAML stream."""


def ensure_keda() -> KedaTools:
    """The programs' paths; builds what no earlier run built, six minutes on two cores."""
    key = content_key((MODULE / "go.mod", MODULE / "go.sum"), LINK_FLAGS, *PROGRAMS, *MANIFESTS)
    built = build_once(cache_folder() / "keda" / key, _build, needs_bytes=NEEDS_BYTES)
    return KedaTools(built / "keda-adapter", built / "keda-operator", built / "keda.yaml")


def _build(folder: Path, progress: Progress) -> None:
    with Go(folder, [MODULE], progress) as go:
        for name, package in PROGRAMS.items():
            go.build(package, folder / name, MODULE, "-ldflags", LINK_FLAGS)
        source = Path(go.run("list", "-m", "-f", "{{.Dir}}", PACKAGE, module=MODULE).strip())
        files = [file for pattern in MANIFESTS for file in sorted(source.glob(pattern))]
        (folder / "keda.yaml").write_text("\n---\n".join(file.read_text() for file in files))


if __name__ == "__main__":
    try:
        print(ensure_keda().operator.parent)
    except (OSError, RuntimeError) as problem:
        sys.exit(f"keda: {problem}")
