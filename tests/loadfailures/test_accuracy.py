"""The goals for load failures, on every real failure at once: right and bold, seldom wrong, never wrong and bold."""

from collections.abc import Callable

import pytest

from tests.loadfailures.accuracy import CANNOT_TELL, Judgement, judge, share, table
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Cause, End, Failure
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Outcomes
from tests.loadfailures.test_triage_is_right import is_log
from triage.report import VerdictView

MOST_WRONG_AND_BOLD = 0.02
LEAST_RIGHT = 0.95
LEAST_BOLD_OF_RIGHT = 0.60
LEAST_KINDS = 45

Shows = Callable[[Failure], bool]


@pytest.mark.asyncio(loop_scope="session")
async def test_right_and_bold(every_outcome: Outcomes, capsys: pytest.CaptureFixture[str]) -> None:
    """By log and index, and by the log alone. Bold is asked for where both are there."""
    both = [
        judge((await every_outcome[f.id]).report().verdict, f, shown=f.log_shows or f.index_shows)
        for f in FAILURES
    ]
    alone = [
        judge((await every_outcome[f.id]).report(is_log).verdict, f, shown=f.log_shows) for f in FAILURES
    ]
    answers = {failure.id for failure in FAILURES if failure.end is End.SERVING}
    with capsys.disabled():
        kinds = {(one.label, one.mechanism) for one in both if one.label != NOT_A_LOAD_FAILURE}
        print(f"\n{len(both)} real servers, {len(kinds)} kinds of load failure")
        print("by log and, where the server answers, index", table(both), "by the log alone", sep="\n")
        print(table(alone))
    for judgements in (both, alone):
        wrong = [f"{one.id}: {one.said}" for one in judgements if one.kind == "wrong"]
        assert share(judgements, lambda one: one.kind == "right") >= LEAST_RIGHT, wrong
        assert share(judgements, lambda one: one.bold_wrong) <= MOST_WRONG_AND_BOLD, wrong
    right = [one for one in both if one.kind == "right" and one.id in answers and one.label != CANNOT_TELL]
    assert share(right, lambda one: one.bold) >= LEAST_BOLD_OF_RIGHT
    assert len(kinds) >= LEAST_KINDS


FAILED = Failure("f", "", Cause("model_config", "m", secondary=("runtime_version",)), {})
FINE = Failure("h", "", Cause(NOT_A_LOAD_FAILURE, None), {})


@pytest.mark.parametrize(
    ("failure", "said", "shown", "judged"),
    [
        (FAILED, ("model_config", "m", "likely"), True, ("model_config", "right", True)),
        (FAILED, ("runtime_version", "m", "possible"), True, ("model_config", "right", False)),
        (FAILED, ("model_config", "n", "confirmed"), True, ("model_config", "wrong", True)),
        (FAILED, ("model_code", "m", "possible"), True, ("model_config", "wrong", False)),
        (FAILED, ("cannot_tell", "m", "cannot_tell"), True, ("model_config", "abstained", False)),
        (FAILED, ("cannot_tell", "m", "cannot_tell"), False, ("cannot_tell", "right", False)),
        (FAILED, ("model_code", "m", "likely"), False, ("cannot_tell", "wrong", True)),
        (FINE, ("not_a_load_failure", None, "likely"), False, ("not_a_load_failure", "right", True)),
        (FINE, ("cannot_tell", None, "cannot_tell"), False, ("not_a_load_failure", "abstained", False)),
    ],
)
def test_a_verdict_is_judged_by_label_model_and_what_was_shown(
    failure: Failure, said: tuple[str, str | None, str], shown: bool, judged: tuple[str, str, bool]
) -> None:
    category, model, confidence = said
    verdict = VerdictView(category=category, model=model, confidence=confidence, leaf="")  # type: ignore[arg-type]
    one = judge(verdict, failure, shown=shown)
    assert (one.label, one.kind, one.bold) == judged


def test_the_table_counts_each_label_and_all() -> None:
    rows = [
        Judgement("a", "model_config", "right", True, ""),
        Judgement("b", "model_config", "wrong", True, ""),
        Judgement("c", "model_code", "abstained", False, ""),
    ]
    assert [line.split()[:6] for line in table(rows).splitlines()[1:]] == [
        ["model_code", "1", "0", "0", "0", "1"],
        ["model_config", "2", "1", "1", "1", "0"],
        ["all", "3", "1", "1", "1", "1"],
    ]
