"""One change, and between which times it was made."""

from dataclasses import dataclass

from triage.latency.kinds import ChangeKind


@dataclass(frozen=True, slots=True)
class Change:
    at: float
    """Seconds since 1970. It surely lies between `earliest` and `at`."""
    earliest: float
    kind: ChangeKind
    what: str
    evidence: tuple[str, ...]
    model: str = ""
    pods: tuple[str, ...] = ()
    revision: str = ""
    ended: float | None = None
    """When that was over which takes time, such as a load; it began at `at`."""

    @property
    def latest(self) -> float:
        """The last moment at which it went on."""
        return self.at if self.ended is None else self.ended
