"""Slack's answers as our own errors: each says what happened and, where a person can do something, what."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.slack.slack_api import CHANNEL, TOKEN, SlackApi, slack_api
from tests.slack.stories import incident
from triage.slack.client import SlackClient
from triage.slack.errors import BadBlocks, CannotEdit, CannotLook, Refused, SlackError, TokenRefused, TryLater
from triage.slack.messages import messages

ROOT = messages(incident())["root"]


@asynccontextmanager
async def client(folder: Path, **settings: object) -> AsyncIterator[tuple[SlackApi, SlackClient]]:
    token = folder / "token"
    token.write_text(TOKEN)
    async with (
        slack_api(**settings) as api,
        SlackClient(token, base_url=api.base_url, call_seconds=1.0) as slack,
    ):
        yield api, slack


async def test_a_message_is_posted_found_linked_and_edited(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, slack):
        assert await slack.check() == "triton-triage"
        arrived = await slack.post(CHANNEL, ROOT)
        assert arrived.channel == CHANNEL
        assert await slack.find(CHANNEL, "prod-web-p99", "root", since=float(arrived.ts)) == arrived.ts
        assert await slack.find(CHANNEL, "prod-web-p99", "details", since=0) == ""
        assert await slack.find(CHANNEL, "another", "root", since=0) == ""
        assert await slack.find(CHANNEL, "prod-web-p99", "root", since=float(arrived.ts) + 3_600) == ""
        assert (await slack.permalink(CHANNEL, arrived.ts)).startswith("https://team.slack.com/archives/")
        await slack.update(CHANNEL, arrived.ts, ROOT)
        assert api.thread()["root"].edits == 1


REFUSALS = {
    "not_in_channel": (
        Refused,
        "Slack refused: not_in_channel; invite the app: /invite @triton-triage in the channel",
    ),
    "is_archived": (
        Refused,
        "Slack refused: is_archived; give another channel, or take this one out of the archive",
    ),
    "some_new_code": (Refused, "Slack refused: some_new_code; see some_new_code in Slack's documentation"),
    "account_inactive": (
        TokenRefused,
        "Slack refused the token: account_inactive; put a token that is valid into its file",
    ),
    "msg_blocks_too_long": (BadBlocks, "Slack does not take the message: msg_blocks_too_long"),
    "cant_update_message": (CannotEdit, "Slack does not let the app edit the message (cant_update_message)"),
    "fatal_error": (TryLater, "Slack answered fatal_error"),
    "service_unavailable": (TryLater, "Slack answered service_unavailable"),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_each_refusal_is_told_in_our_words(tmp_path: Path, code: str) -> None:
    kind, said = REFUSALS[code]
    async with client(tmp_path, next_errors=[code, code]) as (_, slack):
        with pytest.raises(kind) as error:
            await slack.post(CHANNEL, ROOT)
        assert str(error.value) == said
        assert getattr(error.value, "unclear", False) is (code == "fatal_error")


async def test_a_right_that_is_missing_is_named(tmp_path: Path) -> None:
    async with client(tmp_path, scopes={"channels:history"}) as (_, slack):
        with pytest.raises(Refused, match="missing_scope chat:write; add the scope"):
            await slack.post(CHANNEL, ROOT)


async def test_what_slack_says_of_blocks_is_passed_on(tmp_path: Path) -> None:
    async with client(tmp_path) as (_, slack):
        with pytest.raises(BadBlocks, match=r"invalid_blocks \(\[ERROR\] no more than 50 items"):
            await slack.post(
                CHANNEL, type(ROOT)(text="x", blocks=ROOT.blocks * 20, thread=False, metadata=ROOT.metadata)
            )


async def test_slacks_wait_is_told(tmp_path: Path) -> None:
    async with client(tmp_path, rate=True) as (api, slack):
        api.spend(CHANNEL)
        with pytest.raises(TryLater) as error:
            await slack.post(CHANNEL, ROOT)
        assert (error.value.seconds, error.value.unclear) == (3.0, False)


@pytest.mark.parametrize("status", [500, 503, 403])
async def test_an_answer_that_is_none_of_slacks_may_have_done_it(tmp_path: Path, status: int) -> None:
    async with client(tmp_path, status=status) as (_, slack):
        with pytest.raises(TryLater) as error:
            await slack.post(CHANNEL, ROOT)
        assert (str(error.value), error.value.unclear) == (f"Slack answered {status}", True)


@pytest.mark.parametrize(
    "answer",
    [
        ("text/plain", b"log in first"),
        ("text/html", b"<html>log in first"),
        ("application/json", b"[1]"),
        ("application/json", b'"yes"'),
        ("application/json", b"{"),
        ("application/json", b"\xff\xfe{"),
        ("application/json", b""),
        ("application/gzip", b"\x1f\x8b"),
    ],
    ids=str,
)
async def test_what_answers_in_slacks_place_ends_nothing(tmp_path: Path, answer: tuple[str, bytes]) -> None:
    async with client(tmp_path) as (api, slack):
        api.proxy_answers = answer
        with pytest.raises(TryLater) as error:
            await slack.post(CHANNEL, ROOT)
        assert error.value.unclear
        assert error.value.__suppress_context__ or error.value.__context__ is None


async def test_a_refused_connection_surely_did_nothing_and_a_broken_or_slow_one_may_have(
    tmp_path: Path,
) -> None:
    async with client(tmp_path) as (api, slack):
        await api.stop()
        with pytest.raises(TryLater) as refused:
            await slack.post(CHANNEL, ROOT)
        assert not refused.value.unclear
        await api.start()
        api.loses_answers = 1
        with pytest.raises(TryLater) as broken:
            await slack.post(CHANNEL, ROOT)
        assert broken.value.unclear
        api.hanging = True
        began = asyncio.get_running_loop().time()
        with pytest.raises(TryLater, match=r"did not answer within 1 s") as slow:
            await slack.post(CHANNEL, ROOT)
        assert slow.value.unclear
        assert asyncio.get_running_loop().time() - began < 3


async def test_a_new_token_in_the_file_is_used_at_once(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, slack):
        await slack.check()
        api.tokens = {"xoxb-the-next"}
        with pytest.raises(TokenRefused, match="invalid_auth"):
            await slack.check()
        (tmp_path / "token").write_text("xoxb-the-next\n")
        await slack.check()


async def test_a_token_file_that_is_not_there_or_empty_is_told_with_its_name(tmp_path: Path) -> None:
    async with client(tmp_path) as (api, slack):
        (tmp_path / "token").write_text("\n")
        with pytest.raises(
            TokenRefused, match=r"token has no token; put the bot's token \(xoxb-…\) into .*/token"
        ):
            await slack.check()
        (tmp_path / "token").unlink()
        with pytest.raises(TokenRefused, match="No such file or directory; put the bot's token"):
            await slack.check()
        assert api.calls == []


async def test_no_error_has_the_token_or_a_cause_that_has_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with client(tmp_path, tokens=set()) as (api, slack):
        errors: list[SlackError] = []
        for _ in range(2):
            with pytest.raises(SlackError) as raised:
                await slack.post(CHANNEL, ROOT)
            errors.append(raised.value)
            api.status = 503
        for error in errors:
            assert TOKEN not in repr(error) + str(vars(error))
            assert error.__cause__ is None
            assert error.__context__ is None or error.__suppress_context__
    assert TOKEN not in caplog.text
    assert not [record for record in caplog.records if "slack" in record.name]


async def test_where_the_channel_cannot_be_read_that_is_said(tmp_path: Path) -> None:
    async with client(tmp_path, scopes={"chat:write"}) as (_, slack):
        with pytest.raises(CannotLook, match="missing_scope channels:history; add the scope"):
            await slack.find(CHANNEL, "x", "root", since=0)


async def test_a_busy_channel_is_read_page_by_page_and_not_for_ever(tmp_path: Path) -> None:
    async with client(tmp_path, clock=lambda: 1_000.0) as (api, slack):
        arrived = await slack.post(CHANNEL, ROOT)
        other = messages(incident("other"))["root"]
        for _ in range(250):
            api.chatter(CHANNEL, other)
        assert await slack.find(CHANNEL, "prod-web-p99", "root", since=900) == arrived.ts
        for _ in range(800):
            api.chatter(CHANNEL, other)
        with pytest.raises(CannotLook, match="more than 1000 messages came since then"):
            await slack.find(CHANNEL, "prod-web-p99", "root", since=900)
