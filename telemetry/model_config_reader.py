"""Models' configurations, read from each pod's HTTP port once for each model that it shows."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import aiohttp
import structlog

from telemetry.http_body import Pages, say_failure
from telemetry.kept_pods import KeptPod
from telemetry.model_config import parse_model_config
from telemetry.window import SUCCESS, PodWindow

_MAX_CONFIG_BYTES: Final = 4 * 2**20
_MAX_CONFIGS_AT_ONCE: Final = 64

log = structlog.get_logger(__name__)


class ModelConfigReader:
    """`timeout`: seconds for all that is asked of one pod at a time. `interval`: seconds, after twice which a pod that did not
    answer is asked again, and then more and more rarely, up to sixteen."""

    def __init__(self, pages: Pages, clock: Callable[[], float], *, interval: float, timeout: float) -> None:
        self._pages = pages
        self._clock = clock
        self._interval = interval
        self._timeout = timeout

    async def read_new(self, kept: KeptPod, windows: Mapping[float, PodWindow]) -> None:
        """Reads the configuration of models that are shown and not known yet; one that cannot be read stays unknown and is
        tried again, more and more rarely."""
        target = kept.target
        served = {
            key.model
            for window in windows.values()
            for key, row in window.rows.items()
            if key.model and SUCCESS in row.increase
        }
        for model in kept.models.keys() - served:
            del kept.models[model]
        missing = sorted(served - kept.models.keys())[:_MAX_CONFIGS_AT_ONCE]
        if not missing or target.http_url is None or self._clock() < kept.configs_due:
            return
        failures: dict[str, str] = {}
        try:
            async with asyncio.timeout(self._timeout):
                for model in missing:
                    url = f"{target.http_url}/v2/models/{quote(model, safe='')}/config"
                    try:
                        body = await self._pages.read(url, _MAX_CONFIG_BYTES)
                        kept.models[model] = parse_model_config(body)
                    except (aiohttp.ClientError, OSError, ValueError) as error:
                        failures[model[:100]] = say_failure(error)
        except TimeoutError as error:
            failures[missing[-1][:100]] = say_failure(error)
        kept.config_failures = kept.config_failures + 1 if failures else 0
        if failures:
            wait = self._interval * 2 ** min(kept.config_failures, 4)
            kept.configs_due = self._clock() + wait
            log.warning("model_config_unreadable", pod=target.key.pod, url=target.http_url, failures=failures)
