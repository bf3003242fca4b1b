"""Times as people type them."""

from datetime import UTC, datetime

import pytest

from triage.latency.times import FORMS, parse_time, parse_window, window_around


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = seconds("2026-11-23T14:30:00")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("now", "2026-11-23T14:30:00"),
        (" now ", "2026-11-23T14:30:00"),
        ("now-30m", "2026-11-23T14:00:00"),
        ("now-1.5h", "2026-11-23T13:00:00"),
        ("14:02", "2026-11-23T14:02:00"),
        ("9:05", "2026-11-23T09:05:00"),
        ("14:02:30", "2026-11-23T14:02:30"),
        ("14:30", "2026-11-23T14:30:00"),
        ("14:31", "2026-11-22T14:31:00"),  # the last such time was yesterday
        ("2026-11-23T14:02:00Z", "2026-11-23T14:02:00"),
        ("2026-11-23T15:02:00+01:00", "2026-11-23T14:02:00"),
        ("2026-11-23T14:02:00", "2026-11-23T14:02:00"),
        ("2026-11-23 14:02", "2026-11-23T14:02:00"),
        ("1795000000", "2026-11-18T11:06:40"),
        ("1795000000.5", "2026-11-18T11:06:40.5"),
    ],
)
def test_each_form_is_a_time(text: str, told: str) -> None:
    assert parse_time(text, NOW) == seconds(told)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "24:00", "14:60", "14", "12345", "nan", "inf", "-5", "now+5m", "2026-13-01"]
)
def test_what_is_no_time_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is compared
        parse_time(text, NOW)
    assert str(caught.value) == f"{text!r} is no time; accepted: {FORMS}"


@pytest.mark.parametrize("text", ["now-", "now-30", "now--5m", "now-0s", "now-x"])
def test_a_wrong_duration_is_refused_with_the_words_that_were_typed(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is compared
        parse_time(text, NOW)
    assert str(caught.value) == (
        f"{text!r} is no time: expected a duration above zero, such as 500ms, 5s, 2m or 1h"
    )


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("13:00..14:00", "2026-11-23T13:00:00", "2026-11-23T14:00:00"),
        ("now-1h..now", "2026-11-23T13:30:00", "2026-11-23T14:30:00"),
        ("now-1h..", "2026-11-23T13:30:00", "2026-11-23T14:30:00"),
        ("2026-11-20T23:00Z..2026-11-21T01:00Z", "2026-11-20T23:00:00", "2026-11-21T01:00:00"),
        ("23:00..1:00", "2026-11-22T23:00:00", "2026-11-23T01:00:00"),
    ],
)
def test_a_window_is_two_times(text: str, start: str, end: str) -> None:
    assert parse_window(text, NOW) == (seconds(start), seconds(end))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("13:00", f"'13:00' is no window; give A..B, each of {FORMS}"),
        ("..14:00", f"'' is no time; accepted: {FORMS}"),
        ("14:00..13:00", "the window '14:00..13:00' is -3600 s long; at least 20 s are needed"),
        ("14:00:00..14:00:19", "the window '14:00:00..14:00:19' is 19 s long; at least 20 s are needed"),
        (
            "now..2026-11-23T15:00Z",
            "the window 'now..2026-11-23T15:00Z' ends in the future",
        ),
    ],
)
def test_what_is_no_window_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the message is compared
        parse_window(text, NOW)
    assert str(caught.value) == said


def test_a_window_that_nobody_gave_is_two_hours_up_to_half_an_hour_behind_the_page() -> None:
    assert window_around(None, NOW) == (NOW - 7200, NOW)
    assert window_around(NOW - 86_400, NOW) == (NOW - 86_400 - 5400, NOW - 86_400 + 1800)
    assert window_around(NOW - 60, NOW) == (NOW - 7200, NOW)


def test_an_incident_that_is_yet_to_come_is_refused() -> None:
    with pytest.raises(ValueError, match="2026-11-23 15:30:00Z lies in the future"):
        window_around(NOW + 3600, NOW)
