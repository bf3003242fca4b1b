"""A look at a large fleet: a sample of it, at the API server's pace, and totals for all of it."""

import asyncio
import json
import re
import time

import pytest

from autoscaler.answer import Value
from autoscaler.trial.find import FleetFinder, parse_asked
from autoscaler.trial.proxy import PER_SECOND
from autoscaler.trial.watch import MOST_PODS, Watch
from telemetry.kubernetes_api import KubernetesError
from tests.autoscaler.fleet import SIGNALS
from tests.kube.canned_api import CannedApi

PODS = 250
LIST = "/api/v1/namespaces/prod/pods"
PAGE = re.compile(r"/api/v1/namespaces/prod/pods/(triton-\d+):8002/proxy/metrics")
CONFIG = {"name": "m", "instance_group": [{"kind": "KIND_CPU", "count": 2}]}
RATES = {
    "nv_inference_request_success": 20.0,
    "nv_inference_request_failure": 0.0,
    "nv_inference_queue_duration_us": 0.0,
    "nv_inference_compute_input_duration_us": 0.0,
    "nv_inference_compute_infer_duration_us": 1.6e6,
    "nv_inference_compute_output_duration_us": 0.0,
    "nv_inference_count": 20.0,
}
"""A second, of each pod: 1.6 requests are computed at once."""


class Cluster(CannedApi):
    """A StatefulSet of Tritons at a steady load; strict about what is asked."""

    def __init__(self, pods: int) -> None:
        reference = {
            "kind": "StatefulSet",
            "name": "triton",
            "uid": "u",
            "controller": True,
            "apiVersion": "apps/v1",
        }
        status = {
            "phase": "Running",
            "podIP": "10.0.0.7",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": "triton", "state": {"running": {}}}],
        }
        made = [
            {
                "metadata": {
                    "name": f"triton-{number}",
                    "namespace": "prod",
                    "uid": f"uid-{number}",
                    "labels": {"app": "triton"},
                    "ownerReferences": [reference],
                },
                "spec": {"containers": [{"name": "triton"}]},
                "status": status,
            }
            for number in range(pods)
        ]
        super().__init__({LIST: {"items": made}})
        self.pages: list[str] = []
        self.others: list[str] = []
        self._begin = time.monotonic()

    async def fetch(self, path: str, most: int) -> bytes:
        await asyncio.sleep(0.01)
        if found := PAGE.fullmatch(path):
            self.pages.append(found[1])
            return self._page()
        self.others.append(path)
        if path.endswith(":8000/proxy/v2/models/m/config"):
            return json.dumps(CONFIG).encode()
        if path.endswith(":8000/proxy/v2"):
            return b'{"name": "triton", "version": "2.51.0", "extensions": []}'
        raise KubernetesError("nothing else is there", status=404)

    def _page(self) -> bytes:
        seconds = time.monotonic() - self._begin
        lines = [
            f'{family}{{model="m",version="1"}} {1000 + int(rate * seconds)}\n'
            for family, rate in RATES.items()
        ]
        return "".join([*lines, 'nv_inference_pending_request_count{model="m",version="1"} 0\n']).encode()


async def test_a_large_fleet_is_sampled_at_the_api_servers_pace_and_totals_are_for_all() -> None:
    """Three rounds of a hundred pods, one configuration for all of them."""
    api = Cluster(PODS)
    finder = FleetFinder(api, "prod", parse_asked("triton"))
    watch = Watch(api, finder, "prod", SIGNALS, await finder.find())
    began = time.monotonic()
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(120):
        while len(watch.looks) < 3:  # noqa: ASYNC110 - looks are a list, for a view that draws at its own pace
            await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    seconds = time.monotonic() - began
    seen = await watch.seen(ended_early=True)

    assert len(set(api.pages)) == MOST_PODS
    assert len(api.pages) + len(api.others) <= PER_SECOND * seconds + 2
    assert len(api.others) == 2, api.others  # a configuration, and Triton's version
    assert (seen.fleet.pods, seen.fleet.asked, seen.fleet.answered) == (PODS, MOST_PODS, MOST_PODS)
    answer = watch.looks[-1].signals["triton_inference_concurrency"].answer
    assert isinstance(answer, Value)
    assert answer.value == pytest.approx(1.6 * PODS, rel=0.1)
    assert seen.decision is not None
    assert seen.decision.target == pytest.approx(1.4, rel=0.02)


async def test_an_api_server_that_lists_no_pods_for_a_while_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pods are listed again while a look goes on; the ones that are known are still there to look at."""
    monkeypatch.setattr("autoscaler.trial.watch._REFRESH_SECONDS", 1.0)
    api = Cluster(3)
    finder = FleetFinder(api, "prod", parse_asked("triton"))
    watch = Watch(api, finder, "prod", SIGNALS, await finder.find())
    api.unanswered = 10**6
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(60):
        while len(watch.looks) < 3:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert watch.looks[-1].fleet.answered == 3
    assert api.asked.count(LIST) > 2
