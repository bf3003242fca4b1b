"""What Slack says of blocks, as documented on docs.slack.dev/reference/block-kit: an unknown type or key is a complaint here, too.

`effects` says what a message would do to people: whom it calls, what it links, formats and turns into a picture."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MOST_BLOCKS, MOST_WEIGHT, MOST_TEXT, MOST_CHARTS = 50, 13_200, 4_000, 2
_DIVIDER_WEIGHT = 125  # slackapi/bolt-js#2509
_TEXT_KEYS = {"plain_text": {"type", "text", "emoji"}, "mrkdwn": {"type", "text", "verbatim"}}
_STYLES = {"bold", "italic", "strike", "code"}
_INLINES: Mapping[str, tuple[str, type]] = {
    "text": ("text", str),
    "link": ("url", str),
    "user": ("user_id", str),
    "usergroup": ("usergroup_id", str),
    "broadcast": ("range", str),
}


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def total(blocks: Sequence[Any]) -> int:
    """As the hidden total counts, as far as anybody measured it."""
    return sum(len(json.dumps(block, separators=(",", ":"))) + _DIVIDER_WEIGHT for block in blocks)


def complaints(blocks: Any) -> list[str]:
    """Slack's complaints, as in `response_metadata.messages`."""
    if not isinstance(blocks, list):
        return ["[ERROR] must be an array [json-pointer:/blocks]"]
    said = (
        []
        if len(blocks) <= MOST_BLOCKS
        else [f"[ERROR] no more than {MOST_BLOCKS} items allowed [json-pointer:/blocks]"]
    )
    for number, block in enumerate(blocks):
        said += [f"[ERROR] {what} [json-pointer:/blocks/{number}]" for what in _block(block)]
    charts = sum(isinstance(block, dict) and block.get("type") == "data_visualization" for block in blocks)
    if charts > MOST_CHARTS:
        said.append("[ERROR] too many data_visualization blocks")
    return said


def _block(block: Any) -> Iterator[str]:
    if not isinstance(block, dict):
        yield "must be an object"
        return
    if len(block.get("block_id", "")) > 255:
        yield "block_id is longer than 255"
    keys = set(block) - {"block_id", "type"}
    match block.get("type"):
        case "divider":
            yield from _keys(keys, set())
        case "header":
            yield from _keys(keys, {"text"})
            yield from _text(block.get("text"), 150, ("plain_text",))
        case "section":
            yield from _keys(keys, set(), {"text", "fields"})
            if "text" in block:
                yield from _text(block["text"], 3_000)
            fields = block.get("fields", [])
            if not keys:
                yield "needs text or fields"
            if len(fields) > 10:
                yield "no more than 10 fields"
            for field in fields:
                yield from _text(field, 2_000)
        case "context":
            yield from _keys(keys, {"elements"})
            elements = block.get("elements", [])
            if not 1 <= len(elements) <= 10:
                yield "1 to 10 elements"
            for element in elements:
                yield from _text(element, 3_000)
        case "rich_text":
            yield from _keys(keys, {"elements"})
            elements = block.get("elements")
            if not isinstance(elements, list) or not elements:
                yield "needs elements"
                return
            for element in elements:
                yield from _rich(element)
        case "data_visualization":
            yield from _keys(keys, {"title", "chart"})
            yield from _label(block.get("title"), 50, "title")
            yield from _chart(block.get("chart"))
        case other:
            yield f"unsupported type: {other}"


def _keys(there: set[str], needed: set[str], allowed: set[str] | None = None) -> Iterator[str]:
    if missing := needed - there:
        yield f"missing required field: {', '.join(sorted(missing))}"
    if extra := there - needed - (allowed or set()):
        yield f"additional property: {', '.join(sorted(extra))}"


