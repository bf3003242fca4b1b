"""The real Prometheus of the tests does what the tests take for granted."""

import time
from pathlib import Path

from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.pages import page
from tests.prometheus.server import PrometheusServer, Target


async def test_targets_are_scraped_with_their_labels_and_may_change(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    async with page("lamps 3\n") as address, page("lamps 4\n") as other:
        targets = [Target(address, {"pod": "a"})]
        async with PrometheusServer(prometheus_tools, tmp_path, targets) as server:
            await server.until_scraped()
            found = await server.ask("query", query="lamps")
            assert [(row["metric"]["pod"], row["value"][1]) for row in found["result"]] == [("a", "3")]
            server.set_targets([*targets, Target(other, {"pod": "b"})])
            await server.until_scraped()
            found = await server.ask("query", query="sort(lamps)")
            assert [row["metric"]["pod"] for row in found["result"]] == ["a", "b"]
            assert await server.queries() >= 3


async def test_samples_of_the_past_can_be_given_to_it(
    prometheus_tools: PrometheusTools, tmp_path: Path
) -> None:
    at = int(time.time()) - 86400
    server = PrometheusServer(prometheus_tools, tmp_path)
    await server.backfill(f'# TYPE lamps gauge\nlamps{{pod="a"}} 7 {at}\n# EOF\n')
    async with server:
        found = await server.ask("query", query="lamps", time=str(at))
        assert found["result"][0]["value"] == [at, "7"]
