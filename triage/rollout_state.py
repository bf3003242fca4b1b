"""How a workload's latest rollout stands while some of its pods fail: who still serves, of which revision, and whether these are
about to be taken away. Pure.

A Deployment takes no more pods away than `maxUnavailable` allows while its new ones are not ready
(kubernetes/website: docs/concepts/workloads/controllers/deployment.md, Rolling Update Deployment); one that is stuck past its
deadline is left as it is, and nothing rolls it back."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from triage.cluster_views import Canary, PodPlacement, PodPlacements, Revision, Rollouts
from triage.wording import count

Scope = Literal["new", "both", "unknown"]
_FLAGGER_ACTS = frozenset({"Progressing", "Waiting", "WaitingPromotion", "Promoting", "Finalising"})


@dataclass(frozen=True, slots=True)
class RolloutState:
    rollouts: Rollouts
    canary: Canary | None
    newest: Revision
    previous: Revision | None
    """The latest earlier revision that has ready pods; else the one before; None: none is kept."""
    serving: int | None
    """Ready pods of earlier revisions, or of Flagger's primary; None: nobody could see."""
    serving_revision: int | None
    """The number that all of these are of; None: they are of several, or of one that is not kept."""
    newest_unready: tuple[str, ...]
    """Names of the newest revision's pods that are not ready, as far as they were seen."""
    under_way: bool
    """More pods may be replaced by itself."""
    scope: Scope
    """new: only pods of the newest revision fail, and ready ones are of earlier ones. both: pods of earlier ones fail too."""
    fate: str
    """What becomes of those that serve, as a sentence."""
    previous_is_sound: bool = False
    """Pods of `previous` are ready, and none of them fails: of two bad rollouts in a row it is the one before."""


def rollout_state(
    rollouts: Rollouts | None,
    canary: Canary | None,
    placements: PodPlacements | None,
    failing: Collection[str],
) -> RolloutState | None:
    """`failing`: the pods whose load is known to have failed. None where no rollout of the workload is known."""
    if rollouts is None or not rollouts.revisions:
        return None
    newest, earlier = rollouts.revisions[-1], rollouts.revisions[:-1]
    there = [pod for pod in placements.pods if pod.terminating_since is None] if placements else None
    new = [pod for pod in there if pod.revision == newest.hash] if there is not None else None
    old = [pod for pod in there if pod.revision != newest.hash] if there is not None else None
    serving = sum(pod.ready for pod in old) if old is not None else None
    if canary is not None:
        serving = canary.primary_available
    return RolloutState(
        rollouts=rollouts,
        canary=canary,
        newest=newest,
        previous=_previous(earlier, old or ()),
        serving=serving,
        serving_revision=_serving_revision(earlier, old or ()),
        newest_unready=tuple(sorted(pod.pod for pod in new or () if not pod.ready)),
        under_way=_under_way(rollouts, canary, old),
        scope=_scope(new, old, failing),
        fate=_fate(rollouts, canary, new, old, failing),
        previous_is_sound=_is_sound(_previous(earlier, old or ()), old or (), failing),
    )


def _previous(earlier: Sequence[Revision], old: Sequence[PodPlacement]) -> Revision | None:
    ready = {pod.revision for pod in old if pod.ready}
    return next((each for each in reversed(earlier) if each.hash in ready), earlier[-1] if earlier else None)


def _serving_revision(earlier: Sequence[Revision], old: Sequence[PodPlacement]) -> int | None:
    ready = {pod.revision for pod in old if pod.ready}
    return next((each.number for each in earlier if {each.hash} == ready), None)


def _is_sound(previous: Revision | None, old: Sequence[PodPlacement], failing: Collection[str]) -> bool:
    own = [pod for pod in old if previous is not None and pod.revision == previous.hash]
    return any(pod.ready for pod in own) and not any(pod.pod in failing for pod in own)


def _under_way(rollouts: Rollouts, canary: Canary | None, old: Sequence[PodPlacement] | None) -> bool:
    if canary is not None:
        return canary.phase in _FLAGGER_ACTS and not canary.suspended
    if rollouts.paused or rollouts.aborted or rollouts.strategy == "OnDelete":
        return False
    if rollouts.partition:
        return not _is_held(rollouts)
    behind = (rollouts.updated or 0) < (rollouts.replicas or 0)
    return behind or bool(old) or any(each.replicas for each in rollouts.revisions[:-1])


def _is_held(rollouts: Rollouts) -> bool:
    """Whether a StatefulSet's partition keeps all pods that are left of the earlier revision
    (kubernetes/kubernetes: pkg/controller/statefulset/stateful_set_control.go, updateMin)."""
    if not rollouts.partition or rollouts.replicas is None or rollouts.updated is None:
        return False
    return rollouts.updated >= rollouts.replicas - rollouts.partition


def _scope(
    new: Sequence[PodPlacement] | None, old: Sequence[PodPlacement] | None, failing: Collection[str]
) -> Scope:
    if new is None or old is None:
        return "unknown"
    if any(pod.pod in failing for pod in old):
        return "both"
    failed = [pod for pod in new if pod.pod in failing]
    return "new" if failed and any(pod.ready for pod in old) else "unknown"


def _fate(
    rollouts: Rollouts,
    canary: Canary | None,
    new: Sequence[PodPlacement] | None,
    old: Sequence[PodPlacement] | None,
    failing: Collection[str],
) -> str:
    if canary is not None:
        return _fate_of_primary(canary)
    if new is None or old is None:
        return "whether pods of an earlier revision serve could not be seen"
    serving = sum(pod.ready for pod in old)
    if not serving:
        return "no pod of an earlier revision is left that serves"
    if rollouts.paused:
        return "they stay: the rollout is paused"
    if rollouts.aborted:
        return "they stay: the rollout is aborted"
    if rollouts.strategy == "OnDelete":
        return "they stay until somebody deletes them: the strategy is OnDelete"
    if _is_held(rollouts):
        return f"they stay: the partition of {rollouts.workload} is {rollouts.partition}"
    wrongly_ready = [pod.pod for pod in new if pod.ready and pod.pod in failing]
    if wrongly_ready:
        return (
            f"they are about to be scaled away: {count(len(wrongly_ready), 'new pod')} with the failure"
            f" {'counts' if len(wrongly_ready) == 1 else 'count'} as ready, so the rollout goes on"
        )
    if rollouts.strategy == "BlueGreen":
        return "they serve until the new ones are promoted"
    if rollouts.max_unavailable is None or rollouts.replicas is None:
        return "how many of them may be taken away could not be seen"
    ready = serving + sum(pod.ready for pod in new)
    more = max(0, ready - (rollouts.replicas - rollouts.max_unavailable))
    stuck = "; its progress deadline is over, and nothing undoes it by itself" if rollouts.stuck else ""
    if more and rollouts.strategy != "Recreate":
        left = min(more, serving)
        return f"{left} of them may still be taken away (maxUnavailable is {rollouts.max_unavailable}){stuck}"
    return f"the rollout takes no more of them away while the new pods are not ready{stuck}"


def _fate_of_primary(canary: Canary) -> str:
    match canary.phase:
        case _ if canary.suspended:
            return "it stays: the canary is suspended"
        case "Promoting" | "Finalising":
            return "it is about to be replaced: Flagger promotes the new template to it now"
        case "Failed":
            return "it stays: Flagger has given the canary up"
        case _ if canary.phase in _FLAGGER_ACTS:
            return "it stays until Flagger promotes the canary, which has to be ready for that"
        case _:
            return "it stays: no canary is under way"
