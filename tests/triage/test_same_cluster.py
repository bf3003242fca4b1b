"""A command of the report goes to the cluster that was looked at, whatever the reader's current context is."""

import msgspec
import pytest

from tests.triage.snapshots import GAVE_UP, failed, pod, pods, previous_log, report
from triage.evidence import Asked
from triage.report import Report
from triage.same_cluster import for_the_same_cluster

ASKED = Asked(tree="load-failure", context="prod eu", kubeconfig="k.yaml")
FLAGS = "--kubeconfig k.yaml --context 'prod eu'"
PLAIN = report(
    pods("web-1", unready=("web-1",)), pod("web-1"), previous_log(failed("m"), GAVE_UP, pod="web-1")
)


def pinned(command: str, **more: str) -> Report:
    (first, *_) = PLAIN.actions
    action = msgspec.structs.replace(first, command=command, **more)
    return for_the_same_cluster(msgspec.structs.replace(PLAIN, actions=(action,), freeze=command), ASKED)


@pytest.mark.parametrize(
    ("told", "pasted"),
    [
        (
            "kubectl -n prod rollout undo deployment/web",
            f"kubectl {FLAGS} -n prod rollout undo deployment/web",
        ),
        (
            "kubectl argo rollouts abort web -n prod",
            f"kubectl argo rollouts abort web -n prod {FLAGS}",
        ),
        ("helm rollback web -n prod", "helm rollback web -n prod --kubeconfig k.yaml --kube-context 'prod eu'"),
        (
            "flux suspend kustomization apps && kubectl -n prod rollout pause deployment/web",
            f"flux suspend kustomization apps {FLAGS} && kubectl {FLAGS} -n prod rollout pause deployment/web",
        ),
        (
            """kubectl -n prod logs 'a && kubectl b'"'"'c' && kubectl get pods""",
            f"""kubectl {FLAGS} -n prod logs 'a && kubectl b'"'"'c' && kubectl {FLAGS} get pods""",
        ),
        ("argocd app rollback web", "argocd app rollback web"),
        ("tritonserver --model-repository=/models", "tritonserver --model-repository=/models"),
    ],
)  # fmt: skip
def test_every_tool_is_told_the_cluster_in_its_own_flags(told: str, pasted: str) -> None:
    got = pinned(told, undo=told)
    assert (got.actions[0].command, got.freeze) == (pasted, pasted)
    assert got.actions[0].undo == (pasted if told.startswith(("kubectl", "helm", "flux")) else told)


def test_sentences_with_a_command_in_them_are_pinned_too() -> None:
    got = pinned(
        "kubectl uncordon a", verify="kubectl -n prod get pods: none restarts.", do="See `kubectl top pods`."
    )
    assert got.actions[0].verify == f"kubectl {FLAGS} -n prod get pods: none restarts."
    assert got.actions[0].do == f"See `kubectl {FLAGS} top pods`."  # fmt: skip
    looked = pinned("kubectl uncordon a", do="Look at the node (kubectl describe node).")
    assert looked.actions[0].do == f"Look at the node (kubectl {FLAGS} describe node)."


def test_without_flags_nothing_is_added() -> None:
    assert for_the_same_cluster(PLAIN, Asked(tree="load-failure")) is PLAIN
