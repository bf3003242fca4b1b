"""Room for a few things at once, of which those that are slow to arrive take none: they have nothing to put there yet."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Room:
    """For `places` things; what has not arrived after `slow_seconds` makes way for the next, and finds room when it comes."""

    def __init__(self, places: int, slow_seconds: float) -> None:
        self._free = asyncio.Semaphore(places)
        self._slow_seconds = slow_seconds

    @asynccontextmanager
    async def place(self, *, wanted: bool) -> AsyncIterator[Callable[[], None]]:
        """Waits for a place, if it is wanted, and yields what is to be called on arrival; the place is kept from then on until the
        block ends."""
        if not wanted:
            yield lambda: None
            return
        await self._free.acquire()
        taken = True

        def make_way() -> None:
            nonlocal taken
            if taken:
                taken = False
                self._free.release()

        slow = asyncio.get_running_loop().call_later(self._slow_seconds, make_way)
        try:
            yield slow.cancel
        finally:
            slow.cancel()
            make_way()
