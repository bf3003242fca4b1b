"""What a test of the tree answers on a case: yes, no or unknown, because of what, by which evidence.

Strong three-valued logic: `no` needs evidence that could have shown the contrary; where a source is missing or cut short the
answer is `unknown`, with the reason."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from triage.case import Case, ModelCase, doomed, index_rows, is_serving
from triage.claims import Claim, LogReading, deciding
from triage.evidence import (
    Evidence,
    LogExcerpt,
    ModelConfig,
    PodView,
    Readiness,
    RepositoryIndex,
    RepositoryView,
)
from triage.load_attempts import Attempt
from triage.log_records import level_of
from triage.overlap import loading_beside
from triage.pod_roles import triton_containers
from triage.tree import Test, TestKind
from triage.wording import count

Value = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True)
class Answer:
    value: Value
    because: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class View:
    """A case with the failing model that the walk speaks of, if one is named at all, and the claim nearest the root."""

    case: Case
    model: ModelCase | None
    root: Claim | None
    asked: str = ""
    """The model that the person asked about, which no evidence may name."""

    @property
    def models(self) -> Sequence[ModelCase]:
        """Those that the question is about: the asked one, or all."""
        return [m for m in self.case.models.values() if not self.asked or m.name == self.asked]


def view_of(case: Case, model: ModelCase | None, asked: str = "") -> View:
    """Chooses the root: the failing model's own claim; else, or where that one proves little, a claim about no model. That nothing
    is wrong with loading is no root of a model that failed to load. Where nothing says that anything is wrong now, a model is
    chosen whose files would not load again."""
    failed = model is not None and model.failed
    loose = deciding([c for c in case.loose if not (failed and c.category == "not_a_load_failure")])
    if loose is None and (failed or case.no_server):
        loose = deciding(case.beside)
    if model is None and not asked and (loose is None or _outlived(case, loose)):
        model = doomed(case)
    if model is None:
        return View(case, None, loose if loose or asked or not case.models else _any_claim(case), asked)
    own = model.root or (None if failed else deciding(model.claims))
    if own is None or (own.signature.role == "hint" and loose and loose.signature.role == "cause"):
        return View(case, model, loose or own, asked)
    return View(case, model, own, asked)


def rests_on_text(view: View) -> bool:
    """Whether that the loads went well is said only in lines that anybody may have printed."""
    logs = [reading for reading in view.case.logs if reading.evidence.probe == "log"]
    if any(row.state == "READY" for row in index_rows(view.case)):
        return False
    loaded = [a for r in logs for m in view.models if m.loaded and (a := r.log.attempts.get(m.name))]
    if loaded:
        return not all(attempt.last and attempt.last.own for attempt in loaded)
    return not any(_is_own(reading, reading.log.serving) for reading in logs)


def said_while_serving(view: View) -> Claim | None:
    """The root, where it is about a request that the loaded models could not answer."""
    root = view.root
    if root is None or root.model or root.by_manager or root.category == "not_a_load_failure":
        return None
    found = any(_while_serving(r, root) for r in view.case.logs if _stands_in(r, root))
    return root if found else None


def answer(test: Test, view: View) -> Answer:
    """The answer of the probes that the test reads."""
    return _KINDS[test.kind](test, view)


def _seen(test: Test, view: View) -> Answer:
    there = [evidence for evidence in view.case.of_probe(*test.reads) if evidence.facts is not None]
    if there:
        return Answer("yes", f"{count(len(there), 'source')} answered", _ids(there))
    gone = list(view.case.of_probe(*test.reads))
    return Answer("no", "no source answered", _ids(gone))


def _failed(test: Test, view: View) -> Answer:
    case, model = view.case, view.model
    if model is not None and model.failed:
        return Answer("yes", f"{model.name} failed to load", tuple(model.states))
    if case.no_server:
        return Answer("yes", "the server gave up starting", tuple(r.evidence.id for r in case.logs))
    if any(reading.log.no_repository for reading in case.logs):
        return Answer("yes", "a model repository cannot be read", tuple(r.evidence.id for r in case.logs))
    refused = [e for e in case.of_probe("index") if isinstance(e.facts, RepositoryIndex) and e.facts.error]
    if refused:
        return Answer("yes", "Triton cannot read a model repository", _ids(refused))
    ended = [c for c in (case.pod.containers if case.pod else ()) if c.exit_code and not c.ready]
    loading = [m for m in view.models if m.loading]
    root = view.root
    if root is not None and root.category != "not_a_load_failure" and not _outlived(case, root):
        return Answer("yes", root.signature.says, (root.evidence,))
    if ended and not loading:
        said = f"container {ended[0].name} ended with exit code {ended[0].exit_code}"
        return Answer("yes", said, _ids(case.of_probe("pod")))
    if loading:
        return Answer("unknown", f"{loading[0].name} is still loading", tuple(loading[0].states))
    if view.asked and root is None and not any(m.states for m in view.models):
        return Answer("unknown", f"no source says how {view.asked} stands", _ids(case.of_probe(*test.reads)))
    loaded = [m for m in view.models if m.loaded]
    if not case.logs:
        # A failed reload of a served version leaves no trace in the index, nor does a model whose folder cannot be read.
        said = (
            "no log was read, and the index does not show every failure"
            if loaded
            else "no evidence says how a load ended"
        )
        return Answer("unknown", said, _ids(case.of_probe(*test.reads)))
    if unread := _unread(view, *test.reads):
        said = f"{unread[0].source} was not read as a whole, and no failure stands in what was read"
        return Answer("unknown", said, _ids(unread))
    if loaded:
        by = tuple(dict.fromkeys(source for m in loaded for source in m.states))
        said = (
            f"{view.asked} loaded" if view.asked else f"{count(len(loaded), 'model')} loaded and none failed"
        )
        return Answer("no", said, by)
    if view.asked and model is not None and root is None:
        return Answer(
            "unknown", f"{model.name} is not loaded, and no line says that it failed", tuple(model.states)
        )
    if root is not None:
        return Answer("no", root.signature.says, (root.evidence,))
    if any(reading.log.serving for reading in case.logs):
        said = "the server opened its ports and reports no failure"
        return Answer("no", said, tuple(r.evidence.id for r in case.logs))
    return Answer("unknown", "no evidence says how a load ended", _ids(case.of_probe(*test.reads)))


def _unfinished(test: Test, view: View) -> Answer:
    loading = [m for m in view.models if m.loading]
    if loading:
        names = ", ".join(m.name for m in loading[:6])
        more = f" and {len(loading) - 6} more" if len(loading) > 6 else ""
        said = f"{names}{more}: the load began and has not ended"
        return Answer("yes", said, tuple(loading[0].states))
    if stuck := _unopened(view):
        return stuck
    if unread := _unread(view, *test.reads):
        said = f"{unread[0].source} was not read as a whole: a load may have begun in the rest"
        return Answer("unknown", said, _ids(unread))
    if view.models:
        return Answer("no", "no load is under way", _ids(view.case.of_probe(*test.reads)))
    return Answer("unknown", "no evidence names a model that is loading")


def _unopened(view: View) -> Answer | None:
    """A Triton that runs and has its ports closed is still starting, whether or not it names a model: it opens them once all loads
    have ended, well or not, and ends itself where it gives up (triton-inference-server/server: src/main.cc)."""
    pod = view.case.pod
    closed = [e for e in view.case.of_probe("index") if e.missing and e.missing.reason == "not_started"]
    if pod is None or not closed or any(reading.log.serving for reading in view.case.logs):
        return None
    running = [c.name for c in triton_containers(pod) if c.state == "running" and not c.ready]
    if not running:
        return None
    silent = any(reading.evidence.probe == "log" for reading in view.case.logs)
    log = "its log says of nothing that it failed" if silent else "its log was not seen"
    said = f"container {running[0]} runs, {_detail(closed[0])}, and {log}"
    return Answer("yes", said, (*_ids(view.case.of_probe("pod")), *_ids(closed)))


def _detail(evidence: Evidence) -> str:
    return evidence.missing.detail if evidence.missing else ""


def _root(test: Test, view: View) -> Answer:
    root = view.root
    if root is None:
        return Answer("unknown", _why_unseen(test, view))
    if test.signature not in (None, root.signature.id):
        return Answer("no", f"the telling line is another: {root.signature.says}", (root.evidence,))
    if root.category == test.category:
        return Answer("yes", root.signature.says, (root.evidence,))
    return Answer("no", f"the telling line shows {str(root.category).replace('_', ' ')}", (root.evidence,))


def _serves(test: Test, view: View) -> Answer:
    asked = list(view.case.of_probe(*test.reads))
    answered = [e for e in asked if view.model is not None and _tells_of(e, view.model.name)]
    if view.model is None or not answered:
        return Answer("unknown", _why_unseen(test, view), _ids(asked))
    if is_serving(view.case, view.model.name, view.model.version):
        if view.model.failed and view.model.loaded_before:
            # It keeps what it had: triton-inference-server/core: src/model_repository_manager/model_lifecycle.cc, OnLoadComplete.
            said = f"Triton says that {view.model.name} is ready: it may be what was loaded before, which a failed reload leaves"
            return Answer("unknown", said, _ids(answered))
        return Answer("yes", f"Triton says that {view.model.name} is ready", _ids(answered))
    return Answer("no", f"Triton does not say that {view.model.name} is ready", _ids(answered))


def _loaded_after(test: Test, view: View) -> Answer:
    if view.model is None or not view.case.logs:
        return Answer("unknown", _why_unseen(test, view))
    for reading in view.case.logs:
        attempt = reading.log.attempts.get(view.model.name)
        if view.model.states.get(reading.evidence.id) == "failed":
            continue  # on another server of the same log
        if attempt and attempt.outcome == "loaded" and reading.evidence.probe == "log":
            return Answer("yes", f"the log ends with {view.model.name} loaded", (reading.evidence.id,))
    present = [reading for reading in view.case.logs if reading.evidence.probe == "log"]
    if not present or _unread(view, *test.reads):
        return Answer("unknown", "the log was not read to its end", _ids(view.case.of_probe(*test.reads)))
    return Answer("no", "the log shows no later load of it", tuple(r.evidence.id for r in present))


def _second_source(test: Test, view: View) -> Answer:
    """Whether a source other than the one with the telling line, and not a log, shows the same failure."""
    root = view.root
    if root is None:
        return Answer("unknown", _why_unseen(test, view))
    asked = list(view.case.of_probe(*test.reads))
    logs = ("log", "previous_log")
    there = [
        evidence
        for evidence in asked
        if evidence.facts is not None
        and evidence.id != root.evidence
        and not (evidence.probe in logs and root.probe in logs)
    ]
    for evidence in there:
        if said := _shows(evidence, view, root):
            return Answer("yes", said, (evidence.id,))
    if there:
        return Answer("no", "no other source shows this failure", _ids(there))
    return Answer("unknown", "there is no second source", _ids(asked))


def _healthy(test: Test, view: View) -> Answer:
    """Whether a source that is not a log shows the server and its models well."""
    asked = list(view.case.of_probe(*test.reads))
    for evidence in asked:
        if isinstance(evidence.facts, RepositoryIndex):
            rows = [row for row in evidence.facts.rows if row.state]
            if not rows:
                said = "the repository index names no model that Triton was asked to load"
                return Answer("unknown", said, (evidence.id,))
            if all(row.state == "READY" or row.reason == "unloaded" for row in rows):
                return Answer("yes", "every model that Triton was asked to load is READY", (evidence.id,))
            return Answer("no", "the repository index has a model that is not READY", (evidence.id,))
    for evidence in asked:
        if isinstance(evidence.facts, PodView):
            said = f"pod {evidence.facts.name} is {'' if evidence.facts.ready else 'not '}ready"
            return Answer("yes" if evidence.facts.ready else "no", said, (evidence.id,))
    return Answer("unknown", "no source besides the logs tells how all models stand", _ids(asked))


def _alone(test: Test, view: View) -> Answer:
    """Whether the log shows that no other load, and no other instance's, was under way during the model's failing one."""
    model = view.model.name if view.model else ""
    found = [(r, beside) for r in view.case.logs if (beside := loading_beside(r, model)) is not None]
    for reading, beside in found:
        if beside:
            return Answer("no", beside, (reading.evidence.id,))
    if not found or _unread(view, *test.reads):
        asked = _ids(view.case.of_probe(*test.reads))
        return Answer("unknown", "no log shows from when to when it loaded", asked)
    return Answer("yes", "the log shows no other load meanwhile", tuple(r.evidence.id for r, _ in found))


def _in_order(test: Test, view: View) -> Answer:
    """Whether nothing but a repository was looked at, and nothing was found in it, all of it."""
    case = view.case
    for evidence in case.of_probe(*test.reads):
        if not isinstance(evidence.facts, RepositoryView) or len(case.evidence) > 1:
            continue
        looked = count(len(evidence.facts.models), "model")
        if evidence.facts.unread:
            said = f"not all of the repository was read: {evidence.facts.unread[0]}"
            return Answer("unknown", said, (evidence.id,))
        if evidence.facts.problems:
            return Answer("no", evidence.facts.problems[0].text, (evidence.id,))
        if view.asked and view.asked not in {model.name for model in evidence.facts.models}:
            return Answer("unknown", f"the repository has no model {view.asked}", (evidence.id,))
        said = f"nothing was found in {looked}; a look at files does not show whether they load"
        return Answer("yes", said, (evidence.id,))
    return Answer("unknown", "more was asked than a repository")


def _read_in_part(test: Test, view: View) -> Answer:
    """Whether nothing but a repository was looked at, and nothing was found in it, though some of it was not read."""
    for evidence in view.case.of_probe(*test.reads):
        if not isinstance(evidence.facts, RepositoryView) or len(view.case.evidence) > 1:
            continue
        if evidence.facts.problems or not evidence.facts.unread:
            return Answer("no", "something was found, or all of it was read", (evidence.id,))
        unread = evidence.facts.unread
        more = f", and {len(unread) - 1} more" if len(unread) > 1 else ""
        return Answer("yes", f"not read: {unread[0]}{more}", (evidence.id,))
    return Answer("unknown", "more was asked than a repository")


_KINDS: Mapping[TestKind, Callable[[Test, View], Answer]] = {
    "seen": _seen,
    "failed": _failed,
    "unfinished": _unfinished,
    "root": _root,
    "serves": _serves,
    "loaded_after": _loaded_after,
    "second_source": _second_source,
    "healthy": _healthy,
    "alone": _alone,
    "in_order": _in_order,
    "read_in_part": _read_in_part,
}


def _shows(evidence: Evidence, view: View, root: Claim) -> str:
    """How this source shows the same failure; empty where it does not."""
    model = view.model
    if isinstance(evidence.facts, RepositoryIndex) and model is not None:
        if model.states.get(evidence.id) == "failed":
            same = [c for c in model.claims if c.evidence == evidence.id and c.category == root.category]
            return f"the repository index has {model.name} UNAVAILABLE for the same reason" if same else ""
        return _absent(evidence.facts, view.case, model)
    if isinstance(evidence.facts, PodView) and root.by and not root.aside:
        for container in evidence.facts.containers:
            if container.name == root.by and container.exit_code not in (None, 0):
                return f"container {root.by}, which says so, ended with exit code {container.exit_code}"
    if isinstance(evidence.facts, PodView) and view.case.no_server:
        for container in evidence.facts.containers:
            # main.cc ends with 1 when it cannot create the server; any other code is another story.
            if not container.ready and container.exit_code == 1:
                return f"container {container.name} ended itself with exit code 1"
    same = [
        c
        for c in (model.claims if model else view.case.loose)
        if c.evidence == evidence.id and c.category == root.category
    ]
    if evidence.probe in ("log", "previous_log") and root.probe not in ("log", "previous_log"):
        return "the log says the same" if same and (model or root.probe == "index") else ""
    if isinstance(evidence.facts, RepositoryIndex) and evidence.facts.error:
        return "the repository index is refused for the same reason" if same else ""
    if isinstance(evidence.facts, RepositoryView):
        return f"the repository shows it too: {same[0].line.removeprefix('repository: ')}" if same else ""
    return ""


def _absent(index: RepositoryIndex, case: Case, model: ModelCase) -> str:
    """A model without a version that could be loaded has no row at all. That tells something only if the index is surely of this
    log's server: every model that the log has loaded is there."""
    attempts = [a for reading in case.logs if (a := reading.log.attempts.get(model.name))]
    if any(a.version or (a.last and a.last.text.startswith("Poll failed")) for a in attempts):
        return ""  # a version that failed has a row with its reason, and a folder has one with its name
    ready = {row.name for row in index.rows if row.state == "READY"}
    loaded = {attempt.model for reading in case.logs for attempt in reading.log.of("loaded")}
    if model.name in {row.name for row in index.rows} or not loaded or not loaded <= ready:
        return ""
    return f"the repository index has no row for {model.name}, and has every model that the log shows loaded"


