"""Commands that take a rollout back, or hold it, in the words of the tool that owns the workload: who changes the object behind
its owner's back finds the change reverted.

Sources: `argoproj/argo-cd:docs/user-guide/auto_sync.md` (no rollback while automated sync is on), and there
`commands/argocd_app_set.md` and `argocd_app_rollback.md`; `fluxcd/flux2:cmd/flux/suspend_kustomization.go` and
`suspend_helmrelease.go`; `helm/helm:pkg/cmd/rollback.go` (without a revision: to the release before);
`kubernetes/kubectl:pkg/polymorphichelpers/rollback.go` (no undo of a paused Deployment) and `objectpauser.go` (only Deployments
can be paused); `argoproj/argo-rollouts:docs/generated/kubectl-argo-rollouts/` (pause, abort, retry, undo);
`fluxcd/flagger:pkg/apis/flagger/v1beta1/canary.go` (suspend)."""

import shlex
from collections.abc import Sequence

from triage.cluster_views import Canary, Rollouts

ABOVE_ALL_ORDINALS = 100_000


def undo_command(
    rollouts: Rollouts, namespace: str = "", kubectl: str = "kubectl", revision: int | None = None
) -> str:
    """Takes the latest rollout back, to the revision before or to the one that is given; several commands are joined by `&&`.
    Empty: there is nothing to go back to.

    Helm's and Argo CD's own numbers are not the revisions' numbers, so both go back by one of their releases."""
    tool, name = _owner(rollouts)
    if tool == "helm":
        return f"helm rollback {name}{_flag(rollouts.managed_in or namespace)}"
    if tool == "argocd" and name:
        return f"{freeze_command(rollouts, namespace, kubectl)} && argocd app rollback {name}"
    if len(rollouts.revisions) < 2:
        return ""
    number = revision if revision is not None else rollouts.revisions[-2].number
    kind, _, own_name = rollouts.workload.partition("/")
    if kind == "rollout":
        undo = f"{_argo(kubectl, 'undo', own_name, namespace)} --to-revision={number}"
    else:
        rollout = f"{_kubectl(kubectl, namespace)} rollout"
        workload = shlex.quote(rollouts.workload)
        undo = f"{rollout} undo {workload} --to-revision={number}"
        if rollouts.paused:
            undo = f"{rollout} resume {workload} && {undo}"
    return f"{freeze_command(rollouts, namespace, kubectl)} && {undo}" if tool == "flux" else undo


def undo_with_pods(
    rollouts: Rollouts, namespace: str, revision: int, unready: Sequence[str], *, stopped: bool
) -> str:
    """`undo_command`, whether or not the rollout was stopped by `stop_command` meanwhile (`stopped`: that it was offered), and of a
    StatefulSet the deletion of its new pods that are not ready: its controller waits for these before it replaces any, so that the
    earlier template alone brings nothing back (kubernetes/website: docs/concepts/workloads/controllers/statefulset.md, Forced
    rollback)."""
    undo = undo_command(rollouts, namespace, revision=revision)
    if not undo:
        return ""
    kind = rollouts.workload.partition("/")[0]
    goes_on = _goes_on(rollouts, kind, namespace) if stopped and not rollouts.paused else ""
    # kubectl takes no paused Deployment back; other tools change its template first, so that nothing else is rolled out.
    first = kind == "deployment" and _owner(rollouts)[0] in ("", "flux")
    parts = (goes_on, undo) if first else (undo, goes_on)
    delete = kind == "statefulset" and unready
    deleted = f"{_kubectl('kubectl', namespace)} delete pod {shlex.join(unready)}" if delete else ""
    return " && ".join(filter(None, (*parts, deleted)))


def _goes_on(rollouts: Rollouts, kind: str, namespace: str) -> str:
    """Undoes `_pause`, and is no mistake where nothing was paused, as `rollout resume` is."""
    match kind:
        case "deployment":
            patch = '{"spec":{"paused":false}}'
            return f"{_kubectl('kubectl', namespace)} patch {shlex.quote(rollouts.workload)} -p '{patch}'"
        case "statefulset" | "daemonset":
            return _resume(rollouts, namespace, "kubectl")
        case _:
            return ""


def freeze_command(rollouts: Rollouts, namespace: str = "", kubectl: str = "kubectl") -> str:
    """Keeps the owner, or the workload's controller where nobody owns it, from changing more pods.

    Helm changes nothing between two commands of a person, so there the controller is held."""
    return _owners_hold(rollouts) or _pause(rollouts, namespace, kubectl)


