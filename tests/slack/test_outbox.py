"""One incident, one thread, and nothing lost: whatever Slack does, and wherever the program is killed."""

import asyncio
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.slack.slack_api import CHANNEL
from tests.slack.stories import ALERT, changed, incident, load_failure, slow_requests, told
from tests.slack.threads import Killed, threads
from triage.oncall.incident import Incident, Outcome, Posted
from triage.slack.messages import messages

NAME = "prod-web-p99"
ENDED = told(
    state="closed",
    resolved_at=1_795_400_500.0,
    outcome=Outcome(at=1_795_400_900.0, worked="yes", said="the 99th percentile is back at 280 ms"),
)
WHOLE = ["root", "details", "details-2", "resolved", "outcome"]


async def test_a_thread_grows_with_its_incident(tmp_path: Path) -> None:
    """Looked at, told, resolved, looked at again: the root is edited in place, the rest follows below it."""
    async with threads(tmp_path, incident()) as t:
        await t.settle()
        assert list(t.shown) == ["root"]
        assert "LOOKING at deployment/web in prod" in t.shown["root"]

        t.put(told())
        await t.settle()
        assert list(t.shown) == ["root", "details", "details-2"]
        assert "Scale by hand to 3 now" in t.shown["root"]
        assert "kubectl -n incidents scale deployment/web --replicas=3" in t.shown["details"]

        t.change("prod-web-p99", state="resolved", resolved_at=1_795_400_500.0)
        await t.settle()
        assert t.shown["root"].startswith("RESOLVED 02:21 UTC. FIX requests of ranker")
        assert "No alert fires any more at 02:21:40 UTC" in t.shown["resolved"]

        root = t.api.thread()["root"]
        assert all(kept.thread_ts == root.ts for part, kept in t.api.thread().items() if part != "root")
        assert t.record.incidents["prod-web-p99"].posted["root"].link.startswith("https://")
        assert {what for what, *_ in t.outcomes} == {"posted", "updated"}


STEPS = {
    "before it is recorded that it will be posted": ("kill", False),
    "before it is posted": ("kill_after", False),
    "after it was posted, before its name is recorded": ("kill", True),
    "after its name is recorded": ("kill_after", True),
}


@pytest.mark.parametrize("killed", STEPS)
@pytest.mark.parametrize("killed_part", ["root", "details", "details-2", "resolved", "outcome"])
async def test_killed_anywhere_it_tells_everything_once(
    tmp_path: Path, killed: str, killed_part: str
) -> None:
    hook, named = STEPS[killed]
    async with threads(tmp_path, ENDED) as t:
        setattr(t.record, hook, lambda part, posted: part == killed_part and bool(posted.ts) is named)
        with pytest.raises(Killed):
            await t.settle()
        setattr(t.record, hook, lambda part, posted: False)
        t.start_anew()
        await t.settle()
        assert list(t.api.thread()) == WHOLE
        assert not any(posted.maybe_twice for posted in t.record.incidents[NAME].posted.values())


@pytest.mark.parametrize("lost", range(5))
async def test_a_message_whose_answer_was_lost_is_found_and_not_posted_again(
    tmp_path: Path, lost: int
) -> None:
    async with threads(tmp_path, ENDED) as t:
        t.api.loses_answers = 0
        posts = 0

        def lose_one(part: str, posted: Posted) -> bool:
            nonlocal posts
            posts += not posted.ts
            t.api.loses_answers = int(posts == lost + 1 and not posted.ts)
            return False

        t.record.kill_after = lose_one
        await t.settle()
        assert list(t.api.thread()) == WHOLE
        assert t.api.calls.count("chat.postMessage") == len(WHOLE)


async def test_a_message_that_hung_and_never_arrived_is_posted_once(tmp_path: Path) -> None:
    async with threads(tmp_path, incident()) as t:
        t.api.hanging = True
        await t.settle(seconds=20)
        assert "did not answer within 0.25 s" in t.outbox.trouble
        t.api.hanging = False
        await t.settle()
        assert list(t.api.thread()) == ["root"]
        assert t.outbox.trouble == ""


