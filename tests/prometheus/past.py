"""The real Prometheus asked as if it were some other time."""

from collections.abc import Callable
from typing import Any

from telemetry.prometheus import PrometheusError, PrometheusSource
from telemetry.prometheus_vector import Vector


class PastPrometheus(PrometheusSource):
    """Its present is `now`, in seconds since 1970."""

    now = 0.0
    away = False

    async def vector(self, promql: str, at: float | None, read: Callable[[Vector], Any], **more: Any) -> Any:
        if self.away:
            raise PrometheusError("unreachable", "it is away", "wait")
        return await super().vector(promql, self.now if at is None else at, read, **more)
