"""Commands that take a rollout back, or hold it, in the words of the tool that owns the workload: who changes the object behind
its owner's back finds the change reverted.

Sources: `argoproj/argo-cd:docs/user-guide/auto_sync.md` (no rollback while automated sync is on), and there
`commands/argocd_app_set.md` and `argocd_app_rollback.md`; `fluxcd/flux2:cmd/flux/suspend_kustomization.go` and
`suspend_helmrelease.go`; `helm/helm:pkg/cmd/rollback.go` (without a revision: to the release before);
`kubernetes/kubectl:pkg/polymorphichelpers/rollback.go` (no undo of a paused Deployment) and `objectpauser.go` (only Deployments
can be paused)."""

import shlex

from triage.latency.facts import Rollouts

ABOVE_ALL_ORDINALS = 100_000


def undo_command(rollouts: Rollouts, namespace: str = "", kubectl: str = "kubectl") -> str:
    """Takes the latest rollout back; several commands are joined by `&&`. Empty: there is nothing to go back to.

    Helm's and Argo CD's own numbers are not the revisions' numbers, so both go back by one of their releases."""
    tool, name = _owner(rollouts)
    if tool == "helm":
        return f"helm rollback {name}{_flag(rollouts.managed_in or namespace)}"
    if tool == "argocd" and name:
        return f"{freeze_command(rollouts, namespace, kubectl)} && argocd app rollback {name}"
    if len(rollouts.revisions) < 2:
        return ""
    rollout = f"{_kubectl(kubectl, namespace)} rollout"
    workload = shlex.quote(rollouts.workload)
    undo = f"{rollout} undo {workload} --to-revision={rollouts.revisions[-2].number}"
    if rollouts.paused:
        undo = f"{rollout} resume {workload} && {undo}"
    return f"{freeze_command(rollouts, namespace, kubectl)} && {undo}" if tool == "flux" else undo


def freeze_command(rollouts: Rollouts, namespace: str = "", kubectl: str = "kubectl") -> str:
    """Keeps the owner, or the workload's controller where nobody owns it, from changing more pods.

    Helm changes nothing between two commands of a person, so there the controller is held."""
    tool, name = _owner(rollouts)
    if tool == "argocd" and name:
        return f"argocd app set {name} --sync-policy none"
    if tool == "flux":
        kind, _, object_name = name.partition("/")
        return f"flux suspend {kind} {object_name}{_flag(rollouts.managed_in)}"
    command, workload = _kubectl(kubectl, namespace), shlex.quote(rollouts.workload)
    match rollouts.workload.partition("/")[0]:
        case "statefulset":  # cannot be paused; pods below the partition's ordinal stay as they are
            strategy = f'{{"type":"RollingUpdate","rollingUpdate":{{"partition":{ABOVE_ALL_ORDINALS}}}}}'
        case "daemonset":
            strategy = '{"type":"OnDelete"}'
        case _:
            return f"{command} rollout pause {workload}"
    return f'{command} patch {workload} -p \'{{"spec":{{"updateStrategy":{strategy}}}}}\''


def _owner(rollouts: Rollouts) -> tuple[str, str]:
    tool, _, name = rollouts.managed_by.partition(" ")
    return tool, shlex.quote(name) if name else ""


def _kubectl(kubectl: str, namespace: str) -> str:
    return f"{kubectl}{_flag(namespace)}"


def _flag(namespace: str) -> str:
    return f" -n {shlex.quote(namespace)}" if namespace else ""
