"""What a pod's Triton says of its models. Silence is neither a failure nor a model, and no proof of the contrary."""

import asyncio
from collections.abc import Callable, Sequence

import aiohttp

from telemetry.target import Target
from triage.evidence import IndexRow, RepositoryIndex
from triage.probes.triton_url import triton_questions
from triage.seal import Seal

_SECONDS = 3.0


class RepositoryIndexes:
    """Asks with `session`; what comes back is sealed."""

    def __init__(self, session: aiohttp.ClientSession, make_seal: Callable[[], Seal]) -> None:
        self._session = session
        self._make_seal = make_seal

    async def failed(self, pod: Target) -> Sequence[str]:
        """Models with a version that failed to load; none where it does not answer."""
        rows = await self._rows(pod) or ()
        return sorted(
            {row.name for row in rows if row.state == "UNAVAILABLE" and row.reason not in ("", "unloaded")}
        )

    async def known(self, pod: Target) -> Sequence[str] | None:
        """All models of its repository; None where it does not answer."""
        rows = await self._rows(pod)
        return None if rows is None else sorted({row.name for row in rows})

    async def _rows(self, pod: Target) -> Sequence[IndexRow] | None:
        if pod.http_url is None:
            return None
        asked = next(each for each in triton_questions(pod.http_url, self._session) if each.id == "index")
        seal = self._make_seal()
        try:
            async with asyncio.timeout(_SECONDS):
                found = (await asked.ask(seal)).facts
        except TimeoutError:
            return None
        if not isinstance(found, RepositoryIndex):
            return None
        return [IndexRow(seal.value(row.name), row.version, row.state, row.reason) for row in found.rows]
