"""One incident, one thread, and nothing lost: whatever Slack does, and wherever the program is killed."""

from pathlib import Path

from tests.slack.stories import incident, told
from tests.slack.threads import threads


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
