"""What changed while it was looked at: the index and the settings of a live Triton, asked as a capture began and after it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from triage.evidence import Evidence, RepositoryIndex
from triage.latency.change import Change
from triage.latency.facts import ModelSettings
from triage.latency.kinds import ChangeKind

LATER_INDEX = "index/later"
LATER_SETTINGS = "settings/later:"
"""The ids of what was asked again; of settings only those that differ are kept."""


def latest_settings(evidence: Sequence[Evidence]) -> Mapping[str, Evidence]:
    """The evidence of each model's settings, by model: the later one where there are two."""
    told = [one for one in evidence if isinstance(one.facts, ModelSettings)]
    told.sort(key=lambda one: one.id.startswith(LATER_SETTINGS))
    return {one.facts.model: one for one in told if isinstance(one.facts, ModelSettings)}


def changes_while_looking(evidence: Sequence[Evidence]) -> Iterator[Change]:
    """Each lies between the two times at which it was asked."""
    first, later = ({one.id: one for one in evidence}.get(id) for id in ("index", LATER_INDEX))
    if first is None or later is None:
        return
    since, until = _at(first), _at(later) + 1  # they are told to the second, rounded down
    between = f"between {first.fetched_at[11:19]} and {later.fetched_at[11:19]}"

    def change(kind: ChangeKind, what: str, model: str, *ids: str) -> Change:
        return Change(until, since, kind, f"{what}, {between}", ids, model)

    if isinstance(first.facts, RepositoryIndex) and isinstance(later.facts, RepositoryIndex):
        before, after = _states(first.facts), _states(later.facts)
        for model, version in sorted(before.keys() | after.keys()):
            old, new = before.get((model, version), "gone"), after.get((model, version), "gone")
            if old != new:
                kind: ChangeKind = "unload" if old == "READY" else "load"
                what = f"{model} version {version}: {old} -> {new}"
                yield change(kind, what, model, first.id, later.id)
    before_of = {one.facts.model: one for one in evidence
                 if isinstance(one.facts, ModelSettings) and not one.id.startswith(LATER_SETTINGS)}  # fmt: skip
    for model, one in sorted(latest_settings(evidence).items()):
        was = before_of.get(model)
        if was is not None and was is not one:
            told = "; ".join(_differences(was.facts, one.facts))
            yield change("load", f"settings of {model}: {told}", model, was.id, one.id)


def _states(index: RepositoryIndex) -> Mapping[tuple[str, str], str]:
    return {(row.name, row.version): row.state for row in index.rows if row.state}


def _differences(before: object, after: object) -> Iterator[str]:
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    for name, value in new.items():
        if old.get(name) != value:
            yield f"{name.replace('_', ' ')} {_word(old.get(name))} -> {_word(value)}"


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return "not set" if value in (None, "") else f"{value}"


def _at(one: Evidence) -> float:
    try:
        return datetime.fromisoformat(one.fetched_at).timestamp()
    except ValueError:
        return 0.0
