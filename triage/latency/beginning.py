"""When the incident began: by the symptoms that callers feel, or by a part of a request's time. Pure."""

from dataclasses import dataclass, replace

from triage.latency.history import History, View, Who
from triage.latency.onset import Found, find_onset
from triage.latency.points import median
from triage.latency.quantities import Quantity
from triage.latency.trace import Trace

SYMPTOMS = (
    "latency",
    "gateway_tail",
    "p99",
    "waiting",
    "failure_share",
    "gateway_median",
    "gateway_errors",
    "queue_tail",
    "queue",
    "infer",
    "residual",
    "gateway_retries",
)
"""In this order, where they date the incident about as narrowly. The mean moves at once and has the least noise; the gateway sees
what Triton cannot; a summary is smeared over a minute; a server that hangs shows in what waits alone; and a part of a request's
time may move where the whole is too noisy to tell."""
_SEED = 20261123
_SPELL_STEPS = 8
"""In which something that comes and goes has to come once."""
_SHARP_STEPS = 6
"""An interval of so many is sharp enough, whatever the others are."""


@dataclass(frozen=True, slots=True)
class Beginning:
    symptom: str = ""
    onset: Found | None = None
    intermittent: bool = False
    """It comes and goes: dated by the worst of each few minutes, which stays up meanwhile."""
    missing: str = ""
    """Why there is no onset, in words."""
    evidence: tuple[str, ...] = ()
    """What the date rests on."""


def find_beginning(history: History, who: Who) -> Beginning:
    """By a symptom that lasts before one that is over, and of those that are dated about as sharply as the sharpest by the first
    that moved; where none shows a shift, by one that comes and goes. What lasts is dated again scrape by scrape, where that is
    known."""
    plain = _find(history, who, spells=False)
    if plain.onset is not None:
        return _sharpened(plain, plain.onset, _find(history, who, spells=False, view="close"))
    spells = _find(history, who, spells=True)
    return spells if spells.onset is not None else plain


def _sharpened(began: Beginning, coarse: Found, close: Beginning) -> Beginning:
    """The same beginning with the close view's date, where that is narrower and of the same shift."""
    if close.onset is None:
        return began
    wide, fine = coarse.onset, close.onset.onset
    same = fine.earliest <= wide.latest and fine.latest >= wide.earliest
    if not same or fine.latest - fine.earliest >= wide.latest - wide.earliest:
        return began
    return replace(began, onset=replace(coarse, onset=fine), evidence=began.evidence + close.evidence)


@dataclass(frozen=True, slots=True)
class _Dated:
    symptom: str
    onset: Found
    seconds: float
    """The width of the interval, and a step for each place in the order of symptoms."""
    evidence: tuple[str, ...]
    smear: float
    end: float
    """Of its points, in seconds since 1970."""

    @property
    def rise(self) -> float:
        return self.onset.during - self.onset.before

    @property
    def rank(self) -> tuple[bool, float]:
        return self.onset.ended is not None, self.seconds


def _find(history: History, who: Who, *, spells: bool, view: View = "") -> Beginning:
    reasons: list[str] = []
    dated: list[_Dated] = []
    step = 0.0
    for number, symptom in enumerate(SYMPTOMS):
        row, reading = history.quantities[symptom], history.read(symptom, who, view)
        if reading.trace is None:
            reasons.append(reading.missing)
            continue
        trace = _worst_lately(reading.trace) if spells else reading.trace
        step = trace.step
        smear = reading.smear + (_SPELL_STEPS * step if spells else 0.0)
        found = find_onset(trace, smear, seed=_SEED, prompt=reading.prompt)
        if isinstance(found, Found) and found.during - found.before > _felt(history, who, row, found):
            width = found.onset.latest - found.onset.earliest
            end = trace.start + trace.step * (len(trace.values) - 1)
            dated.append(_Dated(symptom, found, width + number * step, reading.evidence, smear, end))
            continue
        why = getattr(found, "reason", "it did not rise by as much as is felt").replace("_", " ")
        reasons.append(f"{row.says}: {why}")
    if not dated:
        return Beginning(missing="; ".join(dict.fromkeys(reasons[:3])))
    matter = [one for one in dated if _matters(one, dated)]
    telling = [one for one in matter if not _remembers(one, matter)]
    first = _first(telling, step)
    return Beginning(first.symptom, first.onset, intermittent=spells, evidence=first.evidence)


_ALIKE = (("latency", "queue", "infer", "residual"), ("gateway_tail", "p99", "queue_tail"))
"""Times of a request that can be compared: means, and tails."""


def _matters(one: _Dated, dated: list[_Dated]) -> bool:
    """Whether it is a tenth at least of what its like rose by: the queue's tail, a few milliseconds one minute earlier, is not the
    beginning of what took seconds."""
    alike = next((names for names in _ALIKE if one.symptom in names), ())
    most = max((each.rise for each in dated if each.symptom in alike), default=one.rise)
    return one.rise >= 0.1 * most


def _remembers(one: _Dated, dated: list[_Dated]) -> bool:
    """Whether it seems to last only as its window still holds what is over: a summary has what was slow in it for a minute."""
    began = one.onset.onset
    return one.onset.ended is None and any(
        other.onset.ended is not None
        and other.onset.onset.earliest <= began.latest
        and other.onset.onset.latest >= began.earliest
        and other.end - other.onset.ended.latest < one.smear
        for other in dated
    )


def _first(dated: list[_Dated], step: float) -> _Dated:
    """It began when the first of them moved: one dated about as sharply as the sharpest, or one that surely moved before it."""
    sharpest = min(dated, key=lambda one: one.rank)
    before = sharpest.onset.onset.earliest
    alike = [one for one in dated if one.rank[0] == sharpest.rank[0]]
    sharp = max(2 * sharpest.seconds, _SHARP_STEPS * step)
    early = [one for one in alike if one.seconds <= sharp or one.onset.onset.latest < before]
    return min(early, key=lambda one: one.onset.onset.at)


def _felt(history: History, who: Who, row: Quantity, found: Found) -> float:
    """A rise by less is no symptom: of a part of a request's time a tenth of the whole before, or of all that is known of the whole
    where nothing is of before; of what waits half a request."""
    if row.unit == "ms":
        whole = history.read("latency", who).trace
        early = whole.between(whole.start, found.onset.earliest).present() if whole else []
        known = early or (whole.present() if whole else [])
        return 0.1 * max(median([value for _, value in known]) or 0.0, found.before)
    return {"requests": 0.5, "requests/s": 0.05, "share": 0.01}.get(row.unit, 0.0)


def _worst_lately(trace: Trace) -> Trace:
    """At each step the largest value of the last few."""
    values = trace.values
    worst = []
    for place in range(len(values)):
        lately = [v for v in values[max(0, place - _SPELL_STEPS + 1) : place + 1] if v is not None]
        worst.append(max(lately) if lately and place >= _SPELL_STEPS - 1 else None)
    return Trace(trace.start, trace.step, tuple(worst))
