"""A few at once, and nobody waits for what is slow to arrive."""

import asyncio

from telemetry.room import Room


async def _begun(room: Room, count: int, *, arrives: bool) -> list[asyncio.Task[None]]:
    """Tasks that took a place and stay, as far as there is one."""

    async def stay() -> None:
        async with room.place(wanted=True) as arrived:
            if arrives:
                arrived()
            here.append(None)
            await asyncio.get_running_loop().create_future()

    here: list[None] = []
    tasks = [asyncio.create_task(stay()) for _ in range(count)]
    await asyncio.sleep(0)
    assert len(here) == min(count, 2)
    return tasks


async def _fits(room: Room, *, within: float) -> bool:
    try:
        async with asyncio.timeout(within), room.place(wanted=True):
            return True
    except TimeoutError:
        return False


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_has_arrived_keeps_its_place_until_it_leaves() -> None:
    room = Room(2, slow_seconds=0.01)
    tasks = await _begun(room, 2, arrives=True)
    assert not await _fits(room, within=0.1)
    await _stop(tasks[:1])
    assert await _fits(room, within=1.0)
    await _stop(tasks)


async def test_what_is_slow_to_arrive_makes_way_and_leaves_no_place_behind() -> None:
    room = Room(2, slow_seconds=0.01)
    tasks = await _begun(room, 2, arrives=False)
    assert await _fits(room, within=1.0)
    await _stop(tasks)
    await _stop(await _begun(room, 3, arrives=True))


async def test_who_wants_no_place_waits_for_none() -> None:
    room = Room(2, slow_seconds=60.0)
    tasks = await _begun(room, 2, arrives=True)
    async with asyncio.timeout(1.0), room.place(wanted=False) as arrived:
        arrived()
    await _stop(tasks)
