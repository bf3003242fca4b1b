"""Pods whose owner has an owner: only who may read the one between knows the name at the top."""

from collections.abc import Mapping

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object

NAMESPACE = "owned"
ABOVE: Mapping[str, str] = {
    kind: f"above-the-{kind.lower()}" for kind in ("ReplicaSet", "StatefulSet", "Pod")
}
"""By the kind that owns a Triton pod, the name of what owns that: the workload that HPAs select by."""
LABELS = {"app.kubernetes.io/name": "triton"}


async def make_owned_pods(control_plane: ControlPlane) -> None:
    """Simulated pods that run, with no Triton behind them. What stands at the top is a ConfigMap: any kind will do."""
    await control_plane.create_namespace(NAMESPACE)
    owner = {kind: await _top(control_plane, name) for kind, name in ABOVE.items()}
    spec: Object = {"nodeName": "node-0", "containers": [{"name": "triton", "image": "tritonserver"}]}
    template = {"metadata": {"labels": LABELS}, "spec": spec}
    for kind in ("ReplicaSet", "StatefulSet"):
        labels = {**LABELS, "of": kind}
        controller = {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {"labels": labels}},
        }
        await control_plane.api.apply(
            {"apiVersion": "apps/v1", "kind": kind, **_metadata(kind, owner[kind]), "spec": controller}
        )
    leader = {"apiVersion": "v1", "kind": "Pod", **_metadata("leader", owner["Pod"]), "spec": spec}
    [made] = await control_plane.api.apply(leader)
    worker = {"apiVersion": "v1", "kind": "Pod", **_metadata("worker", made), "spec": spec}
    worker["metadata"]["labels"] = LABELS
    await control_plane.api.apply(worker)


async def _top(control_plane: ControlPlane, name: str) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE}
    [made] = await control_plane.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    return made


def _metadata(name: str, owner: Object) -> Object:
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return {"metadata": {"name": name.lower(), "namespace": NAMESPACE, "ownerReferences": [reference]}}
