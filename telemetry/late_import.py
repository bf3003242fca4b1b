"""Modules that take long to import, for threads that import them when they are first needed."""

import threading
from importlib import import_module
from types import ModuleType

_ONE_AT_A_TIME = threading.Lock()


def import_late(name: str) -> ModuleType:
    """The module. Two threads that at once import what has a circle in it may wait for each other; Python then shows one of them
    half of a module (importlib._bootstrap, _DeadlockError). Kubernetes' client and Prometheus' both bring requests."""
    with _ONE_AT_A_TIME:
        return import_module(name)
