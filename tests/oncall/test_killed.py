"""Killed at every step, and with what it needs away: one incident, one thread, and nothing lost."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.local_process import eventually
from tests.oncall.fleet import MODEL, NAMESPACE, Fleet
from tests.oncall.on_call_service import OnCallService, alert, children, on_call
from tests.slack.slack_api import SlackApi

pytestmark = pytest.mark.asyncio(loop_scope="session")

FIRING = alert(namespace=NAMESPACE, workload="web", model=MODEL, fingerprint="f1")
RESOLVED = alert(
    namespace=NAMESPACE, workload="web", model=MODEL, fingerprint="f1", ends="2026-11-30T03:00:00Z"
)


async def told(slack: SlackApi) -> None:
    """Returns once the one thread has its verdict and its details."""

    async def whole() -> bool:
        thread = slack.thread()  # which fails where a part stands there twice
        return "details" in thread and thread["root"].text.startswith(f"FIX {MODEL}")

    await eventually(whole, seconds=60)


async def once(slack: SlackApi, oncall: OnCallService) -> None:
    """One incident and one thread, both of them whole."""
    await told(slack)
    (incident,) = oncall.incidents()
    assert incident["work"] == "done"
    assert incident["report"]["verdict"]["model"] == MODEL
    assert {message.incident for messages in slack.messages.values() for message in messages} == {
        incident["name"]
    }
    assert not slack.wrong


async def send_until_taken(oncall: OnCallService) -> None:
    """As Alertmanager does."""

    async def taken() -> bool:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            return await oncall.send(FIRING) == 200
        return False

    await eventually(taken, seconds=30)


async def test_killed_before_it_is_stored_the_alert_comes_again(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        assert oncall.process is not None
        oncall.process.freeze()  # it has the request, and answers nothing
        sending = asyncio.create_task(oncall.send(FIRING))
        await asyncio.sleep(0.3)
        await oncall.kill()
        with pytest.raises(aiohttp.ClientError):
            await sending
        assert not oncall.incidents()
        await oncall.start()
        await send_until_taken(oncall)
        await once(slack, oncall)


async def test_killed_as_soon_as_it_is_stored_it_goes_on(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        assert await oncall.send(FIRING) == 200
        await oncall.kill()
        assert [one["work"] for one in oncall.incidents()] == ["waiting"]
        await oncall.start()
        await send_until_taken(oncall)  # Alertmanager may not have had the answer
        await once(slack, oncall)


async def test_killed_while_it_looks_it_looks_again(fleet: Fleet, slack: SlackApi, tmp_path: Path) -> None:
    for server in fleet.tritons.servers.values():
        server.pause()
    try:
        async with on_call(tmp_path, fleet, slack) as oncall:
            await oncall.until_ready()
            assert await oncall.send(FIRING) == 200

            async def looking() -> bool:
                return "root" in slack.thread() and bool(await children(oncall))

            await eventually(looking, seconds=30)
            left = await children(oncall)
            await oncall.kill()
            for server in fleet.tritons.servers.values():
                server.resume()
            await oncall.start()
            await once(slack, oncall)
            await eventually(gone(left), seconds=30)  # what the killed one had begun ends by itself
    finally:
        for server in fleet.tritons.servers.values():
            server.resume()


async def test_killed_before_the_post_it_posts(fleet: Fleet, slack: SlackApi, tmp_path: Path) -> None:
    slack.hanging = True
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        assert await oncall.send(FIRING) == 200

        async def posting() -> bool:
            return "chat.postMessage" in slack.calls

        await eventually(posting, seconds=30)
        await oncall.kill()
        slack.hanging = False
        assert not slack.messages
        await oncall.start()
        await once(slack, oncall)


async def test_killed_after_the_post_it_finds_it(fleet: Fleet, slack: SlackApi, tmp_path: Path) -> None:
    """The message is there, and nobody noted it."""
    slack.loses_answers = 1
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        assert await oncall.send(FIRING) == 200

        async def posted() -> bool:
            return "root" in slack.thread()

        await eventually(posted, seconds=30)
        await oncall.kill()
        await oncall.start()
        await once(slack, oncall)
        assert "conversations.history" in slack.calls


async def test_where_nobody_may_look_a_second_post_is_said_to_be_one(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    slack.loses_answers = 1
    slack.scopes = {"chat:write"}
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        assert await oncall.send(FIRING) == 200

        async def twice() -> bool:
            roots = [one for messages in slack.messages.values() for one in messages if one.part == "root"]
            return len(roots) == 2 and "twice" in roots[1].shown

        await eventually(twice, seconds=60)
        assert oncall.incidents()[0]["posted"]["root"]["maybe_twice"]


async def test_slack_away_the_record_is_there_and_the_thread_follows(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    await slack.stop()
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        assert await oncall.send(FIRING) == 200

        async def recorded() -> bool:
            return [one["work"] for one in oncall.incidents()] == ["done"]

        await eventually(recorded, seconds=60)
        assert oncall.incidents()[0]["report"]["verdict"]["model"] == MODEL
        await oncall.kill()  # and what was to be told outlives the program
        await oncall.start()
        await slack.start()
        await once(slack, oncall)


async def test_resolved_before_it_was_looked_at_it_is_told_all_the_same(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        assert await oncall.send(FIRING) == 200
        assert await oncall.send(RESOLVED) == 200

        async def ended() -> bool:
            thread = slack.thread()
            return "details" in thread and "resolved" in thread and "outcome" in thread

        await eventually(ended, seconds=60)
        (incident,) = oncall.incidents()
        assert (incident["state"], incident["report"]["verdict"]["model"]) == ("resolved", MODEL)


async def test_a_webhook_repeated_by_a_pair_changes_nothing(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        answers = await asyncio.gather(*(oncall.send(FIRING) for _ in range(30)))
        assert set(answers) == {200}
        await once(slack, oncall)
        before = {part: message.edits for part, message in slack.thread().items()}
        assert {await oncall.send(FIRING) for _ in range(5)} == {200}
        await asyncio.sleep(2.0)
        assert {part: message.edits for part, message in slack.thread().items()} == before


async def test_a_record_that_cannot_be_written_is_503_and_then_all_is_kept(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    async with on_call(tmp_path, fleet, slack) as oncall:
        await oncall.until_ready()
        folder = oncall.data / "incidents"
        away = folder.rename(oncall.data / "away")
        folder.write_text("a file where the folder was: root may write everywhere")
        assert await oncall.send(FIRING) == 503
        assert not slack.messages
        folder.unlink()
        away.rename(folder)
        await send_until_taken(oncall)
        await once(slack, oncall)


async def test_the_api_server_restarted_in_between(fleet: Fleet, slack: SlackApi, tmp_path: Path) -> None:
    """The record is in the cluster: what cannot be kept is not taken."""
    control_plane = fleet.control_plane
    await control_plane.create_namespace("on-call-record")
    await control_plane.api.apply((Path(__file__).parents[2] / "deploy/triagereports.yaml").read_text())
    await control_plane.until_served("triagereports.triton-ops.io")
    record = {"namespace": "on-call-record"}
    async with on_call(tmp_path, fleet, slack, record=record) as oncall:
        await oncall.until_ready()
        async with control_plane.without_api_server():
            assert await oncall.send(FIRING) == 503
        await send_until_taken(oncall)
        await told(slack)
        (kept,) = await control_plane.api.list("triton-ops.io/v1alpha1", "TriageReport", "on-call-record")
        assert kept["status"]["cause"] == "runtime_version"
    await control_plane.delete_namespace("on-call-record")


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def gone(pids: list[int]) -> Callable[[], Awaitable[bool]]:
    async def none_runs() -> bool:
        return not any(runs(pid) for pid in pids)

    return none_runs
