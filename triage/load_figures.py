"""The incident's own names and numbers for the mitigations of a load failure. Pure."""

from collections.abc import Mapping, Sequence

from triage.case import Case, ModelCase, index_rows
from triage.gpu_load import who_held
from triage.model_store import ModelStore, combined, model_stores
from triage.owner import resume_command, stop_command, undo_with_pods
from triage.repository.bad_versions import bad_version_entry
from triage.rollout_state import RolloutState
from triage.wording import count

_MOST_CHANGES = 3
_AT = "Triton at "


def load_figures(
    case: Case, model: ModelCase | None, name: str, namespace: str, state: RolloutState | None, why: str
) -> Mapping[str, str]:
    """What may be filled into an action; what is not known is not there. `why` is the cause in a few words."""
    namespace = case.pod.namespace if case.pod else namespace
    found = {
        "model": name,
        "version": model.version if model else "",
        "namespace": namespace,
        **_of_pod(case),
        "triton": next(
            (e.source[len(_AT) :] for e in case.of_probe("index") if e.source.startswith(_AT)), ""
        ),
        "repository": next((e.query for e in case.of_probe("repository") if e.facts is not None), ""),
        "reloaded": "yes" if model and model.failed and model.loaded_before else "",
        "good_version": _good_version(case, model),
        "bad_version_entry": _bad_version(model, why),
        **_gpu(case, name),
        **(_of_rollout(state, namespace) if state else {}),
    }
    return {key: value for key, value in found.items() if value}


def _gpu(case: Case, model: str) -> dict[str, str]:
    """Who held the memory of the pod's GPU as the load began, where the evidence tells; one of the three."""
    held = who_held(case, model)
    if held is None or held.by == "unknown":
        return {}
    return {f"gpu_{held.by}": held.amount, f"gpu_{held.by}_who": held.who}


def _of_pod(case: Case) -> dict[str, str]:
    pod = case.pod
    if pod is None:
        return {}
    unready = next((each for each in pod.containers if not each.ready and not each.init), None)
    return {
        "pod": pod.name,
        "workload": pod.owner,
        "container": unready.name if unready else "",
        "image": unready.image if unready else "",
        **_of_stores(model_stores(pod)),
    }


def _of_stores(stores: Sequence[ModelStore]) -> dict[str, str]:
    """What is not sure is left out: the actions that need it are then not shown, and a more careful one is."""
    pattern, mutable = combined(stores)
    worst = next(store for store in stores if (store.pattern, store.mutable) == (pattern, mutable))
    return {
        "pattern": f"the model repository is {worst.says.partition(': ')[2]}" if worst.path else "",
        "mutable": "yes" if mutable == "yes" else "",
        "baked": "yes" if pattern == "baked_image" and mutable == "no" else "",
    }


def _of_rollout(state: RolloutState, namespace: str) -> dict[str, str]:
    rollouts = state.rollouts
    found = {
        "workload": rollouts.workload,
        "new_revision": str(state.newest.number),
        "fate": state.fate,
        "who_serves": who_serves(state),
        "changed": "; ".join(state.newest.changes[:_MOST_CHANGES]),
    }
    if state.previous:
        found["previous_revision"] = str(state.previous.number)
    # Where it is known that nobody serves, there is nobody to keep.
    if state.under_way and state.serving != 0:
        found["stop_rollout"] = stop_command(rollouts, state.canary, namespace)
        found["resume_rollout"] = resume_command(rollouts, state.canary, namespace)
    if state.previous and (state.scope != "both" or state.previous_is_sound):
        found["undo_rollout"] = undo_with_pods(
            rollouts,
            namespace,
            state.previous.number,
            state.newest_unready,
            stopped="stop_rollout" in found and state.canary is None,
        )
    return found


def who_serves(state: RolloutState) -> str:
    """Such as `3 ready pods of revision 41`; empty where none does."""
    if not state.serving:
        return ""
    if state.canary is not None:
        return f"{count(state.serving, 'available pod')} of {state.canary.primary}"
    number = f"revision {state.serving_revision}" if state.serving_revision else "earlier revisions"
    return f"{count(state.serving, 'ready pod')} of {number}"


def _good_version(case: Case, model: ModelCase | None) -> str:
    """The latest version of the model that is READY beside the failed one."""
    if model is None:
        return ""
    ready = {row.version for row in index_rows(case) if row.name == model.name and row.state == "READY"}
    numbers = [int(version) for version in ready - {model.version} if version.isdecimal()]
    return str(max(numbers)) if numbers else ""


def _bad_version(model: ModelCase | None, why: str) -> str:
    """An entry of `bad_versions.yaml`, on one line."""
    if model is None or not model.version.isdecimal():
        return ""
    try:
        return bad_version_entry(model.name, int(model.version), why)
    except ValueError:  # a name or a number that the file does not hold: a log may say anything
        return ""
