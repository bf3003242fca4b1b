"""Calls that may never return, each with a deadline."""

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


class HangsError(Exception):
    """A call did not return in time, or the one before it still has not."""


class DeadlineThread:
    """One thread, which lasts. A thread inside the driver cannot be stopped: while a call hangs, further ones are refused at once
    instead of being queued behind it, and the thread is there again when it comes back. It never holds up the program's end."""

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]]] = queue.SimpleQueue()
        self._busy = threading.Event()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def call(self, function: Callable[[], T], *, seconds: float) -> T:
        """What the function returns or raises. Raises HangsError."""
        if self._busy.is_set():
            raise HangsError("an earlier call has not returned yet")
        self._busy.set()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put((function, future))
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise HangsError(f"no return within {seconds:g} s") from None

    def _run(self) -> None:
        while True:
            function, future = self._calls.get()
            result: Any = None
            error: Exception | None = None
            try:
                result = function()
            except Exception as raised:  # noqa: BLE001, RUF100 -- goes to who called
                error = raised
            self._busy.clear()
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
