"""The commands that take a rollout back or hold it, for each owner; those of kubectl run against a real API server in
`tests/controlplane/test_rollouts.py`."""

import pytest

from triage.cluster_views import Canary, Revision, Rollouts
from triage.owner import freeze_command, resume_command, stop_command, undo_command, undo_with_pods

REVISIONS = (Revision(41, "a", 1.0), Revision(42, "b", 2.0))
SUSPEND = "flux suspend helmrelease llm -n flux-system"
SYNC_OFF = "argocd app set team/llm --sync-policy none"
UNDO = "kubectl -n prod rollout undo deployment/llm --to-revision=41"
PAUSE = "kubectl -n prod rollout pause deployment/llm"


def rollouts(managed_by: str = "", managed_in: str = "", paused: bool = False) -> Rollouts:
    return Rollouts(
        "deployment/llm", managed_by=managed_by, managed_in=managed_in, paused=paused, revisions=REVISIONS
    )


@pytest.mark.parametrize(
    ("owned", "undo", "freeze"),
    [
        (rollouts(), UNDO, PAUSE),
        (rollouts(paused=True), f"kubectl -n prod rollout resume deployment/llm && {UNDO}", PAUSE),
        (rollouts("helm llm", "releases"), "helm rollback llm -n releases", PAUSE),
        (rollouts("helm llm"), "helm rollback llm -n prod", PAUSE),
        (rollouts("argocd team/llm"), f"{SYNC_OFF} && argocd app rollback team/llm", SYNC_OFF),
        (rollouts("argocd"), UNDO, PAUSE),  # whose application is not known by name
        (rollouts("flux helmrelease/llm", "flux-system"), f"{SUSPEND} && {UNDO}", SUSPEND),
        (
            rollouts("flux kustomization/apps"),
            f"flux suspend kustomization apps && {UNDO}",
            "flux suspend kustomization apps",
        ),
    ],
    ids=lambda value: value.managed_by or "nobody" if isinstance(value, Rollouts) else "",
)
def test_a_rollout_is_taken_back_and_held_in_its_owners_words(
    owned: Rollouts, undo: str, freeze: str
) -> None:
    assert (undo_command(owned, "prod"), freeze_command(owned, "prod")) == (undo, freeze)


RESUME = "kubectl -n prod rollout resume deployment/llm"
ARGO = Rollouts("rollout/llm", revisions=REVISIONS)
STATEFUL = Rollouts("statefulset/llm", revisions=REVISIONS)
DAEMON = Rollouts("daemonset/llm", revisions=REVISIONS)


@pytest.mark.parametrize(
    ("owned", "canary", "stop", "resume"),
    [
        (rollouts(), None, PAUSE, RESUME),
        (rollouts("helm llm", "releases"), None, PAUSE, RESUME),
        (
            rollouts("argocd team/llm"),
            None,
            f"{SYNC_OFF} && {PAUSE}",
            f"{RESUME} && argocd app set team/llm --sync-policy automated",
        ),
        (
            rollouts("flux helmrelease/llm", "flux-system"),
            None,
            f"{SUSPEND} && {PAUSE}",
            f"{RESUME} && flux resume helmrelease llm -n flux-system",
        ),
        (
            rollouts("argocd team/llm"),
            Canary("llm"),
            f"""{SYNC_OFF} && kubectl -n prod patch canaries.flagger.app llm --type=merge -p '{{"spec":{{"suspend":true}}}}'""",
            """kubectl -n prod patch canaries.flagger.app llm --type=merge -p '{"spec":{"suspend":false}}'"""
            " && argocd app set team/llm --sync-policy automated",
        ),
        (
            ARGO,
            None,
            "kubectl argo rollouts abort llm -n prod",
            "kubectl argo rollouts retry rollout llm -n prod",
        ),
        (
            STATEFUL,
            None,
            'kubectl -n prod patch statefulset/llm -p \'{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":'
            '{"partition":100000}}}}\'',
            'kubectl -n prod patch statefulset/llm -p \'{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":'
            '{"partition":0}}}}\'',
        ),
        (
            DAEMON,
            None,
            'kubectl -n prod patch daemonset/llm -p \'{"spec":{"updateStrategy":{"type":"OnDelete"}}}\'',
            'kubectl -n prod patch daemonset/llm -p \'{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}\'',
        ),
    ],
    ids=[
        "nobody",
        "helm",
        "argocd",
        "flux",
        "flagger-under-argocd",
        "argo-rollouts",
        "statefulset",
        "daemonset",
    ],
)
def test_a_rollout_is_stopped_and_goes_on_in_its_owners_words(
    owned: Rollouts, canary: Canary | None, stop: str, resume: str
) -> None:
    """The owner first, who would undo what is done to the workload; and last, as it would begin at once."""
    assert (stop_command(owned, canary, "prod"), resume_command(owned, canary, "prod")) == (stop, resume)


def test_an_argo_rollout_has_words_of_its_own() -> None:
    kubectl = "kubectl --context 'a b'"
    assert undo_command(ARGO, "prod", kubectl, revision=40) == (
        "kubectl argo rollouts undo llm --context 'a b' -n prod --to-revision=40"
    )
    assert freeze_command(ARGO, "prod") == "kubectl argo rollouts pause llm -n prod"


def test_the_first_rollout_cannot_be_taken_back() -> None:
    assert undo_command(Rollouts("deployment/llm", revisions=REVISIONS[:1]), "prod") == ""


def test_a_name_is_one_word_of_the_command() -> None:
    assert undo_command(rollouts("helm a;reboot")) == "helm rollback 'a;reboot'"


UNPAUSE = """kubectl -n prod patch deployment/llm -p '{"spec":{"paused":false}}'"""


@pytest.mark.parametrize(
    ("owned", "undo"),
    [
        (rollouts(), f"{UNPAUSE} && {UNDO}"),
        (rollouts("flux helmrelease/llm", "flux-system"), f"{UNPAUSE} && {SUSPEND} && {UNDO}"),
        (rollouts("helm llm"), f"helm rollback llm -n prod && {UNPAUSE}"),
        (rollouts("argocd team/llm"), f"{SYNC_OFF} && argocd app rollback team/llm && {UNPAUSE}"),
        (rollouts(paused=True), f"kubectl -n prod rollout resume deployment/llm && {UNDO}"),
        (ARGO, "kubectl argo rollouts undo llm -n prod --to-revision=41"),
    ],
    ids=["nobody", "flux", "helm", "argocd", "paused-already", "argo-rollouts"],
)
def test_what_may_have_been_stopped_meanwhile_is_taken_back_all_the_same(owned: Rollouts, undo: str) -> None:
    """kubectl takes no paused Deployment back, and refuses to resume one that is not paused; of others the template comes first."""
    assert undo_with_pods(owned, "prod", 41, (), stopped=True) == undo


def test_a_daemonsets_pods_are_replaced_again_once_it_is_taken_back() -> None:
    command = undo_with_pods(DAEMON, "prod", 41, ("llm-x",), stopped=True)
    assert command.startswith("kubectl -n prod rollout undo daemonset/llm --to-revision=41 && ")
    assert command.endswith(
        """patch daemonset/llm -p '{"spec":{"updateStrategy":{"type":"RollingUpdate"}}}'"""
    )
    assert undo_with_pods(DAEMON, "prod", 41, (), stopped=False).count("&&") == 0
