"""Writes deploy/install.yaml and deploy/apiservice.yaml from the chart, for those who do not use Helm: `make manifests`."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.deploy.build_tools import ensure_helm

DEPLOY = Path(__file__).parents[1] / "deploy"
RELEASE, NAMESPACE = "triton-autoscaler", "triton-ops"
HEADER = """\
# Rendered from deploy/chart by `make manifests`: change the chart, not this file.
"""
INSTALL = f"""\
{HEADER}# triton-autoscaler, two replicas with exactly the rights they use. First set your Triton pods' label in the ConfigMap.
#   kubectl apply -f deploy/install.yaml
#   kubectl create -f deploy/apiservice.yaml     (create, so that it never takes the slot of another adapter)
# To uninstall: kubectl delete -f deploy/apiservice.yaml first, then kubectl delete -f deploy/install.yaml.
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def rendered(helm: Path) -> Mapping[Path, str]:
    """The files and their text. CalledProcessError, with Helm's message on stderr, where the chart does not render."""
    whole = _template(helm, "--set", "apiService.create=false")
    api_service = _template(helm, "--show-only", "templates/apiservice.yaml")
    return {
        DEPLOY / "install.yaml": INSTALL + whole,
        DEPLOY / "apiservice.yaml": HEADER + api_service.removeprefix("---\n"),
    }


def _template(helm: Path, *arguments: str) -> str:
    """Labels that only Helm itself may claim are left out."""
    command = [
        str(helm),
        "template",
        RELEASE,
        str(DEPLOY / "chart"),
        "-n",
        NAMESPACE,
        "--skip-tests",
        *arguments,
    ]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603 -- built here
    own = ("app.kubernetes.io/managed-by: Helm", "helm.sh/chart:", "# Source:")
    return "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith(own))


if __name__ == "__main__":
    for file, text in rendered(ensure_helm()).items():
        file.write_text(text)
