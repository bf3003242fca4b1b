"""Whom a new incident calls, by its severity: only what the configuration names. Pure."""

import re
from collections.abc import Mapping, Sequence

from triage.oncall.incident import SEVERITIES
from triage.slack.rich import Element

_FORMS = "<@U…> for a person, <!subteam^S…> for a group, <!here> or <!channel>"
_MENTION = re.compile(
    r"<(?:@(?P<user>[UW][A-Z0-9]{2,20})|!subteam\^(?P<group>S[A-Z0-9]{2,20})|!(?P<range>here|channel))>"
)
_MOST = 10


def check_mentions(mentions: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong with them, a sentence each, saying what would be right."""
    wrong = [
        f"mentions: {severity!r} is no severity; there are {', '.join(SEVERITIES)}"
        for severity in mentions
        if severity not in SEVERITIES
    ]
    for severity, named in mentions.items():
        if isinstance(named, str):
            wrong.append(f"mentions.{severity}: give a list, such as [{named!r}]")
            continue
        wrong += [
            f"mentions.{severity}: {mention!r} is no mention; Slack's forms are {_FORMS}, with Slack's own id"
            for mention in named
            if not _MENTION.fullmatch(mention)
        ]
        if len(named) > _MOST:
            wrong.append(
                f"mentions.{severity}: {len(named)} mentions; give a group instead of more than {_MOST}"
            )
    return wrong


def mention_elements(mentions: Sequence[str]) -> tuple[Element, ...]:
    """As elements of rich text; what is no mention is left out, for `check_mentions` has told of it."""
    return tuple(_element(found) for mention in mentions[:_MOST] if (found := _MENTION.fullmatch(mention)))


def mention_markup(mentions: Sequence[str]) -> str:
    return " ".join(mention for mention in mentions[:_MOST] if _MENTION.fullmatch(mention))


def _element(found: re.Match[str]) -> Element:
    if found["user"]:
        return {"type": "user", "user_id": found["user"]}
    if found["group"]:
        return {"type": "usergroup", "usergroup_id": found["group"]}
    return {"type": "broadcast", "range": found["range"]}
