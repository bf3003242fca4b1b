"""What the texts in the evidence claim, and about which model: a log's records, the index's reasons, container states, events.

A claim is only what somebody's text says. Which claim is the root, and how far it is believed, is decided in `case` and
`confidence`."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from triage.evidence import Evidence, LogExcerpt, PodEvents, PodView, RepositoryIndex
from triage.load_attempts import Attempt, LoadLog, model_of_instance, read_attempts
from triage.log_records import Record, read_records
from triage.signatures import Category, Match, Signature, Signatures


@dataclass(frozen=True, slots=True)
class Claim:
    evidence: str
    """Id of the evidence it stands in."""
    probe: str
    match: Match
    line: str
    """The telling line, as in the evidence."""
    number: int
    """Its record's line in a log; elsewhere behind every line."""
    own: bool
    """In Triton's own line (source file, table, index) or an object of Kubernetes; else anybody's text."""
    model: str | None
    version: str = ""
    sure: bool = True
    """False where the model is only the one that was loading meanwhile."""
    by_manager: bool = False
    """Triton's model manager reports it as an error: nothing of that kind is harmless."""

    @property
    def signature(self) -> Signature:
        return self.match.signature

    @property
    def category(self) -> Category | None:
        return self.match.category

    @property
    def child(self) -> str | None:
        return self.match.groups.get("child")

    @property
    def rank(self) -> tuple[int, bool, bool, int]:
        """Smaller is nearer the root: what names a mechanism, surely of this model, in Triton's own line, first."""
        return self.match.rank[0], not self.sure, not self.own, self.number


@dataclass(frozen=True, slots=True)
class LogReading:
    """One log, read."""

    evidence: Evidence
    log: LoadLog
    claims: tuple[Claim, ...]
    complete: bool
    """Nothing of it was left unread."""


def read_log(evidence: Evidence, excerpt: LogExcerpt, signatures: Signatures) -> LogReading:
    """The loads and the claims in a log's excerpt."""
    records = list(read_records((line.number, line.text) for line in excerpt.lines))
    log = read_attempts(records)
    mentions = _Mentions(log.attempts)
    claims = []
    for record, following in zip_longest(records, records[1:]):
        match = next(iter(signatures.match(record.text)), None)
        if match is None or match.category is None:
            continue
        model, sure = _model_of(match, record, following, log, mentions)
        attempt = log.attempts.get(model) if model else None
        claims.append(
            Claim(
                evidence.id,
                evidence.probe,
                match,
                record.line_at(match.start).strip("\r\n"),
                record.number,
                record.own,
                model,
                match.groups.get("version") or (attempt.version if attempt else ""),
                sure,
                record.level == "E" and record.source.startswith(_MANAGERS),
            )
        )
    return LogReading(evidence, log, tuple(claims), not excerpt.cut)


_MANAGERS = ("model_repository_manager", "model_lifecycle", "model_config_utils")
_AFTER_LOGS = 1 << 40
"""Where a log's line and the index say the same, the line is the one to quote: it has a time and what came before it."""


def index_claims(evidence: Evidence, index: RepositoryIndex, signatures: Signatures) -> Iterable[Claim]:
    """The reasons of failed models in the repository index, and the error that it answers itself."""
    if index.error:
        yield from _reason_claims(evidence, "creating server: ", index.error, None, "", signatures)
    for row in index.rows:
        if row.state != "READY" and row.reason and row.reason != "unloaded":
            before = f"failed to load '{row.name}' version {row.version}: "
            yield from _reason_claims(evidence, before, row.reason, row.name, row.version, signatures)


def _reason_claims(
    evidence: Evidence, before: str, reason: str, model: str | None, version: str, signatures: Signatures
) -> Iterable[Claim]:
    """The reason is read as Triton's log prints it, behind `before`: an error of a request means a warm-up there."""
    for match in signatures.match(before + reason)[:1]:
        if match.category is not None:
            start = max(0, match.start - len(before))
            line = reason[reason.rfind("\n", 0, start) + 1 :].partition("\n")[0]
            yield Claim(evidence.id, evidence.probe, match, line, _AFTER_LOGS, True, model, version)


def kubernetes_claims(evidence: Evidence, signatures: Signatures) -> Iterable[Claim]:
    """What container states and events say; they speak of no model."""
    for text in _kubernetes_texts(evidence):
        for match in signatures.match(text)[:1]:
            if match.category is not None and match.signature.origin == "kubernetes":
                yield Claim(evidence.id, evidence.probe, match, text, 0, True, None)


def _kubernetes_texts(evidence: Evidence) -> Iterable[str]:
    match evidence.facts:
        case PodView(containers=containers, reason=reason, phase=phase):
            if reason:
                yield f"pod {phase}: {reason}"
            for container in containers:
                kind = "init container" if container.init else "container"
                for state in (container.state, container.last_state):
                    if state:
                        yield f"{kind} {container.name} {state}"
        case PodEvents(events=events):
            for event in events:
                yield f"event {event.reason}: {event.message}"


def _model_of(
    match: Match, record: Record, following: Record | None, log: LoadLog, mentions: "_Mentions"
) -> tuple[str | None, bool]:
    """The model that a claim is about, and whether it surely is."""
    named = match.groups.get("model")
    if record.row is not None:
        return record.row[0], True
    if named:
        return named, True
    if mentioned := mentions.find(record.text):
        return mentioned, True
    if following is not None and record.level in ("E", "F"):
        # Models are polled one after another: what is said right before one's poll failed is about it.
        ends = [a for a in log.attempts.values() if a.began is None and a.ended == following.number]
        if len(ends) == 1:
            return ends[0].model, True
    loading = [attempt for attempt in log.attempts.values() if _during(attempt, record.number)]
    if len(loading) == 1:
        return loading[0].model, len(log.attempts) == 1 or loading[0].began is not None
    failing = [attempt for attempt in loading if attempt.outcome == "failed"]
    if len(failing) == 1:
        return failing[0].model, False
    return None, False


def _during(attempt: Attempt, number: int) -> bool:
    """Whether the line stands within this load, or before the end of one whose begin was not seen."""
    if attempt.outcome == "loaded" and attempt.began is None:
        return False
    return (attempt.began or 0) <= number and (attempt.ended is None or number <= attempt.ended)


class _Mentions:
    """Finds the models of a log in its lines: in quotes, in a path of the repository, or as an instance."""

    def __init__(self, models: Iterable[str]) -> None:
        self._models = sorted(models, key=len, reverse=True)
        names = "|".join(map(re.escape, self._models))
        self._pattern = re.compile(
            rf"""['"](?P<quoted>{names})(?:_\d+)*['"]|/(?P<path>{names})/(?:-?\d+/|\d+$|config\.pbtxt)"""
            rf"""|\bmodel (?:instance )?['"]?(?P<said>{names})(?:_\d+)*(?![\w-])|\b(?P<versioned>{names}) \(version"""
        )

    def find(self, text: str) -> str | None:
        if not self._models:
            return None
        if instance := model_of_instance(text, self._models):
            return instance
        found = self._pattern.search(text)
        return next((name for name in found.groups() if name), None) if found else None


def deciding(claims: Sequence[Claim]) -> Claim | None:
    """The claim nearest the root."""
    return min(claims, key=lambda claim: claim.rank, default=None)
