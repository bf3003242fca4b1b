"""How often verdicts on real failures are right, and how boldly: one judgement a failure, counted by label."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from tests.accuracy.__main__ import wilson
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Cause, Failure
from triage.report import VerdictView

CANNOT_TELL = "cannot_tell"
DEPENDENT = "dependency_model"


@dataclass(frozen=True)
class Judgement:
    id: str
    label: str
    """What is right to say: the failure's label, or `cannot_tell` where nothing that was given shows the cause."""
    kind: Literal["right", "wrong", "abstained"]
    bold: bool
    """Said as likely or confirmed."""
    said: str
    mechanism: str = ""
    """The message that told it, else the failure itself: failures of one mechanism are one kind."""

    @property
    def bold_right(self) -> bool:
        return self.kind == "right" and self.bold

    @property
    def bold_wrong(self) -> bool:
        return self.kind == "wrong" and self.bold


def judge(verdict: VerdictView, failure: Failure, *, shown: bool) -> Judgement:
    """shown: whether the sources that were given show the cause at all. Where they do not, `cannot_tell` is the right answer."""
    mute = not shown and failure.cause.label != NOT_A_LOAD_FAILURE
    kind: Literal["right", "wrong", "abstained"] = "wrong"
    if verdict.category == CANNOT_TELL:
        kind = "right" if mute else "abstained"
    elif (verdict.category, verdict.model) in accepted(failure):
        kind = "right"
    return Judgement(
        failure.id,
        CANNOT_TELL if mute else failure.cause.label,
        kind,
        verdict.confidence in ("likely", "confirmed"),
        f"{verdict.category} of {verdict.model or 'no model'}, {verdict.confidence}",
        verdict.signature or failure.id,
    )


def accepted(failure: Failure) -> set[tuple[str, str | None]]:
    """Category and model of every right verdict: about any model that is down by itself."""
    causes = [failure.cause, *(cause for cause in failure.also if cause.label != DEPENDENT)]
    return set(chain.from_iterable(map(pairs_of, causes)))


def pairs_of(cause: Cause) -> set[tuple[str, str | None]]:
    """Of a verdict about this model alone."""
    labels = {cause.label, *cause.secondary}
    return {(label, cause.model if label != NOT_A_LOAD_FAILURE else None) for label in labels}


def share(of: Sequence[Judgement], holds: Callable[[Judgement], bool]) -> float:
    return sum(map(holds, of)) / max(1, len(of))


def table(judgements: Sequence[Judgement]) -> str:
    """A line for each label and one for all, with the 95 % interval of the share that is right."""
    lines = [f"{'label':30} n    right  bold+right  wrong+bold  abstained  right, 95 % interval"]
    for label in [*sorted({one.label for one in judgements}), "all"]:
        of = [one for one in judgements if label in (one.label, "all")]
        right = sum(one.kind == "right" for one in of)
        low, high = wilson(right, len(of))
        lines.append(
            f"{label:30} {len(of):3}  {right:5}  {sum(one.bold_right for one in of):10}"
            f"  {sum(one.bold_wrong for one in of):10}  {sum(one.kind == 'abstained' for one in of):9}"
            f"  {low:.0%} to {high:.0%}"
        )
    return "\n".join(lines)
