"""A request for a signal, read and checked: the same question on both ports."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from autoscaler.alias import alias_of
from autoscaler.api.metrics import ApiError, unknown_signal
from autoscaler.selector import (
    MAX_SELECTOR_CHARS,
    Selector,
    SelectorError,
    parse_selector,
    value_problem,
)


@dataclass(frozen=True, slots=True)
class Question:
    namespace: str
    signal: str
    selector: Selector
    explain: bool


def read_question(request: web.Request, signals: Sequence[str]) -> Question:
    """The question of a path with `namespace` and `signal` in it. Raises `ApiError`."""
    namespace, signal = request.match_info["namespace"], request.match_info["signal"]
    if not _NAMESPACE.match(namespace):
        raise ApiError(400, f"{namespace[:80]!r} is no namespace: a DNS label is accepted")
    if signal not in signals:
        raise unknown_signal(signal, signals)
    for parameter in ("labelSelector", "explain"):
        if len(request.query.getall(parameter, ())) > 1:
            raise ApiError(400, f"{parameter} is given more than once")
    if _is_true(request.query.get("watch", "")):
        raise ApiError(400, "an external metric cannot be watched: get it again")
    if request.query.get("fieldSelector"):
        raise ApiError(400, "external metrics have no fields to select: use labelSelector")
    try:
        selector = parse_selector(request.query.get("labelSelector", ""))
    except SelectorError as error:
        raise ApiError(400, f"{error}{_alias_hint(request.query.get('labelSelector', ''))}") from error
    return Question(namespace, signal, selector, _is_true(request.query.get("explain", "")))


_ODD_MODEL = re.compile(r"(?:^|,)\s*model\s*(?:==?|!=)\s*([^\s,=!()<>]{1,100})\s*(?:,|$)")


def _alias_hint(selector: str) -> str:
    """Which alias was meant, where a model is asked for by a name that no label value can be."""
    for name in _ODD_MODEL.findall(selector[:MAX_SELECTOR_CHARS]):
        if value_problem(name) is not None:
            return f"; a model of that name is selected by its alias: model={alias_of(name)}"
    return ""


_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")


def _is_true(text: str) -> bool:
    return text.lower() in ("1", "true", "t")