async def test_where_nobody_can_look_it_posts_again_and_says_so(tmp_path: Path) -> None:
    async with threads(tmp_path, incident(), scopes={"chat:write"}, loses_answers=1) as t:
        await t.settle()
        first, second = t.api.messages[CHANNEL]
        assert (first.part, second.part) == ("root", "root")
        assert "may stand here twice" in second.shown
        assert t.record.incidents[NAME].posted["root"].maybe_twice
        t.put(told())
        await t.settle()
        assert "may stand here twice" in second.shown
        assert "Scale by hand" in second.shown


async def test_while_slack_is_away_for_ten_minutes_nothing_is_lost_and_only_the_last_is_told(
    tmp_path: Path,
) -> None:
    async with threads(tmp_path, incident()) as t:
        await t.api.stop()
        for work in ("2 sources answered", "9 sources answered"):
            t.change(NAME, progress=work)
            await t.settle(seconds=300)
        assert t.outbox.waiting == 1
        assert 600 <= t.outbox.oldest_seconds < 700
        assert "Slack cannot be reached" in t.outbox.trouble
        tries = len(t.outcomes)
        assert 8 < tries < 40
        t.put(told())
        await t.api.start()
        await t.settle()
        assert list(t.api.thread()) == ["root", "details", "details-2"]
        assert t.api.thread()["root"].edits == 0
        assert (t.outbox.waiting, t.outbox.oldest_seconds) == (0, 0.0)


async def test_a_storm_stays_within_slacks_rate_and_tells_roots_first(tmp_path: Path) -> None:
    storm = [told(f"storm-{number}") for number in range(25)]
    async with threads(tmp_path, *storm, rate=True) as t:
        await t.settle()
        assert t.api.limited == 0
        posts = [kept.part for kept in t.api.messages[CHANNEL]]
        assert posts[:25] == ["root"] * 25
        assert posts.count("details") == 25
        # One each in turn: nobody's second message comes before everybody's first.
        assert posts[25:50] == ["details"] * 25


async def test_a_new_incidents_root_comes_before_the_details_of_older_ones(tmp_path: Path) -> None:
    older = [told(f"older-{number}") for number in range(8)]
    async with threads(tmp_path, *older) as t:
        while len(t.api.messages.get(CHANNEL, [])) < len(older):
            await t.settle(seconds=1.5)
        t.put(incident("new"))
        await t.settle()
        posted = [(kept.incident, kept.part) for kept in t.api.messages[CHANNEL]]
        assert posted.index(("new", "root")) <= len(older) + 1  # one may have been under way


async def test_slacks_wait_is_obeyed(tmp_path: Path) -> None:
    async with threads(tmp_path, incident(), rate=True) as t:
        t.api.spend(CHANNEL)
        began = t.clock.now
        await t.settle()
        assert t.api.limited == 1
        assert list(t.api.thread()) == ["root"]
        assert float(t.api.thread()["root"].ts) - began >= 3
        assert t.outcomes[0][0] == "failed"


async def test_an_incident_that_changes_all_the_time_does_not_hold_up_another(tmp_path: Path) -> None:
    async with threads(tmp_path, incident("busy"), told("other")) as t:

        async def change() -> None:
            for number in count():
                t.change("busy", progress=f"{number} sources answered")
                await asyncio.sleep(0)

        changing = asyncio.create_task(change())
        await t.settle(seconds=12)
        changing.cancel()
        assert set(t.api.thread(incident="other")) == {"root", "details", "details-2"}
        assert t.api.thread(incident="busy")["root"].edits >= 3


async def test_a_workspace_without_charts_is_asked_once(tmp_path: Path) -> None:
    async with threads(tmp_path, told("a"), told("b"), takes_charts=False) as t:
        await t.settle()
        for name in ("a", "b"):
            details = t.api.thread(incident=name)["details"]
            assert "|  10|      " in details.shown  # the axis of the drawn text
            assert "[chart" not in details.shown
        assert [what for what, *_ in t.outcomes].count("failed") == 1
        # Another start asks once more, and nothing is posted twice.
        posted = len(t.api.messages[CHANNEL])
        t.start_anew()
        await t.settle()
        assert len(t.api.messages[CHANNEL]) == posted


