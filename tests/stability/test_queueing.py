"""The queue is the one of the textbooks, and its counters are what became of its requests."""

import itertools
import random

import pytest

from tests.stability.fleet_queue import FleetQueue
from tests.stability.loads import (
    AIM,
    BASE,
    LOADS,
    POD_RATE,
    SERVICE_SECONDS,
    VARIATION,
    WARM_UP,
    Load,
    arrivals,
    lognormal,
    wait_at,
)
from tests.stability.queueing import Queue, mean_wait, page

REQUESTS = 200_000


@pytest.mark.parametrize("busy", [0.3, 0.65, 0.8])
def test_one_instance_waits_as_pollaczek_and_khinchine_say(busy: float) -> None:
    drawn, queue = random.Random(f"one {busy}"), Queue()
    mu, sigma = lognormal(SERVICE_SECONDS, VARIATION)
    at = waited = 0.0
    for _ in range(REQUESTS):
        at += drawn.expovariate(busy / SERVICE_SECONDS)
        waited += queue.offer(at, drawn.lognormvariate(mu, sigma))
    assert waited / REQUESTS == pytest.approx(
        mean_wait(busy / SERVICE_SECONDS, SERVICE_SECONDS, VARIATION), rel=0.05
    )


def test_two_instances_wait_as_erlang_says() -> None:
    """M/M/2 at six tenths: the wait is rho^2 / (1 - rho^2) services. Of so many requests the mean is within four standard errors,
    which are 1.3 % each by twelve other seeds."""
    drawn, queue = random.Random("two"), Queue(instances=2)
    at = waited = 0.0
    for _ in range(REQUESTS):
        at += drawn.expovariate(2 * 0.6)
        waited += queue.offer(at, drawn.expovariate(1.0))
    assert waited / REQUESTS == pytest.approx(0.36 / 0.64, rel=0.05)


def test_four_instances_wait_nearly_as_allen_and_cunneen_say() -> None:
    """Their formula is an approximation: a tenth is what is asked of it here."""
    drawn, queue, service = random.Random("four"), Queue(instances=4), 4 * SERVICE_SECONDS
    mu, sigma = lognormal(service, VARIATION)
    at = waited = 0.0
    for _ in range(REQUESTS):
        at += drawn.expovariate(0.65 / SERVICE_SECONDS)
        waited += queue.offer(at, drawn.lognormvariate(mu, sigma))
    assert waited / REQUESTS == pytest.approx(wait_at(0.65, 4), rel=0.1)


def test_counters_move_when_a_request_completes() -> None:
    queue = Queue()
    assert [queue.offer(at, 1.0) for at in (0.0, 0.5, 0.5)] == [0.0, 0.5, 1.5]
    assert (queue.counters(0.9).success, queue.pending(0.9), queue.inside(0.9)) == (0, 2, 3)
    at_two = queue.counters(2.0)
    assert (at_two.success, at_two.queue_seconds, at_two.compute_seconds) == (2, 0.5, 2.0)
    assert (queue.pending(2.0), queue.inside(2.0)) == (0, 1)


def test_a_summary_forgets_and_is_nan_without_requests() -> None:
    queue = Queue(summary_seconds=10.0)
    queue.offer(1.0, 0.5)
    queue.offer(1.0, 0.5)
    assert queue.quantiles(2.5)[0.99] == 1.0
    rows = list(page(queue, "slow", 30.0))
    assert 'nv_inference_request_summary_us{model="slow",version="1",quantile="0.99"} Nan' in rows
    assert 'nv_inference_request_success{model="slow",version="1"} 2' in rows


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_a_load_is_what_its_rate_says(load: Load) -> None:
    """And the same for everybody."""
    seconds = range(-round(WARM_UP), round(load.seconds))
    asked = sum(load.rate(at + 0.5) for at in seconds)
    came = list(itertools.takewhile(lambda request: request.at < load.seconds, arrivals(load, 1)))
    assert len(came) == pytest.approx(asked, abs=4 * asked**0.5)
    assert came[:1000] == list(itertools.islice(arrivals(load, 1), 1000))


def test_a_fleet_spreads_its_requests_and_refuses_without_pods() -> None:
    fleet = FleetQueue(arrivals(Load("flat", "", lambda at: 1.0, 100, 1), 1))
    fleet.advance(-WARM_UP + 1)
    pods = {"a": fleet.new_pod(), "b": fleet.new_pod()}
    fleet.serve(pods, -WARM_UP + 1)
    fleet.advance(4000.0)
    seconds = [second for at, second in fleet.seconds.items() if at > -WARM_UP + 1]
    requests = sum(second.requests for second in seconds)
    assert fleet.seconds[-round(WARM_UP)].refused == fleet.seconds[-round(WARM_UP)].requests > 0
    assert requests == pytest.approx(BASE * (4000 + WARM_UP - 2), rel=0.02)
    assert sum(second.waited for second in seconds) / requests == pytest.approx(wait_at(AIM), rel=0.1)
    done = [pod.counters(4001.0).success for pod in pods.values()]
    assert done == pytest.approx([4025 * POD_RATE] * 2, rel=0.03)
