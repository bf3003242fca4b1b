"""A proxy before a Prometheus that counts what is asked of it, and changes nothing."""

import aiohttp.web

from bench.triage.proxy import Manner


class Counting(Manner):
    """For `bench.triage.proxy.proxy`."""

    def __init__(self) -> None:
        self.queries = 0

    def seconds(self, request: aiohttp.web.Request, body: bytes) -> float:
        self.queries += 1
        return 0.0
