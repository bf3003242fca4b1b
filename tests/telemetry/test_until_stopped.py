"""A signal ends a daemon quietly; nothing else that cancels it does."""

import asyncio
import os
import signal

import pytest

from telemetry.until_stopped import until_stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_once_it_has_closed(number: signal.Signals) -> None:
    closed: list[str] = []

    async def work() -> None:
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            os.kill(os.getpid(), number)  # a second one does not cut the end short
            await asyncio.sleep(0.05)
            closed.append("closed")

    await until_stopped(work())
    assert closed == ["closed"]


async def test_who_cancels_the_caller_is_heard() -> None:
    """Else a deadline around a daemon would end it and be told that all went well."""

    async def work() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await until_stopped(work())


async def test_a_daemon_that_cancels_itself_has_not_ended_well() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await until_stopped(work())


async def test_what_it_raises_is_raised() -> None:
    async def work() -> None:
        raise OSError("port in use")

    with pytest.raises(OSError, match="port in use"):
        await until_stopped(work())
