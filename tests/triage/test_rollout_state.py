"""Who still serves while a rollout's new pods fail, and what becomes of them."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from triage.cluster_views import Canary, PodPlacement, PodPlacements, Revision, Rollouts
from triage.rollout_state import RolloutState, rollout_state

REVISIONS = (Revision(41, "a", 1.0, replicas=3), Revision(42, "b", 2.0, replicas=1))
ROLLOUTS = Rollouts(
    "deployment/llm",
    replicas=4,
    updated=1,
    available=3,
    revisions=REVISIONS,
    strategy="RollingUpdate",
    max_unavailable=1,
)


def pods(*told: tuple[str, str, bool]) -> PodPlacements:
    return PodPlacements(tuple(PodPlacement(name, revision=hash, ready=ready) for name, hash, ready in told))


HALFWAY = pods(("a-1", "a", True), ("a-2", "a", True), ("a-3", "a", True), ("b-1", "b", False))


def state(
    placements: PodPlacements | None = HALFWAY,
    failing: Sequence[str] = ("b-1",),
    canary: Canary | None = None,
    **changes: Any,
) -> RolloutState:
    found = rollout_state(msgspec.structs.replace(ROLLOUTS, **changes), canary, placements, failing)
    assert found is not None
    return found


def test_only_new_pods_fail_and_the_others_stay() -> None:
    found = state()
    assert (found.newest.number, found.previous and found.previous.number) == (42, 41)
    assert (found.serving, found.newest_unready) == (3, ("b-1",))
    assert (found.under_way, found.scope) == (True, "new")
    assert found.fate == "the rollout takes no more of them away while the new pods are not ready"


@pytest.mark.parametrize(
    ("changes", "fate", "under_way"),
    [
        ({"paused": True}, "they stay: the rollout is paused", False),
        ({"aborted": True}, "they stay: the rollout is aborted", False),
        ({"strategy": "OnDelete"}, "they stay until somebody deletes them: the strategy is OnDelete", False),
        ({"max_unavailable": 2}, "1 of them may still be taken away (maxUnavailable is 2)", True),
        (
            {"stuck": True},
            "the rollout takes no more of them away while the new pods are not ready; its progress deadline is over, and nothing "
            "undoes it by itself",
            True,
        ),
        ({"max_unavailable": None}, "how many of them may be taken away could not be seen", True),
        ({"strategy": "BlueGreen"}, "they serve until the new ones are promoted", True),
    ],
)
def test_what_becomes_of_those_that_serve(changes: dict[str, Any], fate: str, under_way: bool) -> None:
    found = state(**changes)
    assert (found.fate, found.under_way) == (fate, under_way)


def test_new_pods_that_count_as_ready_take_the_place_of_those_that_serve() -> None:
    """Strict readiness is off, or the probe asks only whether the process lives."""
    found = state(pods(("a-1", "a", True), ("b-1", "b", True)))
    assert found.fate == (
        "they are about to be scaled away: 1 new pod with the failure counts as ready, so the rollout goes on"
    )


def test_an_old_pod_that_fails_too_clears_the_rollout() -> None:
    found = state(pods(("a-1", "a", False), ("a-2", "a", True), ("b-1", "b", False)), failing=("a-1", "b-1"))
    assert (found.scope, found.serving) == ("both", 1)


def test_nothing_is_said_of_pods_that_nobody_saw() -> None:
    found = state(None)
    assert (found.serving, found.newest_unready, found.scope) == (None, (), "unknown")
    assert found.fate == "whether pods of an earlier revision serve could not be seen"
    assert rollout_state(None, None, HALFWAY, ()) is None
    assert rollout_state(Rollouts("deployment/llm"), None, HALFWAY, ()) is None


def test_a_rollout_that_is_over_has_nobody_to_keep() -> None:
    found = state(
        pods(("b-1", "b", False)),
        replicas=1,
        revisions=(msgspec.structs.replace(REVISIONS[0], replicas=0), REVISIONS[1]),
    )
    assert (found.under_way, found.serving, found.scope) == (False, 0, "unknown")
    assert found.fate == "no pod of an earlier revision is left that serves"


@pytest.mark.parametrize(
    ("phase", "suspended", "fate", "under_way"),
    [
        (
            "Progressing",
            False,
            "it stays until Flagger promotes the canary, which has to be ready for that",
            True,
        ),
        (
            "Promoting",
            False,
            "it is about to be replaced: Flagger promotes the new template to it now",
            True,
        ),
        ("Progressing", True, "it stays: the canary is suspended", False),
        ("Failed", False, "it stays: Flagger has given the canary up", False),
        ("Succeeded", False, "it stays: no canary is under way", False),
    ],
)
def test_flaggers_primary_serves(phase: str, suspended: bool, fate: str, under_way: bool) -> None:
    found = state(canary=Canary("llm", phase, suspended, "deployment/llm-primary", 3, 2))
    assert (found.serving, found.fate, found.under_way) == (2, fate, under_way)


def test_of_two_bad_rollouts_in_a_row_the_one_before_them_is_sound() -> None:
    """Its pods are ready and none of them fails, though those of the revision between fail too."""
    revisions = (Revision(40, "z", 0.5, replicas=1), *REVISIONS)
    placements = pods(("z-1", "z", True), ("a-1", "a", False), ("b-1", "b", False))
    found = state(placements, failing=("a-1", "b-1"), revisions=revisions)
    assert (found.scope, found.previous and found.previous.number, found.previous_is_sound) == (
        "both",
        40,
        True,
    )
    worse = state(placements, failing=("z-1", "a-1", "b-1"), revisions=revisions)
    assert not worse.previous_is_sound
