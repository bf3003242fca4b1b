"""The strict Slack is strict: what Slack's documentation forbids is refused, so that a message that passes says something."""

from typing import Any

import pytest

from tests.slack.block_kit import complaints

LONG = "x" * 3_001


def plain(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, **more}


def rich(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text", "elements": list(elements)}


def section(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}


def chart(
    series: int = 1, points: int = 3, name: str = "n", title: str = "t", value: Any = 1.0
) -> dict[str, Any]:
    categories = [str(number) for number in range(points)]
    data = [{"label": label, "value": value} for label in categories]
    return {
        "type": "data_visualization",
        "title": title,
        "chart": {
            "type": "line",
            "series": [{"name": f"{name}{number}", "data": data} for number in range(series)],
            "axis_config": {"categories": categories},
        },
    }


RIGHT = [
    {"type": "divider"},
    {"type": "header", "text": plain("h" * 150)},
    {"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3_000}},
    {"type": "section", "fields": [plain("f" * 2_000)] * 10},
    {"type": "context", "elements": [plain("c")] * 10},
    rich(section({"type": "text", "text": "t", "style": {"bold": True}}, {"type": "user", "user_id": "U1"})),
    rich({"type": "rich_text_list", "style": "bullet", "elements": [section({"type": "text", "text": "t"})]}),
    rich({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": "t"}]}),
    chart(series=6, points=20),
]
WRONG: dict[str, Any] = {
    "51 blocks": [{"type": "divider"}] * 51,
    "an unknown block": [{"type": "table"}],
    "a long header": [{"type": "header", "text": plain("h" * 151)}],
    "a header of markup": [{"type": "header", "text": {"type": "mrkdwn", "text": "h"}}],
    "a long section": [{"type": "section", "text": plain(LONG)}],
    "a section of nothing": [{"type": "section"}],
    "11 fields": [{"type": "section", "fields": [plain("f")] * 11}],
    "a long field": [{"type": "section", "fields": [plain("f" * 2_001)]}],
    "11 elements": [{"type": "context", "elements": [plain("c")] * 11}],
    "an unknown key": [{"type": "divider", "colour": "red"}],
    "an empty text": [rich(section({"type": "text", "text": ""}))],
    "an empty section": [rich(section())],
    "a mention in a box": [
        rich({"type": "rich_text_preformatted", "elements": [{"type": "user", "user_id": "U1"}]})
    ],
    "an unknown style": [rich(section({"type": "text", "text": "t", "style": {"blink": True}}))],
    "three charts": [chart()] * 3,
    "7 series": [chart(series=7)],
    "21 points": [chart(points=21)],
    "no point": [chart(points=0)],
    "a long name": [chart(name="n" * 20)],
    "a long title": [chart(title="t" * 51)],
    "a value that is none": [chart(value=None)],
    "a value without end": [chart(value=float("inf"))],
}


def test_what_is_allowed_is_taken() -> None:
    assert complaints(RIGHT) == []


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_forbidden_is_complained_of(wrong: str) -> None:
    assert complaints(WRONG[wrong])


def test_a_series_must_have_a_point_for_every_category() -> None:
    gap = chart()
    gap["chart"]["series"][0]["data"] = gap["chart"]["series"][0]["data"][:2]
    assert complaints([gap]) == [
        "[ERROR] data must have one point for every category [json-pointer:/blocks/0]"
    ]
