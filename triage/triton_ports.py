"""At which ports of its pod a Triton answers, by its container's specification. Pure."""

import re
from collections.abc import Iterable

from triage.evidence import ContainerView

HTTP_PORT, GRPC_PORT, METRICS_PORT = 8000, 8001, 8002
"""Triton's own (triton-inference-server/server: src/command_line_parser.h)."""
PORTS = frozenset({HTTP_PORT, GRPC_PORT, METRICS_PORT})


def http_port(container: ContainerView) -> int:
    """By Triton's own argument, which decides; else by the port's name; else Triton's default."""
    return http_port_of([*container.command, *container.args], container.ports)


def http_port_of(words: Iterable[str], ports: Iterable[tuple[str, int]]) -> int:
    """By the words of a container's command line, and its ports with their names."""
    return _port(words, ports, "--http-port", ("http", "http-triton", "http1"), HTTP_PORT)


def metrics_port(container: ContainerView) -> int:
    words = [*container.command, *container.args]
    return _port(words, container.ports, "--metrics-port", ("metrics", "http-metrics"), METRICS_PORT)


def _port(
    words: Iterable[str],
    ports: Iterable[tuple[str, int]],
    option: str,
    names: tuple[str, ...],
    default: int,
) -> int:
    if given := re.search(rf"{option}[=\s]+(\d{{1,5}})\b", " ".join(words)):
        return int(given[1])
    return next((number for name, number in ports if name in names), default)
