"""Whom a message calls comes from the configuration, and a slip there is told at once."""

import pytest

from triage.slack.mentions import check_mentions, mention_elements


def test_slacks_forms_are_taken() -> None:
    named = ["<@U012AB3CD>", "<!subteam^S012AB3CD>", "<!here>", "<!channel>"]
    assert check_mentions({"critical": named, "warning": []}) == []
    assert mention_elements(named) == (
        {"type": "user", "user_id": "U012AB3CD"},
        {"type": "usergroup", "usergroup_id": "S012AB3CD"},
        {"type": "broadcast", "range": "here"},
        {"type": "broadcast", "range": "channel"},
    )


@pytest.mark.parametrize(
    "slip",
    [
        "@oncall",
        "oncall",
        "<@oncall>",
        "<!everyone>",
        "<!subteam^S01|@oncall>",
        "<@U01> <@U02>",
        "<http://x>",
        "",
    ],
)
def test_what_is_no_mention_is_told_with_the_right_forms(slip: str) -> None:
    (wrong,) = check_mentions({"critical": [slip]})
    assert wrong.startswith(
        f"mentions.critical: {slip!r} is no mention; Slack's forms are <@U…> for a person"
    )
    assert mention_elements([slip]) == ()


def test_a_severity_that_is_none_a_text_for_a_list_and_a_crowd_are_told() -> None:
    assert check_mentions({"page": ["<!here>"]}) == [
        "mentions: 'page' is no severity; there are critical, warning, info"
    ]
    assert check_mentions({"critical": "<!here>"}) == ["mentions.critical: give a list, such as ['<!here>']"]
    assert "give a group" in check_mentions({"critical": [f"<@U{number:05}>" for number in range(11)]})[0]
