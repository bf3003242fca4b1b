"""What the texts in the evidence claim, and about which model: a log's records, the index's reasons, container states, events.

A claim is only what somebody's text says. Which claim is the root, and how far it is believed, is decided in `case` and
`confidence`."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice, zip_longest

import msgspec

from triage.evidence import Evidence, LogExcerpt, LogLine, PodEvents, PodView, RepositoryIndex, RepositoryView
from triage.load_attempts import Attempt, LoadLog, model_of_instance, named_or_numbered, read_attempts
from triage.log_lines import server_of
from triage.log_records import Record, level_of, read_records
from triage.pod_roles import has_run
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
    """False where the text names no model, and others may have been loading meanwhile."""
    by_manager: bool = False
    """Triton's model manager reports it as an error: nothing of that kind is harmless."""
    by: str = ""
    """The container whose words they are, where it is not Triton."""
    aside: bool = False
    """That container did not fail of it."""

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


def by_server(excerpt: LogExcerpt) -> list[LogExcerpt]:
    """The excerpt of each server, where the prefixes of a log show that several Tritons wrote it: that one of them loaded a
    model says nothing of the others. What nobody or somebody else said is kept by itself."""
    servers = {name for line in excerpt.lines if (name := server_of(line.text)) and level_of(line.text)}
    if len(servers) < 2:
        return [excerpt]
    parts: dict[str, list[LogLine]] = {}
    for line in excerpt.lines:
        name = server_of(line.text)
        parts.setdefault(name if name in servers else "", []).append(line)
    return [msgspec.structs.replace(excerpt, lines=tuple(lines)) for lines in parts.values()]


def read_log(evidence: Evidence, excerpt: LogExcerpt, signatures: Signatures) -> LogReading:
    """The loads and the claims in a log's excerpt."""
    records = list(read_records((line.number, line.text) for line in excerpt.lines))
    log = read_attempts(records)
    under_way = _UnderWay(log.attempts.values())
    last_own = max((record.number for record in records if record.own), default=0)
    claims = []
    for record, following in zip_longest(records, records[1:]):
        match = next((m for m in signatures.match(record.text) if m.signature.origin != "repository"), None)
        if match is None or match.category is None:
            continue
        model, sure = _model_of(match, record, following, log, under_way)
        attempt = log.attempts.get(model) if model else None
        claims.append(
            Claim(
                evidence.id,
                evidence.probe,
                match,
                record.line_at(match.start).strip("\r\n"),
                record.number,
                record.own or (0 < last_own < record.number and record.text.startswith(_LAST_WORDS)),
                model,
                match.groups.get("version") or (attempt.version if attempt else ""),
                sure,
                record.level == "E" and record.source.startswith(_MANAGERS),
            )
        )
    return LogReading(evidence, log, tuple(claims))


_LAST_WORDS = "error: creating server: "
"""Triton says so without its source file and ends (server: src/common.h, FAIL_IF_ERR). Where it stands last, nobody went on: a
server that does not end speaks after a model that prints this."""
_MANAGERS = ("model_repository_manager", "model_lifecycle", "model_config_utils")
_OF_INSTANCES = ("pb_stub.cc:", "python_be.cc:")
"""They name an instance where they say model (triton-inference-server/python_backend: src/pb_stub.cc, ProcessRequests)."""
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


def helper_claims(
    evidence: Evidence, excerpt: LogExcerpt, signatures: Signatures, by: str, *, aside: bool
) -> Iterator[Claim]:
    """What a container says that brings models to Triton: its own words, of no model, and never Triton's, whatever they look like.
    Once for each signature: a download that is tried again fails in the same words."""
    seen: set[str] = set()
    for line in excerpt.lines:
        match = next((m for m in signatures.match(line.text) if m.signature.origin != "repository"), None)
        if match is None or match.category in (None, "not_a_load_failure") or match.signature.id in seen:
            continue
        seen.add(match.signature.id)
        yield Claim(
            evidence.id,
            evidence.probe,
            match,
            line.text,
            line.number,
            False,
            None,
            by=by,
            aside=aside,
        )


def kubernetes_claims(
    evidence: Evidence, signatures: Signatures, pod: PodView | None = None
) -> Iterable[Claim]:
    """What container states and events say; they speak of no model. `pod` tells which events are over."""
    for text in _kubernetes_texts(evidence, ran=pod is not None and has_run(pod)):
        for words, own in _by_whom(text):
            for match in signatures.match(words)[:1]:
                if match.category is not None and match.signature.origin == "kubernetes":
                    yield Claim(evidence.id, evidence.probe, match, text, 0, own, None)


_QUOTES = re.compile(
    r"(?s)(.*?(?:terminated: (?:Error|Completed|OOMKilled|no reason), exit code -?\d+|[Pp]robe (?:failed|errored))): (.+)"
)
"""Where the kubelet passes on what a container left as its last words (kubernetes/website: docs/tasks/debug/debug-application/
determine-reason-pod-failure.md) or what a probe's command printed."""


def _by_whom(text: str) -> Iterator[tuple[str, bool]]:
    """The kubelet's own words, and apart from them a container's, which may be anything, with whether they are the kubelet's."""
    if quotes := _QUOTES.fullmatch(text):
        yield quotes[1], True
        yield quotes[2], False
    else:
        yield text, True


