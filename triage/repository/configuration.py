"""A model's configuration as fields with short values, which can be compared, stored and told. Pure."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from triage.repository.fingerprints import Config

MAX_FIELDS = 500
"""Of a configuration with more, what lies deeper is told as one field each."""
MAX_VALUE = 60
"""Characters of a value; a longer one is cut, and a hash tells it from others."""
_MAX_PATH = 200
_DEPTH = 12
_ONE_OF = ({"string_value"}, {"bool_param"}, {"int64_param"}, {"string_param"}, {"double_param"})


def fingerprint_config(body: bytes, seal: Callable[[Any], Any]) -> tuple[Config, dict[str, str]]:
    """The configuration, sealed, and a hash of each value by path as it was before, from the answer to
    `GET /v2/models/MODEL/config`. Raises ValueError when it is not a model configuration."""
    try:
        told = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # the last: nested without end
        raise ValueError(f"not a model configuration: {error}") from error
    if not isinstance(told, dict) or not isinstance(told.get("name"), str):
        raise ValueError("not a model configuration: it has no name")  # noqa: TRY004 - what a peer sends
    plain = _without_wrappers(told, 0)
    sealed = seal(plain)
    hidden = {path: _sha256(value) for path, value in _fields(plain)}
    return Config(_sha256(sealed), _told(sealed)), hidden


def config_fields(told: Mapping[str, Any], seal: Callable[[Any], Any]) -> dict[str, str]:
    """The fields of a configuration, as Triton or a config.pbtxt tells it, by path; sealed before a value is cut."""
    return _told(seal(_without_wrappers(told, 0)))


def _told(config: Mapping[str, Any]) -> dict[str, str]:
    return {path: _short(value) for path, value in _fields(config)}


def _without_wrappers(value: Any, depth: int) -> Any:
    """`{"api_key": {"string_value": "..."}}` as `{"api_key": "..."}`: by its name a secret is known."""
    if depth > _DEPTH:
        return msgspec.json.encode(value, order="sorted").decode()
    if isinstance(value, dict):
        if set(value) in _ONE_OF:
            return next(iter(value.values()))
        return {key: _without_wrappers(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_wrappers(inner, depth + 1) for inner in value]
    return value


def _fields(config: Mapping[str, Any]) -> list[tuple[str, Any]]:
    for depth in (_DEPTH + 1, 3, 2, 1):
        found = list(_leaves("", config, depth))
        if len(found) <= MAX_FIELDS:
            break
    return found[:MAX_FIELDS]


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth and isinstance(value, dict) and value:
        for key in sorted(value):
            yield from _leaves(f"{path}.{key}" if path else key, value[key], depth - 1)
    elif depth and isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for key, item in zip(_item_keys(value), value, strict=True):
            yield from _leaves(f"{path}[{key}]", item, depth - 1)
    else:
        yield _cut(path, _MAX_PATH), value


def _item_keys(items: list[Any]) -> list[str]:
    """The items' own names, so that one put in front does not change all others; their numbers where they have none."""
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if all(isinstance(name, str) and name for name in names) and len(set(names)) == len(names):
        return [str(name) for name in names]
    return [str(number) for number in range(len(items))]


def _short(value: Any) -> str:
    return _cut(
        value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode(), MAX_VALUE
    )


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    return f"{text[: longest - 12]}...#{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _sha256(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="sorted")).hexdigest()
