"""A measure and a target as PromQL. Pure; the same question twice is the same text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from triage.latency.measures import Alternative, Kind, Pool, Top

_PLACE = re.compile(r"\{([a-z]*)\}")
_VARIABLE = re.compile(r"\$(\w+)")
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")
_AGGREGATIONS: Mapping[Pool, str] = {"sum": "sum", "mean": "avg", "max": "max", "min": "min"}
_OVER: Mapping[Kind, str] = {
    "rate": "rate",
    "histogram": "rate",
    "mean": "avg_over_time",
    "peak": "max_over_time",
    "least": "min_over_time",
    "present": "present_over_time",
}
_SCRAPES = 4
"""In a window."""
SPAN_SECONDS = 7200.0
"""Of the range, where nobody says."""
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
"""Letters of the names that Kubernetes makes up (apimachinery, util/rand): hardly a word is made of them."""
REASON = "reason"
CODE = "code"
"""Our label of an HTTP status; it is told by class: 2xx, 3xx, 4xx, 5xx or other."""


@dataclass(frozen=True, slots=True)
class SeriesTarget:
    """Whose series: the pods of a workload, and the things around them. Empty: not known, or all."""

    namespace: str = ""
    pods: tuple[str, ...] = ()
    """Their names, where they are known."""
    workload: str = ""
    """The name alone; where the pods are not known, those whose names begin so."""
    services: tuple[str, ...] = ()
    """That gateways send to; where they are not known, one of the workload's name."""
    nodes: tuple[str, ...] = ()
    hpa: str = ""
    model: str = ""
    """Only this model's series; empty: every model's."""


@dataclass(frozen=True, slots=True)
class Names:
    """How this Prometheus names our labels, where its names differ; an empty name: it has no such label."""

    labels: Mapping[str, str] = field(default_factory=dict)

    def of(self, label: str) -> str:
        return self.labels.get(label, label)


class Unscoped(Exception):
    """The target does not tell what this reading needs; the message says what."""


def build_query(
    alternative: Alternative,
    by: Sequence[str],
    target: SeriesTarget,
    window: float,
    names: Names = Names(),
    span: float = SPAN_SECONDS,
) -> str:
    """PromQL whose series have the labels `by` under the names of `result_labels`; `span`: seconds of the whole range that it is
    asked for. Raises Unscoped."""
    if alternative.kind == "expression":
        read = _expression(alternative.expr, target, window, span)
        return _scaled(read, alternative.scale)
    theirs = result_labels(alternative, by, names)
    selector = _selector(alternative, target, names, alternative.where)
    read = _pooled(alternative, alternative.family, selector, theirs, window)
    if alternative.over:
        other = _selector(alternative, target, names, alternative.over.where)
        read = f"{read} / {_pooled(alternative, alternative.over.family, other, theirs, window)}"
    if alternative.zero:
        whole = _selector(alternative, target, names, {})
        read = f"({read} or {_pooled(alternative, alternative.family, whole, theirs, window)} * 0)"
    if alternative.but:
        scope = {_one_name(alternative, names, ours): place for ours, place in alternative.but.items()}
        left_out = f"{build_selector(alternative.family, target, scope)}[{duration(window)}]"
        read = f"({read} unless on ({', '.join(scope)}) last_over_time({left_out}))"
    if alternative.held:
        read = f"({read} and on ({', '.join(alternative.held.by)}) {_held(alternative, target, span)})"
    if alternative.top:
        read = _largest(read, alternative.top, theirs, window, span)
    return _scaled(read, alternative.scale)


def result_labels(
    alternative: Alternative, by: Sequence[str], names: Names = Names()
) -> dict[str, tuple[str, ...]]:
    """Our names of the labels of an answer, to those that the answer has; of several, it has one."""
    theirs = {ours: alternative.labels.get(ours, names.of(ours)) for ours in by}
    if CODE in theirs:
        theirs[CODE] = CODE
    if alternative.bits and REASON in theirs:
        theirs[REASON] = REASON
    return {ours: (name,) if isinstance(name, str) else name for ours, name in theirs.items() if name}


