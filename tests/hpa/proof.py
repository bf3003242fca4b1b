"""Plays scenarios against the real controller and says how its syncs compare with `decide`."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.hpa.judge import Decide, Verdicts, judge
from tests.hpa.scenario import Scenario
from tests.hpa.stage import Played, Stage
from tests.hpa.syncs import Sync, read_syncs

_WRITTEN_SECONDS: Final = 1.0
"""After which both logs have the last sync."""
_LEAST_COMPARED: Final = 0.9


@dataclass
class Proof:
    """`syncs` by scenario; `unexpected` are the paths that no scenario has, and that were asked for."""

    played: list[Played] = field(default_factory=list)
    syncs: Mapping[str, Sequence[Sync]] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)

    def verdicts(self, decide: Decide) -> Verdicts:
        verdicts = Verdicts()
        for played in self.played:
            verdicts.add(judge(played, self.syncs.get(played.scenario.name, ()), decide))
        return verdicts

    @property
    def seen(self) -> int:
        return sum(map(len, self.syncs.values()))

    def failures(self, verdicts: Verdicts) -> list[str]:
        """Why this proves nothing, or the contrary; empty where the two agree."""
        found = [f"the two disagree: {each}" for each in verdicts.disagreements]
        found += [f"asked for {path}, which no scenario has" for path in self.unexpected]
        found += [
            f"{each.scenario.name}: stored as {each.spec}, meant as {each.scenario.spec}"
            for each in self.played
            if each.spec != each.scenario.spec
        ]
        for each in self.played:
            count, moments = len(self.syncs.get(each.scenario.name, ())), len(each.scenario.moments)
            if count < moments / 2:
                found.append(f"{each.scenario.name}: only {count} syncs at {moments} moments")
        if verdicts.compared < _LEAST_COMPARED * self.seen:
            found.append(f"only {verdicts.compared} of {self.seen} syncs were compared")
        return found


async def prove(
    stage: Stage, scenarios: Sequence[Scenario], *, at_once: int, say: Callable[[str], None] = lambda _: None
) -> Proof:
    proof = Proof()
    for start in range(0, len(scenarios), at_once):
        proof.played += await stage.play(scenarios[start : start + at_once])
        say(f"{len(proof.played)} of {len(scenarios)} scenarios played")
    await asyncio.sleep(_WRITTEN_SECONDS)
    proof.syncs = read_syncs(stage.audit, stage.log, stage.metrics.answers)
    proof.unexpected = stage.metrics.unexpected
    return proof


def report(proof: Proof, verdicts: Verdicts) -> str:
    skipped = "; ".join(f"{count} {why}" for why, count in verdicts.skipped.most_common())
    shown = ", ".join(f"{what} {count}" for what, count in verdicts.shown.most_common())
    return "\n".join(
        [
            f"{len(proof.played)} scenarios, {proof.seen} syncs of the real controller: {verdicts.compared} compared, "
            f"{len(verdicts.disagreements)} disagreements, {sum(verdicts.skipped.values())} skipped"
            + (f" ({skipped})" if skipped else ""),
            f"syncs compared that had each: {shown}",
        ]
    )
