"""The case that the evidence makes: how each model stands by each source, what is claimed of it, and which failure is the root.

One case is one pod, or what was given by hand. A pure function of the evidence and the signatures."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from triage.claims import (
    Claim,
    LogReading,
    by_server,
    deciding,
    helper_claims,
    index_claims,
    kubernetes_claims,
    read_log,
    repository_claims,
)
from triage.evidence import (
    Evidence,
    IndexRow,
    LogExcerpt,
    PodEvents,
    PodView,
    Readiness,
    RepositoryIndex,
    RepositoryView,
)
from triage.load_attempts import Attempt
from triage.pod_roles import holds_up
from triage.signatures import Signatures
from triage.xids import Xids


@dataclass(slots=True)
class ModelCase:
    """One model of one server; `states` is what each source says: failed, loaded, loading or unloaded, by evidence id."""

    name: str
    version: str = ""
    states: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    order: int = 1 << 60
    """Line of the first claim or of the failure: which failed first."""
    loaded_before: bool = False

    @property
    def failed(self) -> bool:
        return "failed" in self.states.values()

    @property
    def loading(self) -> bool:
        return not self.failed and "loading" in self.states.values()

    @property
    def loaded(self) -> bool:
        return not self.failed and not self.loading and "loaded" in self.states.values()

    @property
    def would_fail(self) -> bool:
        """By what lies in the repository, at its next load."""
        return any(c.probe == "repository" and c.signature.role != "hint" for c in self.claims)

    @property
    def root(self) -> Claim | None:
        return deciding([claim for claim in self.claims if claim.category != "not_a_load_failure"])


@dataclass(slots=True)
class Case:
    subject: str
    """The pod, or empty."""
    evidence: tuple[Evidence, ...]
    models: dict[str, ModelCase] = field(default_factory=dict)
    logs: list[LogReading] = field(default_factory=list)
    loose: list[Claim] = field(default_factory=list)
    """Claims about no model: the server's start, the pod, a fragment."""
    beside: list[Claim] = field(default_factory=list)
    """What containers beside Triton said that did not fail of it: it may explain a failure, and is none."""
    xids: Xids = field(default_factory=dict)
    """What the driver's errors mean."""

    def of_probe(self, *probes: str) -> Iterator[Evidence]:
        return (evidence for evidence in self.evidence if evidence.probe in probes)

    @property
    def pod(self) -> PodView | None:
        return next((e.facts for e in self.evidence if isinstance(e.facts, PodView)), None)

    @property
    def failing(self) -> list[ModelCase]:
        return sorted((m for m in self.models.values() if m.failed), key=lambda m: (m.order, m.name))

    @property
    def no_server(self) -> bool:
        """The log says that the server gave up starting, and not that it served afterwards, in this life or a later one."""
        return any(
            (reading.log.no_server or 0) > (reading.log.serving or 0)
            for reading in self.logs
            if not self.serves_after(reading.evidence.id)
        )

    @property
    def no_repository(self) -> bool:
        """A repository as a whole could not be read, by the log or by the index."""
        return any(reading.log.no_repository for reading in self.logs) or any(
            isinstance(e.facts, RepositoryIndex) and e.facts.error for e in self.evidence
        )

    def serves_after(self, log: str) -> bool:
        """Whether this is the log of an earlier life of a container, whose present one says that the ports are open."""
        present = [
            r.log
            for r in self.logs
            if r.evidence.id != log and r.evidence.id == log.removeprefix("previous_")
        ]
        return any((now.serving or 0) > (now.no_server or 0) for now in present)


def make_case(
    subject: str, evidence: tuple[Evidence, ...], signatures: Signatures, xids: Xids | None = None
) -> Case:
    """Everything that this evidence says, by model."""
    case = Case(subject, evidence, xids=xids or {})
    for item in sorted(evidence, key=lambda item: item.probe == "previous_log"):
        if isinstance(item.facts, LogExcerpt) and item.probe == "helper_log":
            _add_helper(case, item, item.facts, signatures)
        elif isinstance(item.facts, LogExcerpt):
            for part in by_server(item.facts):
                _add_log(case, msgspec.structs.replace(item, facts=part), part, signatures)
        elif isinstance(item.facts, RepositoryIndex):
            _add_index(case, item, item.facts, signatures)
        elif isinstance(item.facts, PodView | PodEvents):
            case.loose += kubernetes_claims(item, signatures, case.pod)
        elif isinstance(item.facts, RepositoryView):
            for claim in repository_claims(item, item.facts, signatures):
                if claim.model:
                    model = _model(case, claim.model)
                    model.claims.append(claim)
                    model.version = model.version or claim.version
                else:
                    case.loose.append(claim)
    return case


def primary(case: Case, model: str = "") -> ModelCase | None:
    """The model to speak of: the asked one; else the failing one whose failure made the others fail, the first of those that
    failed by themselves; else one that is still loading and of which a line already says why it cannot."""
    if model:
        return case.models.get(model)
    failing = case.failing
    if first := next((candidate for candidate in failing if candidate.root), None):
        return _root_of(case, first)
    stuck = (m for m in case.models.values() if m.loading and m.root and m.root.signature.role == "cause")
    return next(iter(failing), None) or next(stuck, None)


def doomed(case: Case) -> ModelCase | None:
    """The model to speak of where none failed: one whose files would not load again, that with the plainest reason."""
    found = [(m.root.rank, m.name, m) for m in case.models.values() if m.would_fail and m.root]
    return min(found, key=lambda row: row[:2])[2] if found else None


