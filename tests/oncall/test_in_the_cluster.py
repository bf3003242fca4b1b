"""The service on real parts: the API server, Tritons with a model that does not load, and a strict Slack."""

import gzip
import json
from pathlib import Path

import pytest

from tests.local_process import eventually
from tests.oncall.fleet import MISSING, MODEL, NAMESPACE, SECRETS, Fleet
from tests.oncall.on_call_service import alert, on_call
from tests.slack.slack_api import SlackApi

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_model_that_does_not_load_is_told_without_an_alert_and_followed_to_its_end(
    fleet: Fleet, slack: SlackApi, tmp_path: Path
) -> None:
    async with on_call(tmp_path, fleet, slack, unready_after="2s") as oncall:

        async def told() -> bool:
            return "FIX" in root(slack) and "details" in slack.thread()

        await eventually(told, seconds=60)
        assert root(slack).startswith(f"FIX {MODEL}")
        assert "2 of 2 pods not ready" in slack.thread()["root"].shown
        (incident,) = oncall.incidents()
        assert (incident["began"], incident["workload"], incident["state"]) == (
            "unready_pods",
            "deployment/web",
            "open",
        )
        assert incident["report"]["verdict"]["model"] == MODEL
        assert incident["bundle"] in map(str, oncall.data.glob("bundles/*"))
        # The same alert of Alertmanager's joins it.
        assert await oncall.send(alert(namespace=NAMESPACE, workload="web", model=MODEL)) == 200
        assert len(oncall.incidents()) == 1
        assert len(oncall.incidents()[0]["alerts"]) == 2
        await fleet.report(ready=True)
        assert (
            await oncall.send(
                alert(namespace=NAMESPACE, workload="web", model=MODEL, ends="2026-11-30T03:00:00Z")
            )
            == 200
        )

        async def followed() -> bool:
            return "outcome" in slack.thread()

        await eventually(followed, seconds=60)
        assert "resolved" in slack.thread()
        # The index of the Tritons still has the failed model: the alerts ended, and it did not work.
        assert oncall.incidents()[0]["outcome"]["worked"] == "no"
        await fleet.report(ready=False)
        assert_nothing_leaks(slack, tmp_path)


def root(slack: SlackApi) -> str:
    there = slack.thread().get("root")
    return there.text if there else ""


def assert_nothing_leaks(slack: SlackApi, folder: Path) -> None:
    kept = [message for messages in slack.messages.values() for message in messages]
    sent = json.dumps([[one.text, one.blocks, one.metadata] for one in kept])
    assert MISSING in sent  # what the log says is quoted
    for file in (file for file in folder.rglob("*") if file.is_file()):
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        sent += content.decode(errors="replace")
    for secret in SECRETS:
        assert secret not in sent
    for one in kept:
        assert {*one.effects} <= {"call <!here>", "call here"}, (
            one.shown
        )  # as the configuration says, and nothing of the log's
