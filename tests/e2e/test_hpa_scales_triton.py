"""The product's main path on real servers: a real Triton's queue becomes a real replica count, and blindness never does."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.controlplane.control_plane import ControlPlane
from tests.e2e.fleet import WINDOW, Fleet, real_fleet
from tests.local_process import eventually
from tests.tritons.install import TritonInstall
from tests.tritons.load import Load

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

SYNCS = 20
"""Of the HPA, a second each: together they outlast a window and max_age, so that what would fade has faded."""
WORKERS = 6
TARGET = "2"


async def test_the_hpa_follows_load_and_holds_while_blind(
    control_plane: ControlPlane, triton_install: TritonInstall, tmp_path: Path
) -> None:
    """1 -> 3 under load, held at 3 through three kinds of blindness with no stabilization window to hide behind, and back to 1
    within three syncs of being truly idle."""
    async with real_fleet(
        control_plane, triton_install, tmp_path, namespace="follows", average=TARGET
    ) as fleet:
        await fleet.until_value(0.0, 0.0)
        load = Load(fleet.tritons.urls, "slow", timeout_seconds=3.0)
        running = asyncio.create_task(load.closed_loop(workers=WORKERS, seconds=600))
        await _scales_to_three_and_scrapes_them(fleet)
        await _all_scrapes_fail(fleet)
        await _daemon_is_killed_and_restarted(fleet)
        running.cancel()
        await _the_loaded_one_of_three_freezes(fleet)
        assert fleet.hpa.scale_downs == [], fleet.hpa.story()
        await fleet.until_value(0.0, 0.0)
        await fleet.hpa.syncs(3)
        assert fleet.hpa.replicas[-1].wanted == 1, fleet.hpa.story()


async def _scales_to_three_and_scrapes_them(fleet: Fleet) -> None:
    await fleet.hpa.until_wanted(3, seconds=90)
    await fleet.tritons.until(3)
    await fleet.until_counted(set(fleet.tritons.servers))
    await fleet.until_value(WORKERS * 0.8, WORKERS * 1.2)
    code, told = await fleet.value_command("triton_inference_concurrency")
    assert code == 0, told
    assert all(f"{pod} " in told for pod in fleet.tritons.servers), told
    assert "nv_inference_compute_infer_duration_us +" in told, told
    await eventually(partial(_shows_every_pods_model_ready, fleet), seconds=40)


async def _shows_every_pods_model_ready(fleet: Fleet) -> bool:
    """With the workload at the top of its owners, for alert rules to join."""
    page = await fleet.daemon.own_metrics()
    rows = [line for line in page.splitlines() if line.startswith("triton_model_state{")]
    ready = [row for row in rows if 'state="READY"' in row and 'workload="triton"' in row]
    return all(any(f'pod="{pod}"' in row for row in ready) for pod in fleet.tritons.servers)


async def _all_scrapes_fail(fleet: Fleet) -> None:
    before = len(fleet.hpa.scale_downs)
    for server in fleet.tritons.servers.values():
        server.pause()
    await fleet.hpa.syncs(SYNCS, error="internal")
    answer = await fleet.ask("triton_inference_concurrency")
    assert "does not answer scrapes" in answer["message"], answer
    assert len(fleet.hpa.scale_downs) == before, fleet.hpa.story()
    assert fleet.hpa.changes[-1].says("ScalingActive") == "False FailedGetExternalMetric", fleet.hpa.story()
    for server in fleet.tritons.servers.values():
        server.resume()
    await fleet.until_value(WORKERS * 0.5)


async def _daemon_is_killed_and_restarted(fleet: Fleet) -> None:
    before, errors = len(fleet.hpa.scale_downs), await _errors(fleet)
    await fleet.daemon.kill()
    await fleet.hpa.syncs(SYNCS // 4)
    await fleet.daemon.start()
    await fleet.hpa.syncs(SYNCS - SYNCS // 4)
    assert len(fleet.hpa.scale_downs) == before, fleet.hpa.story()
    assert await _errors(fleet) - errors >= SYNCS // 2, fleet.hpa.story()
    await fleet.until_value(WORKERS * 0.5)


async def _the_loaded_one_of_three_freezes(fleet: Fleet) -> None:
    name, server = sorted(fleet.tritons.servers.items())[0]
    load = Load(lambda: [server.url], "slow", timeout_seconds=60.0)
    running = asyncio.create_task(load.closed_loop(workers=WORKERS, seconds=300))
    try:
        await asyncio.sleep(WINDOW + 3)  # until the window holds this load alone
        await fleet.until_value(WORKERS * 0.8, WORKERS * 1.2)
        server.pause()
        at_freeze = await fleet.total()
        assert at_freeze is not None
        assert at_freeze >= WORKERS * 0.8
        blind = asyncio.create_task(fleet.hpa.syncs(SYNCS, error="internal"))
        seen: list[float] = []
        while (now := await fleet.total()) is not None:
            seen.append(now)
            assert now >= at_freeze, f"the total fell from {at_freeze} to {now} when its Triton froze"
            await asyncio.sleep(0.1)
        assert seen, "no value was served between the freeze and max_age"
        answer = await fleet.ask("triton_inference_concurrency")
        assert name in answer["message"], answer
        await blind
        assert name in (await fleet.ask("triton_inference_concurrency"))["message"]
        server.resume()
        assert await fleet.until_value(0.0) >= at_freeze, "it thawed, and the total fell below what it was"
        await fleet.hpa.syncs(3)
    finally:
        server.resume()
        running.cancel()


async def _errors(fleet: Fleet) -> int:
    """How often the HPA got no answer, so far."""
    return (await fleet.control_plane.hpa_syncs()).get("internal", 0)
