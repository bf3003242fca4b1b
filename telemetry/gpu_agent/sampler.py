"""Asks NVML and the kubelet for one look at the node. Whatever hangs or fails becomes a problem of the look."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from telemetry.gpu_agent.deadline_thread import DeadlineThread, HangsError
from telemetry.gpu_agent.devices import Gpu
from telemetry.gpu_agent.nvml import GpuReading, Nvml, NvmlRefusedError
from telemetry.gpu_agent.pod_resources import PodResources
from telemetry.gpu_agent.problems import Problem
from telemetry.gpu_agent.snapshot import FromKubelet, FromNvml, Snapshot, Xid, take_snapshot
from telemetry.gpu_agent.xid_watch import XidWatch

_SECONDS: Final = 2.0
"""For one GPU, and for opening NVML. The first opening may take longer, where nothing keeps the GPUs initialised: it goes on, and
a later look finds it done."""
_LOOKS_BETWEEN_OPENINGS: Final = 12
"""While a GPU is missing: NVML sees one that was reset only after it was opened anew, and misses errors meanwhile."""
_MISSING: Final = frozenset({"gpu_lost", "gpu_needs_reset", "no_gpu", "no_driver", "driver_mismatch"})


class Sampler:
    """`pod_resources` None: owners are not asked for."""

    def __init__(self, nvml: Nvml, pod_resources: PodResources | None) -> None:
        self._nvml = nvml
        self._pod_resources = pod_resources
        self._main = DeadlineThread("nvml")
        self._threads: list[DeadlineThread] = []
        """One a GPU: one that hangs leaves the others readable, as far as the driver does."""
        self._watch: XidWatch | None = None
        self._counted: Counter[Xid] = Counter()
        """XIDs that no snapshot has yet."""
        self._looks_missing = 0

    async def look(self, before: Snapshot) -> Snapshot:
        """The snapshot after `before`; within about 5 s."""
        async with asyncio.TaskGroup() as group:
            nvml = group.create_task(self._ask_nvml())
            kubelet = group.create_task(self._ask_kubelet())
        snapshot = take_snapshot(before, nvml.result(), kubelet.result())
        await self._reopen_for_missing(snapshot)
        return snapshot

    async def _ask_kubelet(self) -> FromKubelet:
        return FromKubelet() if self._pod_resources is None else await self._pod_resources.read()

    async def _ask_nvml(self) -> FromNvml:
        try:
            count = await self._main.call(self._nvml.count, seconds=_SECONDS)
        except HangsError as error:
            return FromNvml(problems=[Problem("nvml_hangs", detail=f"opening NVML: {error}")], answers=False)
        except NvmlRefusedError as error:
            return FromNvml(problems=[error.problem], answers=False)
        self._threads += [DeadlineThread(f"gpu-{number}") for number in range(len(self._threads), count)]
        answers = await asyncio.gather(*(self._ask_gpu(index) for index in range(count)))
        problems: list[Problem] = []
        gpus: list[Gpu] = []
        for answer in answers:
            if isinstance(answer, Problem):
                problems.append(answer)
            else:
                gpus.append(answer.gpu)
                problems += answer.problems
        xids, watched = self._take_xids(count)
        return FromNvml(gpus, problems, xids=xids, watched=watched)

    def _take_xids(self, count: int) -> tuple[Mapping[Xid, int], frozenset[int]]:
        """Since the look before. A watch that ended is begun again, without the GPUs that it cannot have."""
        watched: frozenset[int] = frozenset()
        if self._watch is not None:
            ended = self._watch.ended  # asked first: after it nothing is counted any more
            counted, watched = self._watch.take()
            self._counted.update(counted)
            if ended:
                self._watch = None
        if self._watch is None and count:
            self._watch = XidWatch(count)
        counted, self._counted = self._counted, Counter()
        return counted, watched

    async def _ask_gpu(self, index: int) -> GpuReading | Problem:
        read: Callable[[], GpuReading] = lambda: self._nvml.read(index)  # noqa: E731
        try:
            return await self._threads[index].call(read, seconds=_SECONDS)
        except HangsError as error:
            return Problem("nvml_hangs", str(index), str(error))
        except NvmlRefusedError as error:
            return error.problem

    async def _reopen_for_missing(self, snapshot: Snapshot) -> None:
        self._looks_missing = self._looks_missing + 1 if _is_missing(snapshot) else 0
        hangs = any(problem.kind == "nvml_hangs" for problem in snapshot.problems)
        if self._looks_missing % _LOOKS_BETWEEN_OPENINGS or not self._looks_missing or hangs:
            return
        with suppress(HangsError):  # which the next look tells; it also takes what a watch counted that ended
            await self._main.call(lambda: self._close(self._watch), seconds=2 * _SECONDS)

    def _close(self, watch: XidWatch | None) -> None:
        if watch is None or watch.stop():
            self._nvml.close()


def _is_missing(snapshot: Snapshot) -> bool:
    """Whether a GPU does not answer that might when NVML is opened anew: some drivers call a lost one an unknown error."""
    answered = {str(gpu.index) for gpu in snapshot.gpus}
    return any(
        problem.kind in _MISSING
        or (problem.kind == "nvml_error" and problem.gpu != "" and problem.gpu not in answered)
        for problem in snapshot.problems
    )


def changes(before: Sequence[Problem], after: Sequence[Problem]) -> tuple[list[Problem], list[Problem]]:
    """Problems that began and that ended, by kind and GPU."""
    old, new = ({(problem.kind, problem.gpu): problem for problem in each} for each in (before, after))
    return [new[key] for key in new if key not in old], [old[key] for key in old if key not in new]
