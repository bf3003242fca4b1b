"""The commands that take a rollout back or hold it, for each owner; those of kubectl run against a real API server in
`tests/controlplane/test_rollouts.py`."""

import pytest

from triage.latency.facts import Revision, Rollouts
from triage.latency.owner import freeze_command, undo_command

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


def test_the_first_rollout_cannot_be_taken_back() -> None:
    assert undo_command(Rollouts("deployment/llm", revisions=REVISIONS[:1]), "prod") == ""


def test_a_name_is_one_word_of_the_command() -> None:
    assert undo_command(rollouts("helm a;reboot")) == "helm rollback 'a;reboot'"
