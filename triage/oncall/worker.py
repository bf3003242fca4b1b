"""A triage in a process of its own: `python -m triage.oncall.worker`, a `Job` on stdin, lines of `Said` on stdout.

A process of its own, because reading and judging a large fleet is seconds of work that would hold up the service's loop, and so
that what goes wrong in one triage ends that triage and no other."""

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir
from triage.bundle import BundleError, save_bundle
from triage.collect import SoFar
from triage.evidence import Snapshot
from triage.latency.look import LatencySources, access_from, look_at_latency
from triage.latency.rules import TREE, LatencyRules, latency_rules_from_folder
from triage.look import Sources, look
from triage.oncall.job import FIRST_LINE_SECONDS, Job, ReadSource, Said
from triage.oncall.shorten import shorten
from triage.report_of import report_of
from triage.rules import Rules, rules_from_folder, seals_from_folder
from triage.seal import Seal

_PROGRESS_SECONDS = 1.0
AnyRules = Rules | LatencyRules


def main() -> int:
    gc.disable()  # it ends in seconds; millions of numbers would be searched for cycles that they cannot make
    try:
        job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
        folder = Path(job.rules) if job.rules else rules_dir()
        rules: AnyRules
        if job.tree == TREE:
            rules = latency_rules_from_folder(folder)
        else:
            rules = rules_from_folder(folder, job.tree, decided=not job.rules)
        make_seal = seals_from_folder(folder)
    except (msgspec.DecodeError, InvalidFileError, FileNotFoundError) as error:
        _say(Said(kind="failed", why=str(error)))
        return 2
    so_far = SoFar()
    loop = asyncio.new_event_loop()  # `asyncio.run` would wait for threads too
    try:
        snapshot = loop.run_until_complete(_looked(_looking(job, rules, make_seal, so_far), so_far, rules))
    except ValueError as error:  # of an address or a target that is none
        _say(Said(kind="failed", why=str(error)))
        return 2
    finally:
        loop.close()
    kept, why = _kept(job, snapshot, rules)
    _say(
        Said(
            kind="report",
            answered=_answered(snapshot),
            report=shorten(report_of(snapshot, rules)),
            read=_read(snapshot),
            kept=kept,
            why=why,
        )
    )
    return 0


def _looking(
    job: Job, rules: AnyRules, make_seal: Callable[[], Seal], so_far: SoFar
) -> Coroutine[Any, Any, Snapshot]:
    kubeconfig, context = job.kubeconfig or None, job.context or None
    if isinstance(rules, LatencyRules):
        words = job.prometheus
        headers = [f"{name}: {value}" for name, value in words.headers.items()] if words else []
        asked = LatencySources(
            start=job.start,
            end=job.end,
            prometheus=words.url if words else "",
            access=access_from(
                words.token_file if words else None, words.ca_file if words else None, headers
            ),
            tritons=job.tritons,
            metrics=job.metrics,
            capture_seconds=job.capture_seconds,
            target=job.target,
            namespace=job.namespace,
            kubeconfig=kubeconfig,
            context=context,
            services=words.services if words else (),
        )
        return look_at_latency(asked, job.model, rules, make_seal, so_far)
    triton = job.tritons[0] if job.tritons else None
    given = Sources(
        triton=triton,
        target=job.target,
        namespace=job.namespace,
        kubeconfig=kubeconfig,
        context=context,
        through_api=False,  # whoever may ask so may send requests to every port: no right for a service
    )
    return look(given, job.model, rules, make_seal, so_far)


async def _looked(looking: Coroutine[Any, Any, Snapshot], so_far: SoFar, rules: AnyRules) -> Snapshot:
    """Says how it goes, and once what the report would be so far, until all has answered."""
    task = asyncio.ensure_future(looking)
    clock = asyncio.get_running_loop().time
    began, told, answered = clock(), False, -1
    while True:
        until_first = began + FIRST_LINE_SECONDS - clock()
        pause = min(_PROGRESS_SECONDS, until_first) if until_first > 0 else _PROGRESS_SECONDS
        done, _ = await asyncio.wait([task], timeout=pause)
        if done:
            return task.result()
        if so_far.snapshot is None:
            continue
        snapshot = so_far.snapshot()
        if _answered(snapshot) != answered:
            answered = _answered(snapshot)
            _say(Said(kind="progress", answered=answered))
        if not told and answered and clock() - began >= FIRST_LINE_SECONDS:
            told = True
            report = await asyncio.to_thread(report_of, snapshot, rules)
            if not task.done():
                _say(Said(kind="preliminary", answered=answered, report=shorten(report)))


def _answered(snapshot: Snapshot) -> int:
    return sum(1 for evidence in snapshot.evidence if evidence.facts is not None)


def _kept(job: Job, snapshot: Snapshot, rules: AnyRules) -> tuple[str, str]:
    """The bundle's file, or why there is none."""
    if not job.bundle:
        return "", ""
    file = Path(job.bundle)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        save_bundle(file, snapshot, rules)
    except (BundleError, OSError) as error:
        return "", str(error)
    return job.bundle, ""


def _read(snapshot: Snapshot) -> tuple[ReadSource, ...]:
    return tuple(
        ReadSource(
            source=each.source,
            query=each.query,
            fetched_at=each.fetched_at,
            sha256=each.sha256,
            masked=each.masked,
            missing=each.missing.reason if each.missing else "",
            probe=each.probe,
        )
        for each in snapshot.evidence
    )


def _say(said: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # A thread may wait for a name server that never answers; the interpreter would wait for the thread.
    os._exit(code)