def _outlived(case: Case, claim: Claim) -> bool:
    """Whether what the claim is about came up all the same: its model, or, where it is about none, any model or the ports. What
    lies in the repository is about the next load."""
    if claim.probe == "repository" and claim.signature.role != "hint":
        return False
    if claim.model:
        model = case.models.get(claim.model)
        return model is not None and (model.loaded or _was_unloaded_after(case, claim))
    if claim.probe == "previous_log" and case.serves_after(claim.evidence):
        return True
    if claim.by_manager:
        return False
    for reading in case.logs:
        if _stands_in(reading, claim):
            ends = [attempt.ended or 0 for attempt in reading.log.of("loaded")]
            return max([*ends, reading.log.serving or 0]) > claim.number or _while_serving(reading, claim)
    return False


def _was_unloaded_after(case: Case, claim: Claim) -> bool:
    """The model had come up in spite of it, since somebody took it out of service then."""
    loads = [r.log.attempts.get(claim.model or "") for r in case.logs if _stands_in(r, claim)]
    return any(load and load.outcome == "unloaded" and (load.ended or 0) > claim.number for load in loads)


def _stands_in(reading: LogReading, claim: Claim) -> bool:
    """A log of several servers has a reading for each."""
    lines = reading.evidence.facts.lines if isinstance(reading.evidence.facts, LogExcerpt) else ()
    return reading.evidence.id == claim.evidence and any(line.number == claim.number for line in lines)


