"""What is started in a test and stopped after it, also when its start fails half-way."""

from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self


class Opened(ABC):
    """An async context manager. `_start` puts into `_resources` what it opens; they close in reverse."""

    def __init__(self) -> None:
        self._resources = AsyncExitStack()

    @abstractmethod
    async def _start(self) -> None: ...

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._resources.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()
