"""Runs one incident on real servers and keeps everything: a folder that says what happened, and what could be seen of it."""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp

from tests.controlplane.build_tools import Tools
from tests.incidents.autoscaler import autoscaling
from tests.incidents.cgroup import control_groups_permitted
from tests.incidents.client import Client, now
from tests.incidents.cluster import Cluster
from tests.incidents.evidence import Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.observer import Observer, record_pages
from tests.incidents.traffic import schedule
from tests.incidents.world import World
from tests.tritons.install import TritonInstall


class CannotRunIncident(Exception):
    """This machine cannot show the incident; the message says what it lacks."""


async def run_incident(
    incident: RealIncident,
    install: TritonInstall,
    folder: Path,
    *,
    baseline_seconds: float = 90.0,
    incident_seconds: float | None = None,
    observer: Observer = record_pages,
    seed: int = 1,
    control_plane: Tools | None = None,
) -> tuple[Evidence, dict[str, Any]]:
    """The evidence, and `result.json` as a dictionary; `incident_seconds` None: as long as it needs.

    With the programs of a control plane the pods stand in a cluster."""
    if incident.needs_control_groups and not control_groups_permitted():
        raise CannotRunIncident(f"{incident.id}: needs control groups of version 1 that this user may make")
    if incident.autoscaler is not None and control_plane is None:
        raise CannotRunIncident(f"{incident.id}: needs a control plane (--triage)")
    seconds = incident.lasts if incident_seconds is None else incident_seconds
    folder.mkdir(parents=True)  # noqa: ASYNC240 - nothing runs yet
    async with AsyncExitStack() as stack:
        cluster = None
        if control_plane is not None:
            cluster = Cluster(control_plane, folder, len(incident.pods), incident.template)
            await stack.enter_async_context(cluster)
        world = World(
            install,
            folder,
            models=incident.models,
            pods=incident.pods,
            arguments=incident.arguments,
            connections=incident.connections,
            control=incident.control,
            cluster=cluster,
        )
        await stack.enter_async_context(world)
        if incident.autoscaler is not None:
            await stack.enter_async_context(autoscaling(world, incident.autoscaler))
        client = Client(world.gateway.url)
        name = f"{incident.id}/{seed}"
        await client.send(schedule(incident.calm, incident.settles, seed=f"{name}/settle"), start=now())
        client.answers.clear()
        async with observer(world):
            (folder / "configurations.json").write_text(json.dumps(await _configurations(world)))
            await asyncio.sleep(1.0)  # so that a page is older than the first request
            start = now()
            before = Phase(start, start + baseline_seconds)
            during = Phase(before.end, before.end + seconds)
            calm = schedule(incident.calm, baseline_seconds, seed=f"{name}/calm")
            then = schedule(incident.during or incident.calm, seconds, seed=f"{name}/during")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(client.send(calm, start=before.start))
                tasks.create_task(client.send(then, start=during.start))
                statistics = [await _at(during.start, world)]
                await _act(incident, world, during)
                statistics.append(await _at(during.end, world))
            await asyncio.sleep(1.5)
        executions = tuple(world.executions())
        pods = [*world.pods.values(), *world.ended]
        placements = [
            {
                "pod": each.name,
                "node": each.plan.node,
                "started_at": each.started_at,
                "ended": each in world.ended,
            }
            for each in pods
        ]
    evidence = Evidence(
        folder=folder,
        baseline=before,
        incident=during,
        answers=tuple(client.answers),
        executions=executions,
        notes=tuple(world.notes),
        statistics=tuple(statistics),
        onset=during.start,
    )
    (folder / "placements.json").write_text(json.dumps(placements, indent=1))
    (folder / "statistics.json").write_text(json.dumps(statistics))
    (folder / "client.jsonl").write_text("".join(json.dumps(asdict(each)) + "\n" for each in client.answers))
    # Pages are read and searched line by line: seconds of work, and the loop has nothing else to do any more.
    result = _result(incident, evidence)
    (folder / "result.json").write_text(json.dumps(result, indent=1))
    return evidence, result


async def _act(incident: RealIncident, world: World, during: Phase) -> None:
    if incident.act is None:
        return
    acting = asyncio.create_task(incident.act(world, during.seconds))
    done, _ = await asyncio.wait([acting], timeout=max(0.0, during.end - now()))
    if done:
        await acting
        return
    acting.cancel()
    await asyncio.gather(acting, return_exceptions=True)


async def _at(moment: float, world: World) -> dict[str, Any]:
    await asyncio.sleep(max(0.0, moment - now()))
    return await world.statistics()


async def _configurations(world: World) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pod, server in world.pods.items():
        try:
            found[pod] = {
                name: await server.call("GET", f"/v2/models/{name}/config") for name in world.models
            }
        except (aiohttp.ClientError, TimeoutError):
            found[pod] = None
    return found


def _result(incident: RealIncident, evidence: Evidence) -> dict[str, Any]:
    began = time.monotonic()
    checks = incident.proof(evidence)
    phases = {"baseline": evidence.baseline, "incident": evidence.incident}
    return {
        "id": incident.id,
        "label": incident.label,
        "about": incident.about,
        "onset": incident.felt(evidence) if incident.felt else evidence.onset,
        **{
            name: {
                "start": phase.start,
                "end": phase.end,
                "requests": len(evidence.sent(phase)),
                "p50_ms": _rounded(evidence.latency_ms(phase, 0.5)),
                "p99_ms": _rounded(evidence.latency_ms(phase, 0.99)),
                "error_share": _rounded(evidence.error_share(phase)),
            }
            for name, phase in phases.items()
        },
        "proven": all(check.holds for check in checks),
        "checks": [asdict(check) | {"measured": _rounded(check.measured)} for check in checks],
        "notes": [asdict(note) for note in evidence.notes],
        "proof_seconds": _rounded(time.monotonic() - began),
    }


def _rounded(value: float) -> float | None:
    """None for what could not be measured."""
    return round(value, 4) if value == value else None
