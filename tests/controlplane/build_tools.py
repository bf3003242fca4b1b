"""The real Kubernetes programs that tests run, built from source by Go once per machine.

`python -m tests.controlplane.build_tools` builds them ahead and prints their folder. Standard library
only."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key
from tests.go_tools import Go

HERE = Path(__file__).parent / "tools"
MODULES = (HERE / "kubernetes", HERE / "kwok")
VERSION = "v1.36.3"
# kubectl cannot parse the version of a server that was built without one.
LINK_FLAGS = f"-s -w -X k8s.io/component-base/version.gitVersion={VERSION}"
PROGRAMS = {
    "etcd": (MODULES[0], "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": (MODULES[0], "k8s.io/kubernetes/cmd/kube-apiserver"),
    "kube-controller-manager": (MODULES[0], "k8s.io/kubernetes/cmd/kube-controller-manager"),
    "kubectl": (MODULES[0], "k8s.io/kubernetes/cmd/kubectl"),
    "kwok": (MODULES[1], "sigs.k8s.io/kwok/cmd/kwok"),
}
STAGES = ("kustomize/stage/node/fast/node-initialize.yaml", "kustomize/stage/pod/fast")
NEEDS_BYTES = 6_000_000_000  # Go's build cache 3.9 GB, module sources 1.5 GB, programs 0.4 GB


@dataclass(frozen=True)
class Tools:
    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kwok: Path
    kubectl: Path
    stages: Path
    """kwok's rules of how simulated nodes and pods become ready and go, one YAML stream."""


def ensure_tools() -> Tools:
    """The programs' paths; builds what no earlier run built.

    etcd, kube-apiserver and kubectl come from `$KUBEBUILDER_ASSETS` where it is set and has them; the other
    two are in no such bundle."""
    key = content_key(
        (module / name for module in MODULES for name in ("go.mod", "go.sum")), LINK_FLAGS, *PROGRAMS, *STAGES
    )
    built = build_once(cache_folder() / "tools" / key, _build, needs_bytes=NEEDS_BYTES)
    assets = Path(os.environ.get("KUBEBUILDER_ASSETS") or built)

    def preferred(name: str) -> Path:
        return assets / name if (assets / name).is_file() else built / name

    return Tools(
        etcd=preferred("etcd"),
        kube_apiserver=preferred("kube-apiserver"),
        kube_controller_manager=built / "kube-controller-manager",
        kwok=built / "kwok",
        kubectl=preferred("kubectl"),
        stages=built / "stages.yaml",
    )


def _build(folder: Path, progress: Progress) -> None:
    with Go(folder, MODULES, progress) as go:
        for name, (module, package) in PROGRAMS.items():
            go.build(package, folder / name, module, "-ldflags", LINK_FLAGS)
        source = Path(go.run("list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok", module=MODULES[1]).strip())
        (folder / "stages.yaml").write_text(_stages(source))


def _stages(source: Path) -> str:
    documents = []
    for place in STAGES:
        found = source / place
        files = sorted(found.glob("pod-*.yaml")) if found.is_dir() else [found]
        documents += [file.read_text() for file in files]
    return "\n---\n".join(documents)


if __name__ == "__main__":
    try:
        print(ensure_tools().kwok.parent)
    except (OSError, RuntimeError) as problem:
        sys.exit(f"tools: {problem}")
