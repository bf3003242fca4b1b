"""The configuration and the rules, read again when their files change: checked whole, taken over whole, or not at all.

The files' contents are compared every few seconds. A ConfigMap volume changes by swapping a symbolic link, which a watch on
the file does not see, and one on its folders would have to follow; file times are coarse, and can go back. A few small files
read every few seconds, in a thread, cost nothing and are right for every kind of volume. A content counts once two looks
in a row have found it, so that no file is taken while it is being written.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from autoscaler.config import Config, read_config
from autoscaler.signal import Signal, load_signals
from telemetry.gateways.kind import GatewayKind, load_gateways
from telemetry.gpu_exporters.exporter import GpuExporter, load_gpu_exporters
from telemetry.located_yaml import InvalidFileError, Problem
from telemetry.rules_dir import part_of

log = structlog.get_logger(__name__)

LOOK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and the signals to serve under it, both checked; `digest` is of the files as they were before they
    were read."""

    config: Config
    rows: Mapping[str, Signal]
    digest: str
    exporters: Sequence[GpuExporter] = ()
    """Of GPUs."""
    gateways: Mapping[str, GatewayKind] = field(default_factory=dict)
    """The kinds of gateways that there are."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where both are kept. Calls block: run them in a thread once the loop runs."""

    config: Path
    signals: Path

    def read(self) -> Loaded:
        """Raises InvalidFileError with the mistakes of every file."""
        digest = self.digest()
        problems: list[Problem] = []
        gateways: Mapping[str, GatewayKind] | None = None
        try:
            gateways = load_gateways(self.gateways)
        except InvalidFileError as error:
            problems += error.problems
        try:
            config = read_config(self.config, gateways)
        except InvalidFileError as error:
            problems += error.problems
        try:
            rows = load_signals(self.signals)
        except InvalidFileError as error:
            problems += error.problems
        exporters: Sequence[GpuExporter] = ()
        try:
            exporters = load_gpu_exporters(self.gpu_exporters)
        except InvalidFileError as error:
            problems += error.problems
        if problems:
            raise InvalidFileError(problems)
        return Loaded(config, rows, digest, exporters, gateways or {})

    @property
    def gateways(self) -> Path:
        """Beside the signals, or those that ship."""
        return part_of(self.signals.parent, "gateways")

    @property
    def gpu_exporters(self) -> Path:
        """As the gateways."""
        return part_of(self.signals.parent, "gpu_exporters")

    def digest(self) -> str:
        """The same as long as the contents are; a file that cannot be read counts by its absence."""
        found = hashlib.sha256()
        folders = self.signals, self.gpu_exporters, self.gateways
        rules = (path for folder in folders for path in sorted(folder.glob("*.yaml")))
        for path in (self.config, *rules):
            try:
                content = path.read_bytes()
            except OSError as error:
                content = f"unreadable {error.errno}".encode()
            found.update(f"{path.name} {len(content)} ".encode() + content)
        return found.hexdigest()


class Reloader:
    """Looks at the files until cancelled. `digest` is of what is at work. `adopt` is called with each new content that is
    right, `refused` with what is wrong; what is right again after it was wrong is handed to `adopt` too."""

    def __init__(
        self,
        files: Files,
        digest: str,
        adopt: Callable[[Loaded], None],
        refused: Callable[[InvalidFileError], None],
        *,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._files = files
        self._adopt = adopt
        self._refused = refused
        self._look_seconds = look_seconds
        self._done = self._seen = digest

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._look_seconds)
            await self.look()

    async def look(self) -> None:
        """Looks once; a change is acted on at the second look that finds it."""
        found = await asyncio.to_thread(self._files.digest)
        settled, self._seen = found == self._seen, found
        if found == self._done or not settled:
            return
        try:
            loaded = await asyncio.to_thread(self._files.read)
        except InvalidFileError as error:
            self._done = found
            self._refused(error)
            return
        if (
            loaded.digest == found == await asyncio.to_thread(self._files.digest)
        ):  # else it changed meanwhile: look again
            self._done = found
            self._adopt(loaded)
