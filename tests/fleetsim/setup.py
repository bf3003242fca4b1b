"""A fleet as it is before anything happens to it: its pods, its users, its gateway."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.fleetsim.autoscaling import AutoscalerSettings
from tests.fleetsim.gateway import GatewaySettings
from tests.fleetsim.models import Model, Request

if TYPE_CHECKING:
    from tests.fleetsim.fleet import Fleet


@dataclass(frozen=True)
class Template:
    """What a revision's pods are made of."""

    models: tuple[Model, ...]
    load_seconds: float = 30.0
    gpus: int = 0
    cpu_limit: float | None = None
    memory_limit: float = 8e9
    http_threads: int = 8
    http_thread_ms: float = 0.05
    slowness: float = 1.0
    copying: float = 1.0


@dataclass
class Stream:
    """Requests of one kind of user."""

    model: str
    rate: Callable[[float], float]
    """Requests (or bursts) a second at a moment."""
    shape: Callable[[Request, random.Random], None] = lambda request, rng: None
    burst: int = 1
    """Requests at once."""
    direct: bool = False
    """Straight to the pods, past the gateway."""
    caller: str = ""
    """The workload that sends, where the gateway knows it."""
    constant: bool = False
    """At even distances, as load generators send; people come at random."""


@dataclass(frozen=True)
class Setup:
    """A fleet as it is before anything happens to it."""

    seed: int
    end: float
    window: float
    onset: float
    template: Template
    model: str
    """The one that is asked about."""
    pods: int
    nodes: int
    node_cores: float
    rate: float
    """Requests a second of the whole fleet in an ordinary hour."""
    gateway: GatewaySettings
    autoscaler: AutoscalerSettings | None = None
    summaries: bool = True
    swing: float = 0.2
    """Of the daily shape."""
    peak_at: float = 0.0
    capture_seconds: float = 60.0
    users: Callable[["Fleet"], list[Stream]] | None = None
    shape: Callable[[Request, random.Random], None] = lambda request, rng: None
    warm_up_seconds: float = 180.0
    """Simulated before the window, so that it begins in the middle of ordinary life."""
