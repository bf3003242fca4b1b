"""A load failure in the middle of a rollout: what keeps people served comes first; the rollout is blamed for its own pods alone."""

from typing import Any

import msgspec
import pytest

from tests.triage.snapshots import (
    GAVE_UP,
    RULES,
    container,
    evidence,
    failed,
    index,
    loaded,
    log,
    own,
    pod,
    pods,
    previous_log,
    report,
)
from triage.cluster_views import Canary, NoCanary, PodPlacement, PodPlacements, Revision, Rollouts
from triage.evidence import Evidence, IndexRow
from triage.report import Mitigation, Report

LAYOUT = "no version of 'm'"
CRASHED = container("waiting: CrashLoopBackOff", last_state="terminated: Error, exit code 1", exit_code=1)
ROLLOUTS = Rollouts(
    "deployment/web",
    replicas=3,
    updated=1,
    available=2,
    strategy="RollingUpdate",
    max_unavailable=1,
    revisions=(
        Revision(41, "a", 1.0, replicas=2),
        Revision(42, "b", 2.0, replicas=1, changes=("image of triton: t:1 -> t:2",), compared_with=41),
    ),
)
PODS = PodPlacements(
    (
        PodPlacement("web-1", revision="a", ready=True),
        PodPlacement("web-2", revision="a", ready=True),
        PodPlacement("web-3", revision="b"),
    )
)


def in_a_rollout(
    *more: Evidence, placements: PodPlacements = PODS, canary: Canary | None = None, **changes: Any
) -> Report:
    told = msgspec.structs.replace(ROLLOUTS, **changes)
    return report(
        pods("web-1", "web-2", "web-3", unready=("web-3",)),
        evidence("rollouts", "rollouts", told),
        evidence("placements", "placements", placements),
        evidence("canary", "canary", canary or NoCanary()),
        pod("web-3", CRASHED),
        previous_log(failed("m", LAYOUT), GAVE_UP, pod="web-3"),
        *more,
    )


def action(told: Report, start: str) -> Mitigation:
    found = [each for each in told.actions if each.do.startswith(start)]
    assert len(found) == 1, [each.do for each in told.actions]
    return found[0]


def test_the_rollout_is_stopped_before_anything_is_mended() -> None:
    told = in_a_rollout()
    assert told.headline == (
        "STOP THE ROLLOUT of deployment/web, then FIX m (the repository's layout): Run `ls m`. CONFIRMED."
    )
    assert told.impact[:3] == (
        "1 of 3 pods not ready: web-3",
        "2 ready pods of revision 41 still serve: the rollout takes no more of them away while the new pods are not ready",
        "only pods of revision 42 fail, the latest: image of triton: t:1 -> t:2",
    )
    stop, *_ = told.actions
    assert (stop.command, stop.undo) == (
        "kubectl -n prod rollout pause deployment/web",
        "kubectl -n prod rollout resume deployment/web",
    )
    assert stop.do == (
        "Stop the rollout of deployment/web: 2 ready pods of revision 41 still serve; the rollout takes no more of them away "
        "while the new pods are not ready."
    )
    back = action(told, "If what revision 42 changed is the cause (image of triton: t:1 -> t:2)")
    assert back.command == (  # also where the first action was taken before
        """kubectl -n prod patch deployment/web -p '{"spec":{"paused":false}}'"""
        " && kubectl -n prod rollout undo deployment/web --to-revision=41"
    )


def test_a_failure_of_the_old_pods_too_clears_the_rollout() -> None:
    told = in_a_rollout(pod("web-1", CRASHED), previous_log(failed("m", LAYOUT), GAVE_UP, pod="web-1"))
    assert "pods of earlier revisions fail too, so revision 42 is not what broke them" in told.impact[2]
    assert not [each for each in told.actions if "roll " in each.do]


def test_where_nobody_of_the_old_ones_serves_nobody_has_to_be_kept() -> None:
    told = in_a_rollout(placements=PodPlacements((PodPlacement("web-3", revision="b"),)), updated=3)
    assert told.headline.startswith("FIX m (the repository's layout)")
    assert "No pod of an earlier revision is left that serves" in told.impact
    assert not [each for each in told.actions if each.do.startswith(("Stop", "Leave"))]
    assert action(told, "If what revision 42 changed")


def test_a_paused_rollout_is_not_stopped_again() -> None:
    told = in_a_rollout(paused=True)
    assert told.headline.startswith("FIX m")
    assert "they stay: the rollout is paused" in told.impact[1]
    assert action(told, "Leave 2 ready pods of revision 41 as they are")


def test_a_statefulset_that_its_partition_holds_is_not_stopped_again() -> None:
    told = in_a_rollout(workload="statefulset/web", partition=100_000)
    assert told.headline.startswith("FIX m")
    assert "they stay: the partition of statefulset/web is 100000" in told.impact[1]
    staged = in_a_rollout(
        workload="statefulset/web", partition=2
    )  # its one new pod is there: the other two are held
    assert staged.headline.startswith("FIX m")


def test_a_statefulset_is_resumed_with_the_partition_that_it_had() -> None:
    told = in_a_rollout(workload="statefulset/web", partition=1)
    assert told.headline.startswith("STOP THE ROLLOUT of statefulset/web")
    stop = told.actions[0]
    assert stop.command is not None
    assert '"rollingUpdate":{"partition":100000}' in stop.command
    assert '"rollingUpdate":{"partition":1}' in stop.undo


