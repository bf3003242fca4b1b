"""Who is on call in the tests' cluster: service accounts with the rights in a namespace that triage asks for, or fewer."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object

RIGHTS: Mapping[str, Sequence[str]] = {
    "": ("pods", "pods/log", "events"),
    "apps": ("deployments", "replicasets"),
    "autoscaling": ("horizontalpodautoscalers",),
}
"""By API group. None outside the namespace, so none on nodes."""
NO_RIGHTS: Mapping[str, Sequence[str]] = {}


async def on_call(
    control_plane: ControlPlane, namespace: str, name: str, rights: Mapping[str, Sequence[str]] = RIGHTS
) -> Path:
    """The kubeconfig of a new account that may get and list these resources."""
    await control_plane.api.apply(account(namespace, name, rights))
    return await control_plane.service_account_kubeconfig(namespace, name)


def account(namespace: str, name: str, rights: Mapping[str, Sequence[str]]) -> list[Object]:
    metadata, group = {"name": name, "namespace": namespace}, "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [api], "resources": list(resources), "verbs": ["get", "list"]}
        for api, resources in rights.items()
    ]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", **metadata}],
        },
    ]
