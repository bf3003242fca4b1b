"""A discrete-event model of one Triton: its models, and ensembles of them, whose steps run one after the other."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fleetsim.language_model import LanguageModel
from tests.fleetsim.loop import Loop
from tests.fleetsim.models import Model, Request
from tests.fleetsim.scheduled_model import ScheduledModel
from tests.fleetsim.surroundings import OK, Host


@dataclass
class Server:
    """The models of one process. `answer` ends a request."""

    loop: Loop
    rng: random.Random
    host: Host = field(default_factory=Host)
    models: dict[str, ScheduledModel | LanguageModel] = field(default_factory=dict)
    alive: bool = True

    def reload(self, model: Model) -> None:
        """A reload in place keeps the counters; what the old one had, it ends."""
        counters = self.models[model.name].counters
        self.load(model)
        self.models[model.name].counters = counters

    def load(self, model: Model) -> None:
        """A reload under the same name keeps nothing: as an unload and a load do."""
        self.models[model.name] = (
            LanguageModel(model, self) if model.llm_tokens else ScheduledModel(model, self)
        )

    def enqueue(self, request: Request) -> None:
        if not self.alive:
            return
        loaded = self.models[request.model]
        if loaded.model.parts and isinstance(loaded, ScheduledModel):
            _Pipeline(self, loaded, request).step()
        else:
            loaded.enqueue(request)

    def answer(self, request: Request, status: int) -> None:
        done, request.done = request.done, None
        if callable(done) and self.alive:
            done(status)


class _Pipeline:
    """One request of an ensemble. Its queue counts nothing, its compute is the steps' sum, its time is the clock's."""

    def __init__(self, server: Server, ensemble: ScheduledModel, request: Request) -> None:
        self._server, self._ensemble, self._request = server, ensemble, request
        self._steps = list(ensemble.model.parts)
        self._times: Sequence[float] = (0.0, 0.0, 0.0)
        self._part: Request | None = None
        request.entered = server.loop.now

    def step(self) -> None:
        part = Request(self._steps.pop(0))
        part.weight, part.items, part.bytes = self._request.weight, self._request.items, self._request.bytes
        part.done = self._done
        self._part = part
        self._server.enqueue(part)

    def _done(self, status: int) -> None:
        now, counters = self._server.loop.now, self._ensemble.counters
        whole = (now - self._request.entered) * 1000 + self._server.host.overhead_ms
        if status != OK:
            counters.failed("OTHER", whole)
            self._server.answer(self._request, status)
            return
        if self._part is not None and self._part.times is not None:
            self._times = [mine + its for mine, its in zip(self._times, self._part.times, strict=True)]
        if self._steps:
            self.step()
            return
        counters.executed(self._request.items, (0.0, 0.0, 0.0))
        counters.succeeded(now, whole, 0.0, self._times)
        self._server.answer(self._request, OK)