def stop_command(
    rollouts: Rollouts, canary: Canary | None = None, namespace: str = "", kubectl: str = "kubectl"
) -> str:
    """Stops a rollout that is under way: its owner, which would undo a change of the workload, and then who replaces the pods.

    An Argo Rollout is aborted, which gives its stable pods all requests; that is no change which an owner reverts."""
    if rollouts.workload.startswith("rollout/"):
        return _argo(kubectl, "abort", rollouts.workload.partition("/")[2], namespace)
    held = (
        _suspend(canary, namespace, kubectl, suspend=True) if canary else _pause(rollouts, namespace, kubectl)
    )
    return " && ".join(filter(None, (_owners_hold(rollouts), held)))


def resume_command(
    rollouts: Rollouts, canary: Canary | None = None, namespace: str = "", kubectl: str = "kubectl"
) -> str:
    """Undoes `stop_command`. Argo CD's earlier policy is not told by the workload: automated is what could have reverted it."""
    if rollouts.workload.startswith("rollout/"):
        return _argo(kubectl, "retry rollout", rollouts.workload.partition("/")[2], namespace)
    resumed = (
        _suspend(canary, namespace, kubectl, suspend=False)
        if canary
        else _resume(rollouts, namespace, kubectl)
    )
    tool, name = _owner(rollouts)
    again = ""
    if tool == "argocd" and name:
        again = f"argocd app set {name} --sync-policy automated"
    elif tool == "flux":
        kind, _, object_name = name.partition("/")
        again = f"flux resume {kind} {object_name}{_flag(rollouts.managed_in)}"
    return " && ".join(filter(None, (resumed, again)))


def _owners_hold(rollouts: Rollouts) -> str:
    tool, name = _owner(rollouts)
    if tool == "argocd" and name:
        return f"argocd app set {name} --sync-policy none"
    if tool == "flux":
        kind, _, object_name = name.partition("/")
        return f"flux suspend {kind} {object_name}{_flag(rollouts.managed_in)}"
    return ""


def _pause(rollouts: Rollouts, namespace: str, kubectl: str) -> str:
    kind, _, name = rollouts.workload.partition("/")
    match kind:
        case "statefulset":  # cannot be paused; pods below the partition's ordinal stay as they are
            strategy = f'{{"type":"RollingUpdate","rollingUpdate":{{"partition":{ABOVE_ALL_ORDINALS}}}}}'
        case "daemonset":
            strategy = '{"type":"OnDelete"}'
        case "rollout":
            return _argo(kubectl, "pause", name, namespace)
        case _:
            return f"{_kubectl(kubectl, namespace)} rollout pause {shlex.quote(rollouts.workload)}"
    return _patch_strategy(rollouts, strategy, namespace, kubectl)


def _resume(rollouts: Rollouts, namespace: str, kubectl: str) -> str:
    match rollouts.workload.partition("/")[0]:
        case "statefulset":
            strategy = f'{{"type":"RollingUpdate","rollingUpdate":{{"partition":{rollouts.partition}}}}}'
        case "daemonset":
            strategy = '{"type":"RollingUpdate"}'
        case _:
            return f"{_kubectl(kubectl, namespace)} rollout resume {shlex.quote(rollouts.workload)}"
    return _patch_strategy(rollouts, strategy, namespace, kubectl)


def _patch_strategy(rollouts: Rollouts, strategy: str, namespace: str, kubectl: str) -> str:
    command, workload = _kubectl(kubectl, namespace), shlex.quote(rollouts.workload)
    return f'{command} patch {workload} -p \'{{"spec":{{"updateStrategy":{strategy}}}}}\''


def _suspend(canary: Canary, namespace: str, kubectl: str, *, suspend: bool) -> str:
    patch = f'\'{{"spec":{{"suspend":{str(suspend).lower()}}}}}\''
    return f"{_kubectl(kubectl, namespace)} patch canaries.flagger.app {shlex.quote(canary.name)} --type=merge -p {patch}"


def _argo(kubectl: str, verb: str, name: str, namespace: str) -> str:
    """By its plug-in, which takes its flags behind the verb."""
    program, *flags = shlex.split(kubectl)
    words = [program, "argo", "rollouts", *verb.split(), name, *flags]
    return f"{shlex.join(words)}{_flag(namespace)}"


def _owner(rollouts: Rollouts) -> tuple[str, str]:
    tool, _, name = rollouts.managed_by.partition(" ")
    return tool, shlex.quote(name) if name else ""


def _kubectl(kubectl: str, namespace: str) -> str:
    return f"{kubectl}{_flag(namespace)}"


def _flag(namespace: str) -> str:
    return f" -n {shlex.quote(namespace)}" if namespace else ""
