"""What all HPAs of a control plane say of their metric, by watch: the moment at which each change stood in a status."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import Object
from tests.e2e.fleet import milli


class StatusWatch:
    """An async context manager. One HPA in each namespace, of one external metric with a target of AverageValue."""

    def __init__(self, control_plane: ControlPlane) -> None:
        self._api = control_plane.api
        self._newest: dict[str, tuple[float, float]] = {}
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    async def until(self, namespace: str, reached: Callable[[float], bool], *, seconds: float) -> float:
        """The monotonic second at which `currentMetrics` showed such a value; at once if it does so now. TimeoutError says what it
        shows instead."""

        def now() -> bool:
            return namespace in self._newest and reached(self._newest[namespace][1])

        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(now)
        except TimeoutError:
            shown = self._newest.get(namespace, ("never", "nothing"))[1]
            raise TimeoutError(f"{namespace}: the HPA shows {shown} after {seconds:g} s") from None
        return self._newest[namespace][0]

    async def _watch(self) -> None:
        async for event, hpa in self._api.watch("autoscaling/v2", "HorizontalPodAutoscaler"):
            value = _value(hpa)
            if event == "DELETED" or value is None:
                continue
            namespace = hpa["metadata"]["namespace"]
            if value != self._newest.get(namespace, (0.0, None))[1]:
                self._newest[namespace] = (time.monotonic(), value)
            async with self._changed:
                self._changed.notify_all()


def _value(hpa: Object) -> float | None:
    """The total: there is one replica."""
    for metric in hpa.get("status", {}).get("currentMetrics") or []:
        shown = metric.get("external", {}).get("current", {}).get("averageValue")
        if shown is not None:
            return milli(shown) / 1000
    return None
