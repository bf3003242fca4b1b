"""Who owns an object and would revert another's change: Helm, Argo CD or Flux, told by the marks that they leave on it.

Marks as documented: `helm/helm:pkg/action/validate.go` (label and annotation together; a chart that another tool renders has the
label alone), `argoproj/argo-cd:docs/user-guide/resource_tracking.md`, `fluxcd/helm-controller:internal/postrender/origin_labels.go`
and `fluxcd/kustomize-controller:docs/spec/v1/kustomizations.md`."""

from collections.abc import Collection, Mapping
from typing import NamedTuple


class Owner(NamedTuple):
    tool: str
    """`helm`, `argocd` or `flux`; empty: no mark of any."""
    name: str = ""
    """The release, the application, or `helmrelease/NAME` and `kustomization/NAME` for Flux."""
    namespace: str = ""
    """Of the release or Flux's object; empty where the marks do not tell."""

    def __str__(self) -> str:
        return f"{self.tool} {self.name}".rstrip()


NOBODY = Owner("")


def owner_of(
    labels: Mapping[str, str], annotations: Mapping[str, str], field_managers: Collection[str] = ()
) -> Owner:
    """The outermost owner: Flux also leaves Helm's marks, as it installs releases by Helm's own code."""
    for kind, group in (("helmrelease", "helm"), ("kustomization", "kustomize")):
        if name := labels.get(f"{group}.toolkit.fluxcd.io/name"):
            return Owner("flux", f"{kind}/{name}", labels.get(f"{group}.toolkit.fluxcd.io/namespace", ""))
    if tracked := annotations.get("argocd.argoproj.io/tracking-id", "").partition(":")[0]:
        # NAMESPACE_NAME outside of Argo CD's own namespace; its commands take NAMESPACE/NAME.
        return Owner("argocd", tracked.replace("_", "/", 1))
    if name := labels.get("argocd.argoproj.io/instance"):
        return Owner("argocd", name)
    if any(manager.startswith("argocd") for manager in field_managers):
        # The default label up to 2.x is everybody's, so it counts only beside Argo CD's own writing.
        return Owner("argocd", labels.get("app.kubernetes.io/instance", ""))
    release = annotations.get("meta.helm.sh/release-name", "")
    if release and labels.get("app.kubernetes.io/managed-by") == "Helm":
        return Owner("helm", release, annotations.get("meta.helm.sh/release-namespace", ""))
    return NOBODY
