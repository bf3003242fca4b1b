"""A metrics endpoint that misbehaves in every way that a pod, a proxy before it, or somebody hostile might."""

import asyncio
import gzip
import random
from collections.abc import Callable

from aiohttp import web

_BOMB = gzip.compress(b"\0" * 50_000_000, 1)
_ENDLESS_BYTES = 30_000_000


class HostileTriton:
    """Every page is drawn anew; about every third one is right."""

    def __init__(self, drawn: random.Random) -> None:
        self._drawn = drawn
        self.served = 0
        self._done = 0.0
        self._odd: tuple[Callable[[web.Request], object], ...] = (
            lambda _: web.Response(text=self._page(drawn.choice(("NaN", "Nan", "+Inf", "-1", "1e400", "0x1", "")))),
            lambda _: web.Response(text=self._page("5") + self._page("7")),
            lambda _: web.Response(text=self._page("0")),
            lambda _: web.Response(body=drawn.randbytes(drawn.randrange(5000))),
            lambda _: web.Response(text=self._page("3")[: drawn.randrange(200)]),
            lambda _: web.Response(text=self._many()),
            lambda _: web.Response(status=drawn.choice((204, 301, 404, 500, 503)), headers={"Location": "/metrics"}),
            lambda _: web.Response(body=_BOMB, headers={"Content-Encoding": "gzip"}),
        )  # fmt: skip

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        self.served += 1
        match self._drawn.randrange(9):
            case 0 | 1 | 2:
                self._done += self._drawn.randrange(5)
                return web.Response(text=self._page(f"{self._done:g}"))
            case 3:
                await asyncio.sleep(self._drawn.uniform(0, 1))
                return web.Response(text=self._page(f"{self._done:g}"))
            case 4:
                return await self._stream(request, length=None)
            case 5:
                return await self._stream(request, length=10_000)
            case _:
                answer = self._drawn.choice(self._odd)(request)
                assert isinstance(answer, web.StreamResponse)
                return answer

    async def _stream(self, request: web.Request, length: int | None) -> web.StreamResponse:
        """Endless where no length is told; else half of what was told, and then nothing."""
        response = web.StreamResponse()
        if length is not None:
            response.content_length = length
        try:
            await response.prepare(request)
            if length is not None:
                await response.write(b"a" * (length // 2))
            else:
                for _ in range(_ENDLESS_BYTES // 100_000):
                    await response.write(b"# " + b"a" * 99_997 + b"\n")
        except ConnectionError:
            return response
        if request.transport is not None:
            request.transport.close()
        return response

    def _page(self, value: str) -> str:
        model = self._drawn.choice(("m", "org/name:v2", "org_name_v2", "x" * 200, '\\n\\\\\\"', "é\u202e"))
        families = ("success", "failure", "queue_duration_us", "compute_infer_duration_us")
        labels = f'{{model="{model}",version="1"}}'
        lines = [f"nv_inference_request_{family}{labels} {value}" for family in families]
        return "\n".join([*lines, f"nv_inference_pending_request_count{labels} 0", ""])

    def _many(self) -> str:
        return "".join(
            f'nv_inference_request_success{{model="m{number}",version="1"}} {number}\n'
            for number in range(self._drawn.choice((10, 1999, 2001, 20_000)))
        )