@pytest.mark.parametrize("code", ["invalid_blocks", "msg_too_long", "msg_blocks_too_long"])
async def test_what_slack_does_not_take_is_told_in_its_first_line(tmp_path: Path, code: str) -> None:
    async with threads(tmp_path, incident(), next_errors=[code]) as t:
        await t.settle()
        assert t.shown["root"].startswith("LOOKING at deployment/web in prod")
        assert "triton-triage report prod-web-p99" in t.shown["root"]
        assert [what for what, *_ in t.outcomes] == ["failed", "posted"]
        assert code in t.outcomes[0][3]


async def test_what_may_not_be_edited_is_told_in_a_reply(tmp_path: Path) -> None:
    async with threads(tmp_path, incident()) as t:
        await t.settle()
        t.api.editable = False
        t.put(told())
        await t.settle()
        thread = t.api.thread()
        assert "LOOKING" in thread["root"].shown
        assert "cannot be edited any more" in thread["root-moved"].shown
        assert "Scale by hand to 3 now" in thread["root-moved"].shown
        assert thread["root-moved"].thread_ts == thread["root"].ts
        t.api.editable = True
        t.change(NAME, state="resolved", resolved_at=1_795_400_500.0)
        await t.settle()
        assert "RESOLVED" in t.shown["root-moved"]
        assert set(t.shown) == {"root", "root-moved", "details", "details-2", "resolved"}


async def test_a_deleted_reply_is_told_anew_below_the_root(tmp_path: Path) -> None:
    async with threads(tmp_path, told()) as t:
        await t.settle()
        t.api.delete(t.api.thread()["details"])
        t.put(told(report=changed(slow_requests(), took_seconds=9.0)))
        await t.settle()
        assert "9 s" in t.shown["details-moved"]


async def test_a_deleted_root_is_told_anew_and_the_thread_goes_on_there(tmp_path: Path) -> None:
    async with threads(tmp_path, incident()) as t:
        await t.settle()
        t.api.delete(t.api.thread()["root"])
        t.put(told())
        await t.settle()
        thread = t.api.thread()
        assert "is gone from Slack" in thread["root"].shown
        assert thread["details"].thread_ts == thread["root"].ts


async def test_a_thread_that_is_gone_before_its_replies_begins_anew(tmp_path: Path) -> None:
    async with threads(tmp_path, incident()) as t:
        await t.settle()
        t.api.delete(t.api.thread()["root"])
        t.change(NAME, outcome=Outcome(at=1.0, worked="unknown", said="nothing was measured"))
        await t.settle()
        thread = t.api.thread()
        assert thread["outcome"].thread_ts == thread["root"].ts


async def test_a_token_that_expired_is_read_anew_from_its_file(tmp_path: Path) -> None:
    async with threads(tmp_path, incident()) as t:
        t.api.expired = set(t.api.tokens)
        await t.settle(seconds=30)
        assert "Slack refused the token: token_expired" in t.outbox.trouble
        t.api.tokens.add("xoxb-the-next")
        t.token_file.write_text("xoxb-the-next")
        await t.settle()
        assert list(t.api.thread()) == ["root"]


async def test_a_refusal_says_what_to_do_and_is_tried_again(tmp_path: Path) -> None:
    async with threads(tmp_path, incident(), channels={CHANNEL: False}) as t:
        await t.settle(seconds=200)
        assert t.outbox.trouble == (
            "Slack refused: not_in_channel; invite the app: /invite @triton-triage in the channel"
        )
        t.api.channels[CHANNEL] = True
        await t.settle()
        assert list(t.api.thread()) == ["root"]


async def test_nothing_is_posted_that_cannot_be_recorded(tmp_path: Path) -> None:
    async with threads(tmp_path, incident()) as t:
        t.record.away = True
        await t.settle(seconds=60)
        assert t.api.calls == []
        t.record.away = False
        await t.settle()
        assert list(t.api.thread()) == ["root"]


async def test_people_are_called_once_by_the_roots_first_posting(tmp_path: Path) -> None:
    mentions = {"critical": ["<!subteam^S0ONCALL>", "<@U0NIGHT>"]}
    quiet = incident("quiet", alerts=(), first_severity="warning")
    async with threads(tmp_path, incident(), quiet, mentions=mentions) as t:
        await t.settle()
        t.put(told())
        await t.settle()
        thread = t.api.thread(incident=NAME)
        assert {"call S0ONCALL", "call U0NIGHT"} <= set(thread["root"].called)
        assert not thread["details"].called
        assert not t.api.thread(incident="quiet")["root"].called
        # They stay named: an edit without them would look as if nobody had been called.
        assert "call S0ONCALL" in thread["root"].effects