def build_selector(
    family: str, target: SeriesTarget, scope: Mapping[str, str], where: Mapping[str, str] | None = None
) -> str:
    """`family{...}` of the target; scope by the names that the family has. Raises Unscoped."""
    filled = {label: _filled(template, target) for label, template in scope.items()}
    narrowed = conditions({label: pattern for label, pattern in filled.items() if pattern})
    return f"{family}{{{','.join(filter(None, (narrowed, conditions(where or {}))))}}}"


def conditions(where: Mapping[str, str]) -> str:
    """Label matchers; each value is a regular expression that must match, or with a leading `!` must not. Plain `!`: not empty."""
    return ",".join(_condition(label, pattern) for label, pattern in where.items())


def exactly(labels: Mapping[str, str]) -> dict[str, str]:
    """Conditions that these labels alone fulfil."""
    return {label: escape_regex(value) for label, value in labels.items()}


def quote(value: str) -> str:
    """A PromQL string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def escape_regex(value: str) -> str:
    """The value as a regular expression that matches it alone; RE2 has no other signs to escape, and refuses to escape letters."""
    escaped = _SPECIAL.sub(r"\\\1", value)
    return f"[!]{escaped[1:]}" if escaped.startswith("!") else escaped  # which would mean: not


def duration(seconds: float) -> str:
    """`90s`, or `1500ms` where seconds are not whole: what every Prometheus can read."""
    return f"{round(seconds)}s" if float(seconds).is_integer() else f"{round(seconds * 1000)}ms"


def _held(alternative: Alternative, target: SeriesTarget, span: float) -> str:
    held = alternative.held
    assert held is not None  # noqa: S101 -- its only caller has asked
    scope = {_one_name(alternative, Names(), ours): place for ours, place in held.scope.items()}
    return f"last_over_time({build_selector(held.family, target, scope)}[{duration(span)}] @ end())"


def _one_name(alternative: Alternative, names: Names, ours: str) -> str:
    """Of several names the first: a scope is one matcher."""
    name = alternative.labels.get(ours, names.of(ours))
    return name if isinstance(name, str) else name[0]


def _selector(alternative: Alternative, target: SeriesTarget, names: Names, where: Mapping[str, str]) -> str:
    scope = {_one_name(alternative, names, ours): place for ours, place in alternative.scope.items()}
    more = dict(where)
    if alternative.kind == "quantile":
        more["quantile"] = re.escape(str(alternative.quantile))
    scope.pop("", None)  # Prometheus has no such label: nothing to narrow by
    return build_selector("", target, scope, more)


def _pooled(
    alternative: Alternative, family: str, selector: str, theirs: Mapping[str, tuple[str, ...]], window: float
) -> str:
    labels = [name for names in theirs.values() for name in names]
    labels += ["le"] if alternative.kind == "histogram" else []
    read = _bits(alternative, f"{family}{selector}") or _read(alternative, family, selector, window)
    if alternative.plus:  # told apart, or the second would be taken for the first once more
        parts = [(name, _read(alternative, name, selector, window)) for name in alternative.plus]
        named = (f'label_replace({part}, "family", "{name}", "", "")' for name, part in parts)
        read = " or ".join([read, *named])
    if CODE in theirs:
        read = _by_class(read, _one_name(alternative, Names(), CODE))
    pooled = f"{_AGGREGATIONS[alternative.pool or 'sum']} by ({', '.join(labels)}) ({read})"
    if alternative.kind == "histogram":
        return f"histogram_quantile({alternative.quantile}, {pooled})"
    return pooled


def _bits(alternative: Alternative, series: str) -> str:
    """Each bit as it stands; empty where the value is no mask."""
    known = _known(alternative, series)
    told = (
        f'label_replace(floor({known} / {1 << bit}) % 2, "{REASON}", "{name}", "", "")'
        for name, bit in alternative.bits.items()
    )
    return " or ".join(told)


def _known(alternative: Alternative, series: str) -> str:
    """The series where it says something."""
    return series if alternative.below is None else f"({series} < {alternative.below:.12g})"


def _steps(window: float) -> str:
    """A window whose samples can be left out one by one: a window has four scrapes at least (see `Grid`)."""
    return f"[{duration(window)}:{duration(window / _SCRAPES)}]"


def _largest(read: str, top: Top, theirs: Mapping[str, tuple[str, ...]], window: float, span: float) -> str:
    """The same series at every step, so that each has a before: those with the largest peaks of the whole range."""
    labels = [name for ours in top.by for name in theirs.get(ours, (ours,))]
    by = f" by ({', '.join(labels)})" if labels else ""
    peaks = f"max_over_time(({read})[{duration(span)}:{duration(window)}] @ end())"
    return f"({read} and topk{by} ({top.most}, {peaks}))"


def _read(alternative: Alternative, family: str, selector: str, window: float) -> str:
    series, over = f"{family}{selector}", f"[{duration(window)}]"
    if alternative.below is not None:
        series, over = _known(alternative, series), _steps(window)
    match alternative.kind:
        case "rate" | "histogram" | "mean" | "peak" | "least" | "present":
            return f"{_OVER[alternative.kind]}({series}{over})"
        case "quantile":  # NaN where there was no traffic, and max() would keep it
            return f"{series} >= 0"
        case _:
            return series


def _by_class(read: str, code: str) -> str:
    other = f'label_replace({read}, "{CODE}", "other", "", "")'
    source = code
    if code == CODE:  # kept aside before its place is taken
        kept = f'label_replace({read}, "was", "$1", "{CODE}", "(.*)")'
        other, source = f'label_replace({kept}, "{CODE}", "other", "", "")', "was"
    return f'label_replace({other}, "{CODE}", "${{1}}xx", "{source}", "([2-5])(..)?")'


def _scaled(read: str, scale: float) -> str:
    return read if scale == 1.0 else f"{read} * {scale:.12g}"


def _expression(text: str, target: SeriesTarget, window: float, span: float) -> str:
    def put(found: re.Match[str]) -> str:
        if found[1] in ("window", "span"):
            return duration(window if found[1] == "window" else span)
        return quote(_place(found[1], target) or ".*")

    return _VARIABLE.sub(put, text)


def _filled(template: str, target: SeriesTarget) -> str:
    """A regular expression; empty: nothing to narrow by."""
    known = {name: _place(name, target) for name in _PLACE.findall(template)}
    if template == f"{{{next(iter(known), '')}}}" or not any(known.values()):
        return "".join(known.values())
    return _PLACE.sub(lambda found: f"({known[found[1]] or '.*'})", template)


def _place(name: str, target: SeriesTarget) -> str:
    """A regular expression of what the target has there; empty: anything. Raises Unscoped where anything would be wrong."""
    workload = escape_regex(target.workload)
    match name:
        case "pods":
            known = "|".join(map(escape_regex, target.pods))
            return known or (f"{workload}-.+" if workload else "")
        case "own":
            known = "|".join(map(escape_regex, target.pods))
            if not (known or workload):
                raise Unscoped("which pods are its own")
            return known or f"{workload}(-{_SAFE}{{5,10}})?-({_SAFE}{{5}}|[0-9]+)"
        case "services":
            if not (target.services or workload):
                raise Unscoped("the name of the service")
            return "|".join(map(escape_regex, target.services)) or workload
        case "nodes":
            if not target.nodes:
                raise Unscoped("on which nodes the pods run")
            return "|".join(map(escape_regex, target.nodes))
        case "hpa":
            if not (target.hpa or workload):
                raise Unscoped("the autoscaler's name")
            return escape_regex(target.hpa) or f"(keda-hpa-)?{workload}"
        case "workload":
            if not workload:
                raise Unscoped("the workload's name")
            return workload
        case _:
            return escape_regex(str(getattr(target, name)))


def _condition(label: str, pattern: str) -> str:
    if pattern == "!":
        return f'{label}!=""'
    if pattern.startswith("!"):
        return f"{label}!~{quote(pattern[1:])}"
    plain = _unescaped(pattern)
    return f"{label}={quote(plain)}" if plain is not None else f"{label}=~{quote(pattern)}"


def _unescaped(pattern: str) -> str | None:
    """The one value that a regular expression matches; None: more than one."""
    plain = re.sub(r"\\([\\.+*?()|\[\]{}^$])", "", pattern)
    return None if _SPECIAL.search(plain) else re.sub(r"\\(.)", r"\1", pattern)