def repository_claims(evidence: Evidence, view: RepositoryView, signatures: Signatures) -> Iterable[Claim]:
    """What lies in the repository, each about its model. What a log says of the same is nearer the incident,
    and is quoted first."""
    for problem in view.problems:
        for match in signatures.match(problem.text):
            if match.signature.origin == "repository" and match.category is not None:
                model = problem.model or None
                yield Claim(
                    evidence.id,
                    evidence.probe,
                    match,
                    problem.text,
                    2 * _AFTER_LOGS,
                    True,
                    model,
                    problem.version,
                )
                break


_BEFORE_START = {
    "FailedScheduling",
    "FailedMount",
    "FailedAttachVolume",
    "FailedMapVolume",
    "FailedCreatePodSandBox",
}
"""What stands between a pod and its containers' start. The events stay for an hour after it is overcome; a FailedMount of a pod
that runs is a failed refresh (kubernetes/kubernetes: pkg/kubelet/events/event.go)."""


def _kubernetes_texts(evidence: Evidence, *, ran: bool) -> Iterable[str]:
    match evidence.facts:
        case PodView(containers=containers, reason=reason, phase=phase, troubles=troubles):
            if reason:
                yield f"pod {phase}: {reason}"
            yield from () if ran and phase == "Running" else (f"condition {told}" for told in troubles)
            for container in containers:
                kind = "init container" if container.init else "container"
                for state in (container.state, container.last_state):
                    if state:
                        yield f"{kind} {container.name} {state}"
        case PodEvents(events=events):
            for event in events:
                if ran and event.reason in _BEFORE_START:
                    continue
                yield f"event {event.reason}: {event.message}"


def _model_of(
    match: Match, record: Record, following: Record | None, log: LoadLog, under_way: "_UnderWay"
) -> tuple[str | None, bool]:
    """The model that a claim is about, and whether it surely is."""
    named = match.groups.get("model")
    if record.row is not None:
        return record.row[0], True
    if named and record.source.startswith(_OF_INSTANCES):
        return named_or_numbered(named, log.attempts.keys()) or named, True
    if named:
        return named, True
    if mentioned := mentioned_model(record.text, log.attempts.keys()):
        return mentioned, True
    if following is not None and record.level in ("E", "F"):
        # Models are polled one after another: what is said right before one's poll failed is about it.
        ends = under_way.unbegun.get(following.number, ())
        if len(ends) == 1:
            return ends[0], True
    loading, failing = under_way.at(record.number)
    if len(loading) == 1:
        return loading[0].model, len(log.attempts) == 1 or loading[0].began is not None
    if len(failing) == 1:
        return failing[0].model, False
    return None, False


class _UnderWay:
    """The loads under way at each line, asked from the first line to the last."""

    def __init__(self, attempts: Collection[Attempt]) -> None:
        self.unbegun: dict[int, list[str]] = {}
        """By the line of their end, the models whose load was not seen to begin."""
        for attempt in attempts:
            if attempt.began is None and attempt.ended is not None:
                self.unbegun.setdefault(attempt.ended, []).append(attempt.model)
        begun = (a for a in attempts if a.began is not None or a.outcome != "loaded")
        self._waiting = sorted(begun, key=lambda a: a.began or 0, reverse=True)
        self._ends: list[tuple[int, str]] = []
        self._loading: dict[str, Attempt] = {}
        self._failing: dict[str, Attempt] = {}

    def at(self, number: int) -> tuple[Sequence[Attempt], Sequence[Attempt]]:
        """At most two of those in whose load the line stands, or before the end of which, where its begin was not seen; and at
        most two of these that failed."""
        while self._waiting and (self._waiting[-1].began or 0) <= number:
            attempt = self._waiting.pop()
            self._loading[attempt.model] = attempt
            if attempt.outcome == "failed":
                self._failing[attempt.model] = attempt
            if attempt.ended is not None:
                heappush(self._ends, (attempt.ended, attempt.model))
        while self._ends and self._ends[0][0] < number:
            _, model = heappop(self._ends)
            del self._loading[model]
            self._failing.pop(model, None)
        return [*islice(self._loading.values(), 2)], [*islice(self._failing.values(), 2)]


_MENTION = re.compile(
    r"""['"](?=(?P<quoted>[^'"\n]{1,300})['"])|/(?=(?P<path>[^/\n]{1,300})/(?:-?\d+/|\d+\Z|config\.pbtxt))"""
    r"""|\bmodel (?:instance )?['"]?(?=(?P<said>[^\s'",;():/]{1,300}))"""
    r"""|(?<![^\s'"(])(?=(?P<versioned>[^\s'"(]{1,300}) \(version)"""
)


def mentioned_model(text: str, models: Set[str]) -> str | None:
    """The first of the models that the text names: as an instance, in quotes, in a path of the repository, after the word
    model, or before `(version`."""
    if instance := model_of_instance(text, models):
        return instance
    for found in _MENTION.finditer(text):
        name = found[found.lastgroup or 0]
        match found.lastgroup:
            case "quoted" if not name.isdecimal():  # a quoted number is any number, but after the word model
                model = named_or_numbered(name, models)
            case "said":
                model = named_or_numbered(name.rstrip("."), models)
            case "path" | "versioned":
                model = name if name in models else None
            case _:
                model = None
        if model:
            return model
    return None


def deciding(claims: Sequence[Claim]) -> Claim | None:
    """The claim nearest the root."""
    return min(claims, key=lambda claim: claim.rank, default=None)
