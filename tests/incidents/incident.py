"""A latency incident as its author knows it: what runs, what users send, what happens at the onset, and what proves it."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from tests.incidents.autoscaler import Autoscaler
from tests.incidents.cluster import Template
from tests.incidents.evidence import Check, Evidence
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.traffic import Stream
from tests.incidents.world import EXPLICIT, World

Act = Callable[[World, float], Coroutine[Any, Any, None]]
"""Done to the world from the onset on; gets the seconds that the incident lasts, and is ended with it."""
Proof = Callable[[Evidence], list[Check]]


SUMMARY_SECONDS = 62.0
"""A settling of so many: what was slow at first is in Triton's summaries for a minute."""


@dataclass(frozen=True)
class RealIncident:
    id: str
    label: str
    """A leaf of the p99 tree."""
    about: str
    """One sentence: what happens, as its author knows it."""
    proof: Proof
    calm: tuple[Stream, ...]
    models: tuple[Model, ...] = (Model(),)
    pods: tuple[Pod, ...] = (Pod("node-a"), Pod("node-b"))
    during: tuple[Stream, ...] = ()
    """What users send from the onset on; empty: what they sent before."""
    act: Act | None = None
    arguments: tuple[str, ...] = ()
    """Of every server."""
    connections: int = 0
    """The gateway's to each server; 0: as many as it takes."""
    control: tuple[str, ...] = EXPLICIT
    """How the servers' models are loaded."""
    needs_control_groups: bool = False
    page_names: str = ""
    """The model that the page names, for which it is asked; empty: none."""
    settles: float = 2.0
    """Seconds of calm before anybody looks: the first requests pay for connections and first executions."""
    felt: Callable[[Evidence], float] | None = None
    """When users began to feel it, in seconds since 1970, where that is later than the cause."""
    lasts: float = 60.0
    """Seconds that it needs to show itself."""
    autoscaler: Autoscaler | None = None
    """Needs a cluster."""
    template: Template = field(default_factory=Template)
    """What the Deployment says of the pods, where there is a cluster."""

    def __str__(self) -> str:
        return self.id
