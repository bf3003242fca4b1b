"""One pod's Triton as its two ports show it, without a server behind them: counters that are the integral of a known load.

The families, labels and units are those of Triton's own page (docs/user_guide/metrics.md of triton-inference-server/server).
A fleet of them costs next to nothing, and what is true of each is known at every moment, which no real server tells."""

import asyncio
import time
from types import TracebackType
from typing import Final, Self

from aiohttp import web

MODEL: Final = "slow"
SERVICE_SECONDS: Final = 0.1
WAITING: Final = 0.25
"""The share of a load that waits in the queue; the rest is being computed."""
METRICS_PORT: Final = 8002
HTTP_PORT: Final = 8000
_LABELS: Final = f'{{model="{MODEL}",version="1"}}'


class SyntheticTriton:
    """An async context manager on `address` and Triton's usual ports.

    `load` is how many requests are in it, waiting and being computed: the truth. Each takes SERVICE_SECONDS to compute."""

    def __init__(self, address: str, *, loading: bool = False) -> None:
        self.address = address
        self.loading = loading
        """Its one model is not loaded: the page shows the server's own families alone."""
        self.refused = 0
        """Scrapes that got no answer while it was mute."""
        self._speaks = asyncio.Event()
        self._speaks.set()
        self._load = 0.0
        self._frozen = False  # a frozen server's requests stay in it, and complete nothing
        self._completed = self._waited_us = self._computed_us = 0.0
        self._at = time.monotonic()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/v2/models/{model}/config", self._config)
        app.router.add_post("/v2/repository/index", self._index)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        try:
            for port in (METRICS_PORT, HTTP_PORT):
                await web.TCPSite(self._runner, self.address, port, reuse_address=True).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._speaks.set()
        await self._runner.cleanup()

    @property
    def load(self) -> float:
        return self._load

    @load.setter
    def load(self, requests: float) -> None:
        self._advance()
        if requests < self._load and not self._frozen:
            self._completed += max(1.0, self._load - requests)  # those that leave were answered
        self._load = requests

    def mute(self) -> None:
        """It accepts connections and answers none, and serves its requests as before."""
        self._speaks.clear()

    def freeze(self) -> None:
        """As by SIGSTOP: it answers nothing and completes nothing; the requests stay in it."""
        self._advance()
        self._frozen = True
        self._speaks.clear()

    def recover(self) -> None:
        """From either."""
        self._advance()
        self._frozen = False
        self._speaks.set()

    def restart(self) -> None:
        """Its process begins anew in the same pod: counters from zero."""
        self._advance()
        self._completed = self._waited_us = self._computed_us = 0.0

    def page(self) -> str:
        """What it shows now."""
        self._advance()
        lines = [
            "# TYPE nv_pinned_memory_pool_total_bytes gauge",
            "nv_pinned_memory_pool_total_bytes 268435456",
            "# TYPE nv_cpu_utilization gauge",
            "nv_cpu_utilization 0.5",
        ]
        if not self.loading:
            for family, value in self._counters().items():
                lines += [f"# TYPE {family} counter", f"{family}{_LABELS} {value:.0f}"]
            family = "nv_inference_pending_request_count"
            lines += [f"# TYPE {family} gauge", f"{family}{_LABELS} {self._load * WAITING:.3f}"]
        return "\n".join(lines) + "\n"

    def _counters(self) -> dict[str, float]:
        done = self._completed
        return {
            "nv_inference_request_success": done,
            "nv_inference_count": done,
            "nv_inference_exec_count": done,
            "nv_inference_request_duration_us": self._waited_us + self._computed_us,
            "nv_inference_queue_duration_us": self._waited_us,
            "nv_inference_compute_input_duration_us": 0.0,
            "nv_inference_compute_infer_duration_us": self._computed_us,
            "nv_inference_compute_output_duration_us": 0.0,
        }

    def _advance(self) -> None:
        now = time.monotonic()
        seconds, self._at = now - self._at, now
        if self._frozen:
            return
        computing = self._load * (1 - WAITING)
        self._completed += computing * seconds / SERVICE_SECONDS
        self._computed_us += computing * seconds * 1e6
        self._waited_us += self._load * WAITING * seconds * 1e6

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._until_it_speaks()
        return web.Response(text=self.page())

    async def _config(self, request: web.Request) -> web.Response:
        await self._until_it_speaks()
        if self.loading or request.match_info["model"] != MODEL:
            return web.json_response({"error": "Request for unknown model"}, status=400)
        return web.json_response({"name": MODEL, "model_transaction_policy": {"decoupled": False}})

    async def _index(self, request: web.Request) -> web.Response:
        await self._until_it_speaks()
        state = "LOADING" if self.loading else "READY"
        return web.json_response([{"name": MODEL, "version": "1", "state": state}])

    async def _until_it_speaks(self) -> None:
        if not self._speaks.is_set():
            self.refused += 1
            await self._speaks.wait()
