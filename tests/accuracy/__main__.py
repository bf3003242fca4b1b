"""How often the verdict is right, on simulated incidents: `python -m tests.accuracy [--seeds 0-8] [--half open|sealed] [--decoys]
[--removed]`.

The sealed half is for releases: nobody looks at it while rules are written. Exit status 1 where a goal is missed."""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import get_args

from tests.accuracy.baselines import last_rollout_is_right, most_moved_is_right
from tests.accuracy.cases import case, pages
from tests.accuracy.judge import Judgement, judge, rules
from tests.accuracy.removed import SOURCES, How, Removal, removals
from tests.fleetsim.incidents import CAUSES
from tests.fleetsim.split import cases
from triage.latency.rules import LatencyRules

GOALS = {"top1": 0.90, "wrong_and_bold": 0.02, "bold_of_right": 0.60}
_ROLLOUT_LEAVES = ("rollout_or_termination", "cold_start", "observer_effect")


@dataclass(frozen=True)
class Judged:
    judgement: Judgement
    last_rollout: bool
    most_moved: bool
    headline: str
    notes: str
    removals: tuple[Removal, ...] = ()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.accuracy", description=__doc__)
    parser.add_argument("--seeds", default="0-8", help="of each cause, from-to")
    parser.add_argument("--half", choices=["open", "sealed"], default="open")
    parser.add_argument("--causes", nargs="*", default=list(CAUSES), choices=list(CAUSES), metavar="CAUSE")
    parser.add_argument("--decoys", action="store_true", help="an innocent rollout before each")
    parser.add_argument(
        "--removed", action="store_true", help="each source removed in turn from what is told rightly"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--each", action="store_true", help="print every case (of the open half)")
    arguments = parser.parse_args()
    first, last = map(int, arguments.seeds.split("-"))
    chosen = list(cases(arguments.causes, range(first, last), arguments.half))
    with ProcessPoolExecutor(arguments.jobs) as pool:
        found: list[Judged | None] = []
        for number, one in enumerate(
            pool.map(partial(_judged, decoy=arguments.decoys, removed=arguments.removed), chosen), 1
        ):
            found.append(one)
            if sys.stderr.isatty():
                print(f"\r{number} of {len(chosen)} cases", end="", file=sys.stderr)
    judged = [one for one in found if one is not None]
    if arguments.each and arguments.half == "open":
        for one in judged:
            print(_line(one))
    told = _tell(judged, len(chosen) - len(judged), arguments.half, decoys=arguments.decoys)
    return max(told, _tell_removals(judged)) if arguments.removed else told


@cache
def _rules() -> LatencyRules:
    return rules()


def _judged(chosen: tuple[str, int], *, decoy: bool, removed: bool) -> Judged | None:
    """None: nobody would have been paged."""
    one = case(*chosen, decoy=decoy)
    if not pages(one):
        return None
    judgement, report = judge(one, chosen[1], _rules())
    gone = removals(one, chosen[1], report, _rules()) if removed and judgement.right else ()
    simple = last_rollout_is_right(one), most_moved_is_right(one)
    return Judged(judgement, *simple, report.headline, one.notes, tuple(gone))


def _line(one: Judged) -> str:
    j = one.judgement
    mark = "ok " if j.right else "abs" if j.abstained else "BAD" if j.bold else "bad"
    error = "" if j.onset_error is None else f"{j.onset_error:+.0f} s"
    return f"{mark} {j.label:24} {j.seed:3} -> {j.said:24} {j.confidence:11} {error:8} {one.notes[:60]}"


def _tell(judged: Sequence[Judged], quiet: int, half: str, *, decoys: bool) -> int:
    print(f"{half} half: {len(judged)} cases, {quiet} left out because callers would not have felt them")
    print(f"{'cause':26} cases  right  bold+right  wrong+bold  abstained")
    for cause in sorted({one.judgement.label for one in judged}):
        of = [one.judgement for one in judged if one.judgement.label == cause]
        bold_right, bold_wrong = sum(j.right and j.bold for j in of), sum(j.wrong_and_bold for j in of)
        right, abstained = sum(j.right for j in of), sum(j.abstained for j in of)
        print(f"{cause:26} {len(of):5}  {right:5}  {bold_right:10}  {bold_wrong:10}  {abstained:9}")
    all_of = [one.judgement for one in judged]
    right = sum(j.right for j in all_of)
    wrong = sum(j.wrong_and_bold for j in all_of)
    bold = sum(j.right and j.bold for j in all_of)
    abstained = sum(j.abstained for j in all_of)
    errors = sorted(abs(j.onset_error) for j in all_of if j.onset_error is not None)
    count = max(1, len(all_of))
    low, high = wilson(right, count)
    print(
        f"right {right / count:.1%} (95 % interval {low:.1%} to {high:.1%}); wrong and bold {wrong / count:.1%};"
        f" abstained {abstained / count:.1%}; of the right ones bold {bold / max(1, right):.1%}"
    )
    print(
        f"onset found in {len(errors)}, off by {errors[len(errors) // 2]:.0f} s at the median"
        if errors
        else "no onset"
    )
    print(
        f"blaming the last rollout: right {sum(o.last_rollout for o in judged) / count:.1%};"
        f" the measure that moved most: right {sum(o.most_moved for o in judged) / count:.1%}"
    )
    if decoys:
        blamed = [o for o in judged if o.judgement.said in _ROLLOUT_LEAVES and not o.judgement.right]
        print(f"innocent rollouts blamed: {len(blamed)}")
        return int(bool(blamed))
    reached = right / count >= GOALS["top1"] and wrong / count <= GOALS["wrong_and_bold"]
    return int(not (reached and bold / max(1, right) >= GOALS["bold_of_right"]))


def _tell_removals(judged: Sequence[Judged]) -> int:
    """How the verdicts that were right change without each source. Exit status 1 where another cause is named."""
    all_of = [removal for one in judged for removal in one.removals]
    print(f"{'without':16} cases  stays  cannot tell  also true  consequence  another cause")
    for source in SOURCES:
        of = [removal.how for removal in all_of if removal.source == source]
        counts = [of.count(how) for how in get_args(How)]
        print(
            f"{source:16} {len(of):5}  {counts[0]:5}  {counts[1]:11}  {counts[2]:9}  {counts[3]:11}  {counts[4]:13}"
        )
    another = [removal for removal in all_of if removal.how == "another"]
    for removal in another:
        print(f"{removal.label} {removal.seed} without {removal.source}: {removal.said} {removal.confidence}")
    return int(bool(another))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927)."""
    z = 1.96
    share, scale = hits / of, 1 + z * z / of
    middle = (share + z * z / (2 * of)) / scale
    half = z * ((share * (1 - share) + z * z / (4 * of)) / of) ** 0.5 / scale
    return max(0.0, middle - half), min(1.0, middle + half)


if __name__ == "__main__":
    sys.exit(main())
