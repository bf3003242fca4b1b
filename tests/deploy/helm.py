"""The real Helm on this project's chart, as a person runs it."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.kube_client import Object

CHECKOUT = Path(__file__).parents[2]
CHART = CHECKOUT / "deploy" / "chart"
RELEASE, NAMESPACE = "triton-autoscaler", "triton-ops"
MONITORS = {"prometheus": {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}}}
CERT_MANAGER = {"certManager": {"enabled": True}}
CUSTOM_KINDS = {"ServiceMonitor", "PodMonitor", "Issuer", "Certificate"}
"""Of operators that the test cluster does not run."""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    output: str
    error: str


class Helm:
    def __init__(self, program: Path, home: Path) -> None:
        """`home` takes Helm's own files, so that nothing of a user's is read."""
        self._program = program
        self._environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}

    def run(self, *arguments: str | Path, values: Mapping[str, Any] | None = None) -> Ended:
        command = [str(self._program), *map(str, arguments)]
        if values is not None:
            command += ["--values", "-"]
        ended = subprocess.run(
            command,
            input=json.dumps(values or {}),
            capture_output=True,
            text=True,
            timeout=120,
            env=self._environment,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def template(self, values: Mapping[str, Any] | None = None, *arguments: str) -> list[Object]:
        """The chart's objects, tests included, for the release that the plain manifests are made from."""
        ended = self.run("template", RELEASE, CHART, "--namespace", NAMESPACE, *arguments, values=values)
        assert ended.code == 0, ended.error
        return [each for each in yaml.safe_load_all(ended.output) if each]

    def refusal(self, values: Mapping[str, Any]) -> str:
        """What Helm says of values with which the chart must not render."""
        ended = self.run("template", RELEASE, CHART, "--namespace", NAMESPACE, values=values)
        assert ended.code != 0, f"rendered in spite of {values}"
        return ended.error


def of_kind(objects: Sequence[Object], kind: str, name: str | None = None) -> Object:
    """The one object of this kind, or of this kind and name."""
    [found] = [
        each
        for each in objects
        if each["kind"] == kind and (name is None or each["metadata"]["name"] == name)
    ]
    return found


def kinds(objects: Sequence[Object]) -> set[str]:
    return {each["kind"] for each in objects}