async def test_a_warning_that_becomes_critical_calls_by_a_reply(tmp_path: Path) -> None:
    """An edit of the root would call nobody."""
    warning = msgspec.structs.replace(ALERT, severity="warning")
    mentions = {"critical": ["<!subteam^S0ONCALL>"]}
    begun = incident(first_severity="warning", alerts=(warning,))
    async with threads(tmp_path, begun, mentions=mentions) as t:
        await t.settle()
        assert not t.api.thread(incident=NAME)["root"].called
        worse = msgspec.structs.replace(ALERT, fingerprint="f2", name="TritonModelUnavailable")
        t.change(NAME, alerts=(warning, worse))
        await t.settle()
        thread = t.api.thread(incident=NAME)
        assert thread["escalated-critical"].called == ["call <!subteam^S0ONCALL>", "call S0ONCALL"]
        assert "It is critical now: TritonModelUnavailable" in thread["escalated-critical"].shown
        assert not thread["root"].called


async def test_an_incident_that_comes_again_calls_again(tmp_path: Path) -> None:
    mentions = {"critical": ["<!subteam^S0ONCALL>"]}
    async with threads(tmp_path, told(state="resolved", resolved_at=1_795_400_500.0), mentions=mentions) as t:
        await t.settle()
        t.change(NAME, state="open", resolved_at=None, reopened=1)
        await t.settle()
        assert "call S0ONCALL" in t.api.thread(incident=NAME)["reopened-1"].called


async def test_the_same_cause_is_told_once_with_a_link_to_it(tmp_path: Path) -> None:
    first, second = incident("first"), told("second", same_as="first", workload="deployment/api")
    async with threads(tmp_path, second, first) as t:
        await t.settle()
        link = t.record.incidents["first"].posted["root"].link
        root = t.api.thread(incident="second")["root"]
        assert f"link {link}" in root.effects
        assert "SAME CAUSE as first" in root.shown
        assert list(t.api.thread(incident="second")) == ["root"]


async def test_an_incident_that_comes_again_says_so_in_its_thread(tmp_path: Path) -> None:
    async with threads(tmp_path, told(state="resolved", resolved_at=1_795_400_500.0)) as t:
        await t.settle()
        t.change(NAME, state="open", resolved_at=None, reopened=1)
        await t.settle()
        assert t.shown["root"].startswith("AGAIN. FIX")
        t.change(NAME, state="resolved", resolved_at=1_795_401_000.0)
        await t.settle()
        assert list(t.shown)[-3:] == ["resolved", "reopened-1", "resolved-1"]


async def test_details_that_became_fewer_are_emptied(tmp_path: Path) -> None:
    async with threads(tmp_path, told(preliminary=True)) as t:
        await t.settle()
        assert "PRELIMINARY" in t.shown["root"]
        t.put(told(report=load_failure()))
        await t.settle()
        assert "Nothing here any more" in t.shown["details-2"]
        assert "Evidence" in t.shown["details"]


async def test_what_is_done_leaves_nothing_behind(tmp_path: Path) -> None:
    """The outbox of a service that ran for a year is as small as on its first day."""
    async with threads(tmp_path, incident(), next_errors=["fatal_error", "internal_error"]) as t:
        await t.settle()
        kept = vars(t.outbox)
        assert not any(kept[name] for name in ("_waiting", "_unsent", "_gone", "_linked_to"))


async def test_a_mistake_of_ours_in_one_thread_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end the service with every start, since the incident is there then, too."""

    def breaks(one: Incident, **more: Any) -> Any:
        if one.name == "bad":
            raise LookupError("nobody thought of this")
        return messages(one, **more)

    monkeypatch.setattr("triage.slack.outbox.messages", breaks)
    async with threads(tmp_path, incident(name="bad"), incident(name="good")) as t:
        await t.settle(30.0)
        assert list(t.api.thread(incident="good")) == ["root"]
        assert ("failed", "bad", "") in {told[:3] for told in t.outcomes}
