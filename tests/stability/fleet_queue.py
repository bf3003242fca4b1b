"""All requests of a fleet through the queues of its pods, and what became of each: the truth of a run. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tests.stability.loads import WARM_UP, Arrival
from tests.stability.queueing import Queue

MEAN_OBJECTIVE: Final = 0.1
"""Seconds: the mean wait of the requests that come in a second is to be no longer; two and a half service times."""
LONG_WAIT: Final = 0.25
"""Seconds, six service times: a request that waits longer is one that users complain of."""


@dataclass(slots=True)
class Second:
    """The requests that came in one second of the run."""

    requests: int = 0
    waited: float = 0.0
    """Seconds, summed."""
    long: int = 0
    """Waited for longer than LONG_WAIT, or found no pod."""
    refused: int = 0

    @property
    def over(self) -> bool:
        served = self.requests - self.refused
        return self.refused > 0 or (served > 0 and self.waited / served > MEAN_OBJECTIVE)


class FleetQueue:
    """Spreads the requests at random over the pods that serve, as a Service does. Times are seconds of the run; what waits in a
    pod that goes is still answered by it, as in one that drains."""

    def __init__(
        self, requests: Iterator[Arrival], instances: int = 1, *, summary_seconds: float = 60.0
    ) -> None:
        self.seconds: dict[int, Second] = {}
        self._requests = requests
        self._next = next(requests)
        self._instances, self._summary_seconds = instances, summary_seconds
        self._serving: list[Queue] = []

    def new_pod(self) -> Queue:
        return Queue(self._instances, summary_seconds=self._summary_seconds)

    def serve(self, pods: Mapping[str, Queue], now: float) -> None:
        """From now on the requests go to these."""
        self.advance(now)
        self._serving = list(pods.values())

    def advance(self, now: float) -> None:
        """Every request that has come until now."""
        while self._next.at <= now:
            self._send(self._next)
            self._next = next(self._requests)

    def _send(self, request: Arrival) -> None:
        second = self.seconds.setdefault(int(request.at // 1), Second())
        second.requests += 1
        if not self._serving:
            second.refused += 1
            second.long += 1
            return
        pod = self._serving[int(request.place * len(self._serving))]
        waited = pod.offer(request.at, request.service * self._instances)
        second.waited += waited
        second.long += waited > LONG_WAIT


def follow(requests: Iterator[Arrival], pods: Mapping[float, int], seconds: float) -> dict[int, Second]:
    """What becomes of the requests when exactly so many pods serve, each from a second of the run on."""
    fleet = FleetQueue(requests)
    queues = [fleet.new_pod() for _ in range(max(pods.values()))]
    fleet.serve(_named(queues[: next(iter(pods.values()))]), -WARM_UP)
    for at, count in pods.items():
        fleet.serve(_named(queues[:count]), at)
    fleet.advance(seconds)
    return fleet.seconds


def _named(queues: list[Queue]) -> dict[str, Queue]:
    return {str(number): queue for number, queue in enumerate(queues)}