def _while_serving(reading: LogReading, claim: Claim) -> bool:
    """Whether it was said after all loads had ended well and the ports were open: of a request, then, and not of a load."""
    log = reading.log
    loads = [a for a in log.attempts.values() if a.outcome not in ("loaded", "unloaded") or _holds(a, claim)]
    return bool(log.of("loaded")) and not loads and (log.serving or claim.number) < claim.number


def _holds(attempt: Attempt, claim: Claim) -> bool:
    return attempt.began is not None and attempt.began <= claim.number <= (attempt.ended or claim.number)


def _unread(view: View, *probes: str) -> list[Evidence]:
    """The logs of the present life that did not answer, or were not read as a whole."""
    asked = (e for e in view.case.of_probe(*probes) if e.probe == "log")
    return [e for e in asked if e.facts is None or (isinstance(e.facts, LogExcerpt) and e.facts.cut)]


def _tells_of(evidence: Evidence, model: str) -> bool:
    """Whether this source could show that the model serves."""
    match evidence.facts:
        case RepositoryIndex():
            return True
        case Readiness(model=name) | ModelConfig(model=name):
            return name == model
        case _:
            return False


def _is_own(reading: LogReading, number: int | None) -> bool:
    """Whether this line of the log is Triton's own."""
    lines = reading.evidence.facts.lines if isinstance(reading.evidence.facts, LogExcerpt) else ()
    return any(level_of(line.text) for line in lines if line.number == number)


def _any_claim(case: Case) -> Claim | None:
    return deciding([claim for model in case.models.values() for claim in model.claims])


def _why_unseen(test: Test, view: View) -> str:
    missing = [e for e in view.case.of_probe(*test.reads) if e.missing is not None]
    reasons = "; ".join(f"{e.source}: {e.missing.reason.replace('_', ' ')}" for e in missing if e.missing)
    return f"no line names a cause ({reasons})" if reasons else "no line names a cause"


def _ids(evidence: Iterator[Evidence] | list[Evidence]) -> tuple[str, ...]:
    return tuple(item.id for item in evidence)
