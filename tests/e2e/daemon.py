"""The daemon as users run it: a process of its own, with its service account's rights and a configuration file."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml

from tests.local_process import LocalProcess

READY_SECONDS = 90.0


@dataclass
class Daemon:
    """`triton-autoscaler serve`, an async context manager: started inside, stopped after. `log` is what it said."""

    folder: Path
    kubeconfig: Path
    config: Mapping[str, Any]
