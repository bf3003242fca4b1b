"""Writes deploy/install.yaml, deploy/apiservice.yaml, deploy/triage.yaml and deploy/gpu-agent.yaml from the chart, for those who do
not use Helm, the chart's own copy of the custom resource, deploy/prometheus-rules.yaml from rules/prometheus, for the Prometheus
operator, and the recording rules from rules/signals, as a rule file and for the operator: `make manifests`."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from autoscaler.recording_rules import render_recording_rules
from autoscaler.signal import load_signals
from telemetry.rules_dir import rules_dir
from tests.deploy.build_tools import ensure_helm

RULES = Path(__file__).parents[1] / "rules" / "prometheus"
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
TRIAGE = f"""\
{HEADER}# triton-triage without Slack. Set yours: the namespace of your Triton pods wherever `inference` stands (each has its own
# Role), their label, and Prometheus' address. For Slack, TLS or other ports render your own: helm template triton-autoscaler
# deploy/chart -n {NAMESPACE} --show-only "templates/triage/*.yaml" -f VALUES. What comes first: docs/operations.md.
#   kubectl apply -f deploy/triagereports.yaml
#   kubectl apply -f deploy/triage.yaml
# After a change of the ConfigMap: kubectl rollout restart deployment/triton-triage -n {NAMESPACE}.
# To uninstall: kubectl delete -f deploy/triage.yaml, which deletes the volume with bundles and audit record, too. The TriageReports
# stay until deploy/triagereports.yaml is deleted.
"""
_TRIAGE_VALUES = (
    *("--set", "triage.enabled=true"),
    *("--set", "triage.config.tritons.namespaces={inference}"),
    *("--set", "triage.config.prometheus.url=http://prometheus.monitoring.svc:9090"),
    *("--set", "triage.persistence.annotations=null"),  # which are Helm's
)
GPU_AGENT_NAMESPACE = "triton-gpu-agent"
GPU_AGENT = f"""\
{HEADER}# triton-gpu-agent on each node with nvidia.com/gpu.present=true, in a namespace of its own: its pods mount the kubelet's
# pod-resources folder and run as root (docs/security.md), which no stricter Pod Security Standard allows. Where a dcgm-exporter
# runs you have its numbers already:
#   kubectl get daemonsets -A -o wide | grep dcgm-exporter
# Remove runtimeClassName where your cluster has no RuntimeClass `nvidia`.
#   kubectl apply -f deploy/gpu-agent.yaml
# To uninstall: kubectl delete -f deploy/gpu-agent.yaml
apiVersion: v1
kind: Namespace
metadata:
  name: {GPU_AGENT_NAMESPACE}
  labels:
    pod-security.kubernetes.io/enforce: privileged
"""
_GPU_AGENT_VALUES = (
    *("--set", "gpuAgent.enabled=true"),
    *("--set", f"gpuAgent.namespace={GPU_AGENT_NAMESPACE}"),
)

RULES_HEADER = """\
# Rendered from rules/prometheus by `make manifests`: change those files, not this one. One object a file, so that one may be left
# out: triton-ops-triage is for where `triton-triage serve` runs. The operator's ruleSelector must take them: add the label that it
# asks for.
#   kubectl apply -f deploy/prometheus-rules.yaml
"""


def prometheus_rules() -> str:
    """Every rule file as a PrometheusRule, with its comments."""
    return RULES_HEADER + "---\n".join(map(_prometheus_rule, sorted(RULES.glob("*.yaml"))))


def _prometheus_rule(file: Path) -> str:
    told, _, groups = file.read_text().partition("groups:\n")
    head = f"""\
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: triton-ops-{file.stem}
  namespace: {NAMESPACE}
  labels:
    app.kubernetes.io/part-of: triton-ops
spec:
  groups:
"""
    indented = (f"  {line}" if line.strip() else line for line in groups.splitlines(keepends=True))
    return told + head + "".join(indented)


def recording_rules() -> Mapping[Path, str]:
    """Those of the signals that ship, for labels and intervals as they usually are."""
    rows = load_signals(rules_dir() / "signals")
    return {
        DEPLOY / "recording-rules.yaml": render_recording_rules(rows, None, operator=False),
        DEPLOY / "recording-rules-operator.yaml": render_recording_rules(rows, None, operator=True),
    }


def rendered(helm: Path) -> Mapping[Path, str]:
    """The files and their text. CalledProcessError, with Helm's message on stderr, where the chart does not render."""
    whole = _template(helm, "--set", "apiService.create=false")
    triage = _template(helm, *_TRIAGE_VALUES, "--show-only", "templates/triage/*.yaml")
    gpu_agent = _template(helm, *_GPU_AGENT_VALUES, "--show-only", "templates/gpu-agent/*.yaml")
    api_service = _template(helm, "--show-only", "templates/apiservice.yaml")
    return {
        DEPLOY / "install.yaml": INSTALL + whole,
        DEPLOY / "apiservice.yaml": HEADER + api_service.removeprefix("---\n"),
        DEPLOY / "triage.yaml": TRIAGE + triage.removeprefix("---\n"),
        DEPLOY / "gpu-agent.yaml": GPU_AGENT + gpu_agent,
        DEPLOY / "chart" / "crds" / "triagereports.yaml": (DEPLOY / "triagereports.yaml").read_text(),
        DEPLOY / "prometheus-rules.yaml": prometheus_rules(),
        **recording_rules(),
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
