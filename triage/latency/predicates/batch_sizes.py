"""Batch sizes that cost something at their first execution, by the statistics API. Pure."""

from itertools import accumulate

from triage.answers import Answer
from triage.latency.facts import Batch, Statistics
from triage.latency.incident import Incident
from triage.latency.number import amount
from triage.latency.points import median

_FEW = 5
"""Executions of a size, in whose mean a first one that took ten times as long still stands out."""
_SELDOM = 10
"""Executions of a size, in whose sum what the first one cost still stands out."""
_SIZES = 4
"""Of sizes executed seldom, at least so many for what they cost to be compared."""


def rare_batch_size(incident: Incident) -> Answer:
    """A batch size that was executed a few times only, and took many times as long as the others."""
    for evidence, facts in incident.facts(Statistics):
        for rows in (facts.during, facts.before):
            for row in rows:
                if row.model == incident.model and (said := _outlier(row.batches)):
                    return Answer("yes", said, (evidence.id,))
    if unseen := incident.missing("statistics"):
        return Answer("unknown", unseen)
    return Answer(
        "no", "no batch size took much longer than others", tuple(e.id for e, _ in incident.facts(Statistics))
    )


def _outlier(batches: tuple[Batch, ...]) -> str:
    """Sizes that were executed a few times and took far longer than is usual, and than their size explains. One alone may be a
    heavy request: two are needed that took ten times as long, or what each costs beyond the usual has to be the same however often
    it was executed."""
    rows = [(b.size, b.executions, b.infer_ms / b.executions) for b in batches if b.executions]
    if len(rows) < 2:
        return ""
    usual_size, middle = _median_execution(rows)
    seldom = [row for row in rows if row[1] <= _FEW]
    slow = [row for row in seldom if row[2] > 10 * middle and row[2] > middle + 100]
    rare = [row for row in slow if row[2] > 2 * middle * row[0] / usual_size]
    # Heavy requests make some sizes slow that are seldom; what is built at a first execution makes most of them slow.
    if len(rare) < 2 or 2 * len(slow) < len(seldom):
        rare = [row for row in rows if row[1] <= _SELDOM]
        if not _cost_once(rare, middle):
            return ""
    size, executions, each = max(rare, key=lambda row: row[2])
    more = f", and {len(rare) - 1} more sizes" if len(rare) > 1 else ""
    return f"batch size {size} took {amount(each, 'ms')} in {executions} executions{more}; others {amount(middle, 'ms')}"


def _median_execution(rows: list[tuple[int, int, float]]) -> tuple[int, float]:
    """Size and ms of the execution that half of all executions took no longer than. Rows, one at least, are size, executions, and
    ms of each."""
    ordered = sorted(rows, key=lambda row: row[2])
    reached = accumulate(executions for _, executions, _ in ordered)
    half = sum(executions for _, executions, _ in rows) / 2
    return next((size, each) for (size, _, each), done in zip(ordered, reached, strict=True) if done >= half)


def _cost_once(rare: list[tuple[int, int, float]], middle: float) -> bool:
    """Whether each size cost about the same beyond the usual time of its executions, once and for all, as what is built or tuned at
    a size's first execution does; heavy requests cost it each time, and large ones by their size. Rows are size, executions, and
    ms of each."""
    beyond = sorted(executions * (each - middle) for _, executions, each in rare)
    if len(beyond) < _SIZES:
        return False
    once = median(beyond) or 0.0
    alike = beyond[0] > once / 2 and beyond[-1] < 2 * once
    varied = any(
        max(values) >= 3 * min(values) for values in ([row[0] for row in rare], [row[1] for row in rare])
    )
    return once > max(2 * middle, 100.0) and alike and varied