def blamed_by(case: Case, child: str) -> list[str]:
    """The failing models whose own root blames this one."""
    return [m.name for m in case.failing if m.root and m.root.child == child]


def is_serving(case: Case, model: str, version: str = "") -> bool:
    """Whether the readiness path of this version, else of the model in any version, answered 200; else whether every row of the
    index has it READY."""
    said = {
        e.facts.version: e.facts.status == 200
        for e in case.of_probe("readiness")
        if isinstance(e.facts, Readiness) and e.facts.model == model
    }
    for asked in (version, ""):
        if asked in said:
            return said[asked]
    rows = [row for row in index_rows(case) if row.name == model]
    return bool(rows) and all(row.state == "READY" for row in rows)


def _root_of(case: Case, model: ModelCase) -> ModelCase:
    """Follows blame down to a model that fails for a reason of its own, or to the last one for which a reason is known."""
    above: set[str] = set()
    while (root := model.root) is not None:
        above.add(model.name)
        child = case.models.get(root.child) if root.child else None
        if child is None or not child.failed or child.root is None or child.name in above:
            break
        model = child
    return model


def index_rows(case: Case) -> Iterable[IndexRow]:
    for evidence in case.of_probe("index"):
        if isinstance(evidence.facts, RepositoryIndex):
            yield from evidence.facts.rows


def _model(case: Case, name: str) -> ModelCase:
    return case.models.setdefault(name, ModelCase(name))


def _add_log(case: Case, item: Evidence, excerpt: LogExcerpt, signatures: Signatures) -> None:
    reading = read_log(item, excerpt, signatures)
    case.logs.append(reading)
    for attempt in reading.log.attempts.values():
        model = _model(case, attempt.model)
        if item.probe == "previous_log" and model.loaded:
            continue  # it failed in an earlier life of the container, and does not now
        model.version = model.version or attempt.version
        if model.states.get(item.id) != "failed":  # by another server of the same log
            model.states[item.id] = attempt.outcome
        model.loaded_before = model.loaded_before or attempt.loaded_before
        if attempt.reason:
            model.reasons[item.id] = attempt.reason
        if attempt.outcome == "failed":
            model.order = min(model.order, attempt.ended or model.order)
    failing = [attempt for attempt in reading.log.attempts.values() if attempt.outcome == "failed"]
    shared: list[Claim] = []
    for claim in reading.claims:
        if claim.number < reading.log.life and claim.category != "not_a_load_failure":
            continue  # the server that said it has ended, and the one after it serves
        if claim.model and claim.model in reading.log.attempts:
            attempt = reading.log.attempts[claim.model]
            if attempt.began is None or claim.number >= attempt.began:
                _model(case, claim.model).claims.append(claim)
        elif claim.model and (claim.own or not reading.log.has_own):
            model = _model(case, claim.model)
            past = item.probe == "previous_log" and model.loaded
            model.claims.append(claim)
            if claim.category != "not_a_load_failure" and not past:
                model.states.setdefault(item.id, "failed")
        elif claim.category != "not_a_load_failure" and failing and not claim.sure:
            shared.append(claim)
        elif claim.model:  # anybody's line about a model that Triton does not speak of
            case.loose.append(replace(claim, model=None, sure=False))
        else:
            case.loose.append(claim)
        if claim.model in case.models:
            _model(case, claim.model).order = min(_model(case, claim.model).order, claim.number)
    _share(case, shared, failing)


def _add_helper(case: Case, item: Evidence, excerpt: LogExcerpt, signatures: Signatures) -> None:
    container, pod = container_of(item.id, item.subject), case.pod
    failed = pod is not None and holds_up(pod, container)
    claims = helper_claims(item, excerpt, signatures, container, aside=not failed)
    (case.loose if failed else case.beside).extend(claims)


def container_of(log: str, pod: str) -> str:
    """The container whose log has this id, `helper_log:POD/CONTAINER` or with `/previous` behind it."""
    return log.partition(":")[2].removeprefix(f"{pod}/").removesuffix("/previous")


def _share(case: Case, claims: Sequence[Claim], failing: Sequence[Attempt]) -> None:
    """Gives each failed load the claims before its end that may be of any of them: the deciding one of each category, since
    thousands of both would otherwise multiply."""
    best: dict[str, Claim] = {}
    waiting = deque(sorted(claims, key=lambda claim: claim.number))
    for attempt in sorted(failing, key=lambda attempt: attempt.ended or 0):
        while waiting and waiting[0].number <= (attempt.ended or waiting[0].number):
            claim = waiting.popleft()
            kept = best.setdefault(str(claim.category), claim)
            best[str(claim.category)] = min(kept, claim, key=lambda one: one.rank)
        _model(case, attempt.model).claims += best.values()


def _add_index(case: Case, item: Evidence, index: RepositoryIndex, signatures: Signatures) -> None:
    for row in index.rows:
        if not row.state:
            continue
        model = _model(case, row.name)
        match row.state:
            case "READY":
                model.states.setdefault(item.id, "loaded")
            case "UNAVAILABLE" if row.reason and row.reason != "unloaded":
                model.states[item.id] = "failed"
                model.version = model.version or row.version
                model.reasons[item.id] = row.reason
            case "LOADING":
                model.states[item.id] = "loading"
            case "UNAVAILABLE" | "UNLOADING":
                model.states.setdefault(item.id, "unloaded")
    for claim in index_claims(item, index, signatures):
        if claim.model:
            _model(case, claim.model).claims.append(claim)
        else:
            case.loose.append(claim)