def _text(text: Any, most: int, types: Sequence[str] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    if not isinstance(text, dict) or text.get("type") not in types:
        yield f"text must be {' or '.join(types)}"
        return
    yield from _keys(set(text), {"type", "text"}, _TEXT_KEYS[text["type"]])
    if not isinstance(text.get("text"), str) or not 1 <= units(text["text"]) <= most:
        yield f"must be 1 to {most} characters"


def _label(text: Any, most: int, what: str) -> Iterator[str]:
    if not isinstance(text, str) or not 1 <= units(text) <= most:
        yield f"{what} must be 1 to {most} characters"


def _rich(element: Any) -> Iterator[str]:
    if not isinstance(element, dict):
        yield "must be an object"
        return
    keys = set(element) - {"type"}
    match element.get("type"):
        case "rich_text_section" | "rich_text_quote":
            yield from _keys(keys, {"elements"})
            yield from _inlines(element.get("elements"), set(_INLINES))
        case "rich_text_preformatted":
            yield from _keys(keys, {"elements"}, {"border", "language"})
            yield from _inlines(element.get("elements"), {"text", "link"})
        case "rich_text_list":
            yield from _keys(keys, {"style", "elements"}, {"indent", "offset", "border"})
            if element.get("style") not in ("bullet", "ordered"):
                yield "style must be bullet or ordered"
            for item in element.get("elements") or [None]:
                if not isinstance(item, dict) or item.get("type") != "rich_text_section":
                    yield "a list holds sections"
                else:
                    yield from _rich(item)
        case other:
            yield f"unsupported type: {other}"


def _inlines(inlines: Any, allowed: set[str]) -> Iterator[str]:
    if not isinstance(inlines, list) or not inlines:
        yield "needs elements"
        return
    for inline in inlines:
        kind = inline.get("type") if isinstance(inline, dict) else None
        if kind not in allowed:
            yield f"unsupported type: {kind}"
            continue
        key, needed = _INLINES[kind]
        optional = {"text", "style"} if kind == "link" else {"style"}
        yield from _keys(set(inline), {"type", key}, optional)
        if not isinstance(inline.get(key), needed) or not inline[key]:
            yield f"{key} must be more than 0 characters"
        if not set(inline.get("style", {})) <= _STYLES:
            yield "unknown style"


def _chart(chart: Any) -> Iterator[str]:
    if not isinstance(chart, dict) or chart.get("type") not in ("line", "area", "bar"):
        yield "chart must be line, area or bar"
        return
    yield from _keys(set(chart), {"type", "series", "axis_config"})
    axis = chart.get("axis_config") or {}
    yield from _keys(set(axis), {"categories"}, {"x_label", "y_label"})
    categories = axis.get("categories") or []
    if not 1 <= len(categories) <= 20 or len(set(categories)) != len(categories):
        yield "1 to 20 different categories"
    for category in categories:
        yield from _label(category, 20, "category")
    for name in ("x_label", "y_label"):
        if name in axis:
            yield from _label(axis[name], 50, name)
    series = chart.get("series") or []
    if not 1 <= len(series) <= 6 or len({one.get("name") for one in series}) != len(series):
        yield "1 to 6 series of different names"
    for one in series:
        yield from _keys(set(one), {"name", "data"})
        yield from _label(one.get("name"), 20, "name")
        if [point.get("label") for point in one.get("data") or []] != categories:
            yield "data must have one point for every category"
        for point in one.get("data") or []:
            yield from _keys(set(point), {"label", "value"})
            value = point.get("value")
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                yield "value must be a number"


_CALL = re.compile(r"<(?:@[UW]\w+|![^>]+|#C\w+)[^>]*>")
_LINK = re.compile(r"<((?:[a-z][a-z0-9+.-]*:)[^>]*)>", re.IGNORECASE)
_BARE = re.compile(r"\b(?:[a-z][a-z0-9+.-]{1,15}://|mailto:|tel:)\S+", re.IGNORECASE)
_AT = re.compile(r"(?<!\w)@(?:here|channel|everyone|\w+)\b")
_EMOJI = re.compile(r":[a-z0-9_+'-]*[a-z_+'-][a-z0-9_+'-]*:|:100:", re.IGNORECASE)
_FORMAT = re.compile(r"(?<!\w)([*_~])(?=\S)[^\n]*?\S?\1(?!\w)|`[^`\n]+`|```")


def effects(text: str, blocks: Sequence[Mapping[str, Any]], *, mrkdwn: bool = True) -> list[str]:
    """What the message does beside being read: `call`, `link`, `emoji`, `format`, each with what did it."""
    done = list(_markup(text)) if mrkdwn else []
    for block in blocks:
        done += _effects(block)
    return done


def _effects(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for inner in value:
            yield from _effects(inner)
    if not isinstance(value, dict):
        return
    match value.get("type"):
        case "user" | "usergroup" | "broadcast":
            yield f"call {value.get('user_id') or value.get('usergroup_id') or value.get('range')}"
        case "link":
            yield f"link {value['url']}"
        case "mrkdwn":
            yield from _markup(value["text"])
        case "plain_text":
            if value.get("emoji", True):
                yield from (f"emoji {found[0]}" for found in _EMOJI.finditer(value["text"]))
        case _:
            for inner in value.values():
                yield from _effects(inner)


def _markup(text: str) -> Iterator[str]:
    for kind, pattern in (
        ("call", _CALL),
        ("link", _LINK),
        ("link", _BARE),
        ("call", _AT),
        ("emoji", _EMOJI),
        ("format", _FORMAT),
    ):
        yield from (f"{kind} {found[0]}" for found in pattern.finditer(text))


def shown(blocks: Sequence[Mapping[str, Any]]) -> str:
    """The text of the blocks, one element a line, as a person reads it."""
    return "\n".join(_shown(block) for block in blocks)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "".join(_shown(inner) for inner in value)
    if not isinstance(value, dict):
        return ""
    match value.get("type"):
        case "text" | "plain_text" | "mrkdwn":
            return str(value["text"])
        case "user" | "usergroup" | "broadcast":
            return f"@{value.get('user_id') or value.get('usergroup_id') or value.get('range')}"
        case "link":
            return str(value.get("text") or value["url"])
        case "data_visualization":
            return f"[chart: {value['title']}]"
        case "rich_text_list":
            return "".join(f"\n- {_shown(item)}" for item in value["elements"]) + "\n"
        case "rich_text_preformatted":
            return "".join(f"\n| {line}" for line in _shown(value["elements"]).split("\n")) + "\n"
        case _:
            return _shown(value.get("elements") or value.get("text") or [])