def test_a_statefulset_taken_back_does_not_wait_for_its_failing_pod() -> None:
    told = in_a_rollout(workload="statefulset/web")
    assert action(told, "If what revision 42 changed").command == (
        "kubectl -n prod rollout undo statefulset/web --to-revision=41 && kubectl -n prod patch statefulset/web"
        """ -p '{"spec":{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"partition":0}}}}'"""
        " && kubectl -n prod delete pod web-3"
    )


@pytest.mark.parametrize(
    ("revisions", "of"),
    [(("a", "a"), "revision 41"), (("a", "0"), "earlier revisions"), (("0", "0"), "earlier revisions")],
)
def test_pods_are_of_the_revision_that_they_are_of(revisions: tuple[str, str], of: str) -> None:
    """Of several, or of one that the history does not keep, none is named."""
    old = [PodPlacement(f"web-{number}", revision=each, ready=True) for number, each in enumerate(revisions)]
    told = in_a_rollout(placements=PodPlacements((*old, PodPlacement("web-3", revision="b"))))
    assert told.impact[1].startswith(f"2 ready pods of {of} still serve")


def test_one_pod_serves_and_two_serve() -> None:
    old = PodPlacement("web-1", revision="a", ready=True)
    told = in_a_rollout(placements=PodPlacements((old, PodPlacement("web-3", revision="b"))))
    assert told.impact[1].startswith("1 ready pod of revision 41 still serves: ")


def test_a_long_undo_and_a_long_entry_are_not_cut() -> None:
    name = "a-deployment-with-a-name-of-sixty-three-letters-as-helm-makes-them"[:63]
    owner = f"flux kustomization/{name}"
    told = in_a_rollout(workload=f"statefulset/{name}", managed_by=owner, managed_in="flux-system")
    undo = told.actions[0].undo
    assert undo.endswith(f"&& flux resume kustomization {name} -n flux-system")
    assert undo.count("'") == 2
    model = "m" * 250
    marked = action(report(log(failed(model, f"no version of '{model}'"), GAVE_UP)), "Mark version 1")
    assert f'- {{"model": "{model}", "version": 1, "reason": "It has no version."}}' in marked.do


def test_pods_that_nobody_could_see_are_not_taken_for_gone() -> None:
    told = report(
        pods("web-3", unready=("web-3",)),
        evidence("rollouts", "rollouts", ROLLOUTS),
        evidence("canary", "canary", NoCanary()),
        pod("web-3", CRASHED),
        previous_log(failed("m", LAYOUT), GAVE_UP, pod="web-3"),
    )
    assert told.actions[0].do == (
        "Stop the rollout of deployment/web until it is known who still serves; whether pods of an earlier revision serve could "
        "not be seen."
    )
    assert "Whether pods of an earlier revision serve could not be seen" in told.impact


def test_flaggers_canary_is_suspended_and_its_primary_serves() -> None:
    told = in_a_rollout(canary=Canary("web", "Progressing", False, "deployment/web-primary", 3, 3))
    assert told.actions[0].command == (
        """kubectl -n prod patch canaries.flagger.app web --type=merge -p '{"spec":{"suspend":true}}'"""
    )
    assert told.impact[1] == (
        "3 available pods of deployment/web-primary still serve: it stays until Flagger promotes the canary, which has to be "
        "ready for that"
    )


def test_a_cause_that_nobody_can_tell_does_not_let_the_rollout_go_on() -> None:
    told = report(
        pods("web-1", "web-3", unready=("web-3",)),
        evidence("rollouts", "rollouts", ROLLOUTS),
        evidence("placements", "placements", PODS),
        pod("web-3", CRASHED),
        previous_log(failed("m"), GAVE_UP, pod="web-3"),
    )
    assert told.verdict.category == "cannot_tell"
    assert told.headline.startswith("STOP THE ROLLOUT of deployment/web, then look: CANNOT TELL m:")
    assert told.actions[0].do.startswith("Stop the rollout of deployment/web:")


def test_the_bad_version_is_named_for_what_refuses_it_and_the_good_one_for_what_serves() -> None:
    rows = index(IndexRow("m", "2", "READY"), IndexRow("m", "3", "UNAVAILABLE", f"Internal: {LAYOUT}"))
    told = report(rows, log(own(f"failed to load 'm' version 3: Internal: {LAYOUT}")))
    marked = action(told, "Mark version 3 of m as bad")
    assert '- {"model": "m", "version": 3, "reason": "It has no version."}' in marked.do
    assert "exit code 1" in marked.do
    assert "version_policy { specific { versions: [2] } }" in action(told, "Put the artifact").do
    checked = action(told, "Add to the promotion pipeline, before the copy")
    assert checked.command is None  # no repository's folder is known


def test_a_served_earlier_load_is_not_restarted() -> None:
    told = report(
        pod("web-1", container(), is_ready=True),
        log(
            loaded("m"), own("loading: m:2", "I"), own(f"failed to load 'm' version 2: {LAYOUT}"), pod="web-1"
        ),
    )
    assert told.actions[0].do.startswith("Do not restart web-1: an earlier load of m may still serve there")


@pytest.mark.parametrize("leaf", [leaf.id for leaf in RULES.tree.leaves])
def test_every_mitigation_says_how_to_undo_and_to_verify_it_and_when_not_to(leaf: str) -> None:
    tree = RULES.tree
    actions = tree.actions(tree.leaf(leaf))
    assert all(
        each.do and each.undo and each.blast_radius and each.verify and each.not_if for each in actions
    )
