"""The HPA, ready to apply: behaviour as in deploy/examples/hpa.yaml, and comments that say what each number rests on. Pure."""

import json
import textwrap
from typing import Final

from autoscaler.alias import alias_of, exact_alias_of
from autoscaler.quantity import format_quantity
from autoscaler.trial.reasons import what_it_says
from autoscaler.trial.seen import SCALED_ON, Seen

API_VERSIONS: Final = {
    "Deployment": "apps/v1",
    "StatefulSet": "apps/v1",
    "ReplicaSet": "apps/v1",
    "Rollout": "argoproj.io/v1alpha1",
}
"""Kinds that an HPA scales and whose replicas are pods."""
_WIDTH: Final = 98


def manifest(seen: Seen) -> str:
    """YAML of an autoscaling/v2 HorizontalPodAutoscaler. Raises ValueError where there is no target."""
    if seen.decision is None:
        raise ValueError("no target")
    fleet = seen.fleet
    name, namespace = fleet.workload.name, fleet.namespace
    least, most = seen.replicas
    lines = [
        *_comment(
            f"From `triton-autoscaler try`: {seen.seconds:.0f} s of {fleet.workload.kind.lower()}/{name}, {fleet.pods} pods."
        ),
        *_comment('It needs triton-autoscaler in the cluster: README.md, "On a cluster".'),
        *(line for other in seen.other_scalers for line in _comment(f"{say_other(other, name)}.")),
        "apiVersion: autoscaling/v2",
        "kind: HorizontalPodAutoscaler",
        "metadata:",
        f"  name: {_text(name)}",
        f"  namespace: {_text(namespace)}",
        "spec:",
        "  scaleTargetRef:",
        f"    apiVersion: {API_VERSIONS[fleet.workload.kind]}",
        f"    kind: {fleet.workload.kind}",
        f"    name: {_text(name)}",
        f"  minReplicas: {least}    # {fleet.pods} run now; your own floor, such as two zones, is better than this one",
        f"  maxReplicas: {most}    # twice what runs now; as many as you have GPUs for",
        "  metrics:",
        "    - type: External",
        "      external:",
        "        metric:",
        f"          name: {SCALED_ON}",
        "          selector:",
        "            matchLabels:",
        f"              workload: {_text(name)}",
        *_without_decoupled(seen),
        "        target:",
        "          type: AverageValue         # the fleet's total, divided by the target: stable while pods load",
        *(line for reason in what_it_says(seen) for line in _comment(f"- {reason}", " " * 10, "  ")),
        f'          averageValue: "{format_quantity(seen.decision.target)}"',
        "  behavior:",
        "    scaleDown:",
        "      stabilizationWindowSeconds: 300",
    ]
    return "\n".join(lines) + "\n"


def say_other(other: str, name: str) -> str:
    """What is to be done about an HPA that scales the workload already; the manifest's own is called like the workload."""
    if other == name:
        return f"HPA {other} scales this workload already: this one takes its place"
    return f"HPA {other} scales this workload already: delete it first, for two of them stop each other"


def model_label(model: str) -> str:
    """The label value that selects this model and no other."""
    return model if alias_of(model) == model else exact_alias_of(model)


def _without_decoupled(seen: Seen) -> list[str]:
    if not seen.decoupled:
        return []
    names = [model_label(model) for model in seen.decoupled]
    return [
        *_comment("decoupled: Triton's counters do not see their work", " " * 12),
        "            matchExpressions:",
        f"              - {{key: model, operator: NotIn, values: {json.dumps(names)}}}",
    ]


def _comment(text: str, indent: str = "", hanging: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=f"{indent}# ",
        subsequent_indent=f"{indent}# {hanging}",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _text(name: str) -> str:
    """A name as YAML: quoted where it would be read as something else, such as a number."""
    return name if name[:1].isalpha() and name.lower() not in _WORDS else json.dumps(name)


_WORDS: Final = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
