"""Looks at every pod's repository index once in a while, beside the scrape loop and never in its way."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import structlog

from telemetry.model_history import PodModels, looked, restarted, silent
from telemetry.repository_index import RepositoryIndex, parse_index
from telemetry.target import Phase, PodKey, Target

_MAX_INDEX_BYTES: Final = 2 * 2**20
_AT_ONCE: Final = 50
_AS_IS: Final = {
    "Accept-Encoding": "identity",  # a few bytes may unpack to gigabytes
    "Connection": "close",  # Triton waits for open connections when it stops: to look must not hold it up
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """Seconds: `interval` between looks at a pod, `timeout` for one of them."""

    interval: float = 15.0
    timeout: float = 5.0


class IndexReader:
    """`run` keeps `pods` current; each value in it is replaced whole, so that another thread may read them."""

    def __init__(
        self,
        targets: Callable[[], Mapping[PodKey, Target]],
        settings: Callable[[], IndexSettings],
        session: aiohttp.ClientSession,
        clock: Callable[[], float],
    ) -> None:
        """`targets` and `settings` are asked again for every round; `clock` is monotonic."""
        self._targets = targets
        self._settings = settings
        self._session = session
        self._clock = clock
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._starts: dict[PodKey, int] = {}
        self._failures: dict[PodKey, str | None] = {}
        self.pods: dict[PodKey, PodModels] = {}
        """Those looked at, without those that are gone or go."""

    async def run(self) -> None:
        """Rounds at a steady pace, each up to a tenth of the interval late, so that replicas do not ask in step."""
        while True:
            began = self._clock()
            interval = self._settings().interval
            await self.look_at_all()
            rest = max(interval - (self._clock() - began), 0.0)
            await asyncio.sleep(rest + random.uniform(0.0, interval / 10))  # noqa: S311 -- not a secret

    async def look_at_all(self) -> None:
        """One round over the pods as they are known now."""
        current = {
            key: target for key, target in self._targets().items() if target.phase is not Phase.TERMINATING
        }
        for by_key in (self.pods, self._starts, self._failures):
            for key in by_key.keys() - current.keys():
                del by_key[key]
        patience = self._settings().timeout
        async with asyncio.TaskGroup() as group:
            for key, target in current.items():
                before = self._before(key, target)
                if target.phase is not Phase.RUNNING:
                    self.pods[key] = restarted(before)
                elif target.http_url is not None:
                    group.create_task(self._look(target, target.http_url, before, patience))

    def _before(self, key: PodKey, target: Target) -> PodModels:
        """What was known of the process that runs now: of an earlier one, only the counts."""
        before = self.pods.get(key)
        starts, self._starts[key] = self._starts.get(key), target.restarts
        if before is None:
            return PodModels(known=target.born_in_sight and target.restarts == 0)
        return before if starts == target.restarts else restarted(before)

    async def _look(self, target: Target, url: str, before: PodModels, patience: float) -> None:
        failure: str | None = None
        async with self._limit:
            try:
                async with asyncio.timeout(patience):
                    index = await self._ask(f"{url}/v2/repository/index")
            except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
                failure = _say(error)
                self.pods[target.key] = silent(before)
            else:
                self.pods[target.key] = looked(before, index, self._clock())
        if self._failures.get(target.key, "") != failure:
            self._failures[target.key] = failure
            key = target.key
            log.info("repository_index_changed", pod=key.pod, namespace=key.namespace, failure=failure)

    async def _ask(self, url: str) -> RepositoryIndex:
        async with self._session.post(url, json={}, allow_redirects=False, headers=_AS_IS) as response:
            if response.status != 200:
                raise ValueError(f"answers HTTP {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _MAX_INDEX_BYTES:
                    raise ValueError(f"sends more than {_MAX_INDEX_BYTES} bytes")
            return parse_index(bytes(body))


def _say(error: BaseException) -> str:
    match error:
        case TimeoutError():
            return "timed out"
        case ValueError():
            return str(error)[:120]
        case aiohttp.ClientConnectorError():
            return "connection refused or unreachable"
        case _:
            return "connection broke"
