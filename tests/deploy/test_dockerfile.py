"""The image cannot be built where tests run, so what it is made of is checked piece by piece."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.helm import CHECKOUT

DOCKERFILE = CHECKOUT / "deploy" / "Dockerfile"
INSTRUCTIONS = re.findall(
    r"(?m)^([A-Z]+) (.+)$", re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", DOCKERFILE.read_text()))
)
COPIED = [
    source
    for word, rest in INSTRUCTIONS
    if word == "COPY" and "--from" not in rest
    for source in rest.split()[:-1]
]


def test_the_dockerfile_is_clean_by_hadolint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_every_base_is_pinned_to_an_exact_version() -> None:
    bases = [rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"]
    assert len(bases) == 2, "what builds does not ship"
    for base in bases:
        assert re.fullmatch(r"python:3\.11\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base), base


def test_every_package_is_pinned_by_hash_and_none_is_compiled() -> None:
    installs = re.findall(
        r"install .*?(?= && |$)", "\n".join(rest for word, rest in INSTRUCTIONS if word == "RUN"), re.M
    )
    assert len(installs) == 3
    for install in installs:
        assert (
            "--require-hashes" in install and "--only-binary :all:" in install
        ) or "--no-index" in install, install


@pytest.mark.parametrize("lock", ["build.txt", "runtime.txt"])
def test_a_lock_holds_all_that_its_packages_need(lock: str) -> None:
    """pip refuses a lock with hashes that lacks one. What the installed packages say of themselves is asked, for Linux on both
    architectures: the lock of the checks holds the same versions."""
    pinned = re.findall(r"(?m)^([\w.-]+)==", (CHECKOUT / "requirements" / lock).read_text())
    locked = {canonicalize_name(name) for name in pinned}
    for name in locked:
        for need in map(Requirement, distribution(name).requires or ()):
            for machine in ("x86_64", "aarch64"):
                here = need.marker is None or need.marker.evaluate({"extra": "", "platform_machine": machine})
                assert not here or canonicalize_name(need.name) in locked, f"{name} needs {need}"


def test_what_builds_the_wheel_is_what_the_checks_install() -> None:
    pinned = re.compile(r"(?m)^([\w-]+==\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)")
    checked = dict(pinned.findall((CHECKOUT / "requirements" / "dev.txt").read_text()))
    built = dict(pinned.findall((CHECKOUT / "requirements" / "build.txt").read_text()))
    assert built.items() <= checked.items()
    assert any(each.startswith("hatchling==") for each in built)


def test_it_runs_as_the_user_that_the_chart_names() -> None:
    last = max(place for place, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM")
    final = dict(INSTRUCTIONS[last:])
    assert final["USER"] == "65532:65532"
    assert final["ENTRYPOINT"] == '["/opt/triton-ops/bin/triton-autoscaler"]'


@pytest.mark.parametrize("source", COPIED)
def test_every_file_copied_is_in_the_build_context(source: str) -> None:
    """.dockerignore leaves out all that it does not name."""
    assert (CHECKOUT / source).exists()
    allowed = (CHECKOUT / ".dockerignore").read_text().splitlines()
    assert f"!{source}" in allowed


def test_a_wheel_of_exactly_what_is_copied_runs_without_writing(tmp_path: Path) -> None:
    """Built as the Dockerfile builds it; unpacked into a read-only folder, it finds its rules and says its version."""
    context, site = tmp_path / "context", tmp_path / "site"
    for source in COPIED:
        into = context / source
        into.parent.mkdir(parents=True, exist_ok=True)
        if (CHECKOUT / source).is_dir():
            shutil.copytree(CHECKOUT / source, into, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / source, into)
    pip = [sys.executable, "-m", "pip"]
    wheel: list[str | Path] = [
        *pip,
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        tmp_path / "dist",
        context,
    ]
    subprocess.run(wheel, check=True, capture_output=True)
    [built] = (tmp_path / "dist").glob("*.whl")
    shutil.unpack_archive(built, site, "zip")
    for path in (site, *site.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    run = "import autoscaler.cli as c, autoscaler, sys; assert autoscaler.__file__.startswith(sys.argv.pop(1)); c.main()"
    said = subprocess.run(
        [sys.executable, "-c", run, site, "signals"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert said.returncode == 0, said.stderr
    assert "triton_inference_concurrency" in said.stdout
