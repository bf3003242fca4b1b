"""The service's own log, sealed: what a child complains of, or a peer answers, may have a secret in it."""

from collections.abc import Callable, Mapping
from typing import Any

from structlog.typing import EventDict, Processor, WrappedLogger

from triage.seal import Seal


def sealed(make_seal: Callable[[], Seal]) -> Processor:
    """A processor of structlog."""

    def seal(_logger: WrappedLogger, _method: str, event: EventDict) -> Mapping[str, Any]:
        with_one = make_seal()
        return {name: _sealed(with_one, value) for name, value in event.items()}

    return seal


def _sealed(seal: Seal, value: Any) -> Any:
    try:
        return seal.value(value)
    except TypeError:  # no data, such as a path or an error
        return seal.value(str(value))
