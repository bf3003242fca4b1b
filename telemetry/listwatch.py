"""A current view of one kind of Kubernetes object: list, then watch, for ever.

The rules, each learned from a client that broke it:
- The list comes in pages; its resource version is where the watch begins. Bookmarks move that version on
  while nothing changes.
- A version that the server no longer has (410) means: list again, never: ask again with the same version.
- Back-off has full jitter and returns to its start only after a watch that lasted. A server that accepts and
  closes at once has not answered well, whatever it sent before it closed.
- After a failure that may have lost an event the list is read again: a missed deletion would otherwise stay
  for ever."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import structlog

from telemetry.kubernetes_api import KubernetesApi, KubernetesError

log = structlog.get_logger(__name__)


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    kind: str
    name: str
    uid: str
    api_version: str = ""
    controller: bool | None = None


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of `metadata` that this project reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class KubernetesObject(msgspec.Struct, frozen=True, rename="camel"):
    """Any object, by its metadata; a subclass adds the fields that its reader needs."""

    metadata: ObjectMeta


Object = TypeVar("Object", bound=KubernetesObject)
_SinkObject = TypeVar("_SinkObject", bound=KubernetesObject, contravariant=True)


class EventType(StrEnum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Sink(Protocol[_SinkObject]):
    """Receives the view: whole after a list, one change at a time after that. Called on the event loop: must
    not block."""

    def replace(self, objects: Sequence[_SinkObject]) -> None: ...

    def apply(self, event_type: EventType, obj: _SinkObject) -> None: ...


class Backoff:
    """Delays with full jitter: uniform between zero and a bound that doubles from `first_seconds` to
    `most_seconds`."""

    def __init__(
        self,
        first_seconds: float = 0.5,
        most_seconds: float = 30.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first_seconds = first_seconds
        self._most_seconds = most_seconds
        self._uniform = uniform
        self._bound_seconds = first_seconds

    def next_seconds(self) -> float:
        bound = self._bound_seconds
        self._bound_seconds = min(2 * bound, self._most_seconds)
        return self._uniform(0.0, bound)

    def reset(self) -> None:
        self._bound_seconds = self._first_seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """How a list-and-watch uses time; seconds throughout."""

    page_size: int = 500
    watch_seconds: int = 300
    """Asked of the server as `timeoutSeconds`, jittered by up to a fifth so that restarts do not come in
    step."""
    healthy_seconds: float = 10.0
    """A watch that lasted this long lets the back-off return to its start."""


class ListWatch(Generic[Object]):
    """Keeps `sink` current with the objects of `kind` under `path`, decoded into that Struct.

    `synced` is True once a list was delivered and stays so; `last_contact` is the clock's reading when the
    server last said something (None: never), and an idle watch says something about every 60 s; `problem` is
    why changes are not followed now, or None. A list that works does not end a problem, only a watch does; each is logged
    when it begins and when it ends."""

    def __init__(
        self,
        api: KubernetesApi,
        path: str,
        kind: type[Object],
        sink: Sink[Object],
        *,
        selector: str = "",
        pace: Pace = Pace(),
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.synced = False
        self.last_contact: float | None = None
        self.problem: str | None = None
        self._api = api
        self._path = path
        self._sink = sink
        self._selector = {"labelSelector": selector} if selector else {}
        self._pace = pace
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._sleep = sleep
        self._version = ""
        self._watching_since = 0.0
        self._ended_at_once = False
        self._page_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Page[kind])  # type: ignore[valid-type]
        self._object_decoder = msgspec.json.Decoder(kind)

    async def run(self) -> None:
        """Runs until cancelled; every failure of the server is kept in `problem` and tried again."""
        while True:
            watched = False
            try:
                if not self._version:
                    self._version = await self._list()
                watched, self._watching_since = True, self._clock()
                await self._watch()
                self._ended_at_once = not self._has_lasted
                if self._ended_at_once:
                    self._fail(f"the server ends watches of {self._path} at once")
            except KubernetesError as error:
                self._ended_at_once = False
                self._fail(str(error))
                if _may_have_lost_events(error):
                    self._version = ""
            if watched and self._has_lasted:
                self._backoff.reset()
            await self._sleep(self._backoff.next_seconds())

    async def _list(self) -> str:
        objects: list[Object] = []
        query = {**self._selector, "limit": str(self._pace.page_size)}
        while True:
            page = self._decode(self._page_decoder, await self._api.get(self._path, query))
            objects.extend(page.items or ())
            self.last_contact = self._clock()
            if not page.metadata.continue_:
                break
            query = {**query, "continue": page.metadata.continue_}
        if not page.metadata.resource_version:
            raise KubernetesError(f"the list of {self._path} has no resourceVersion", reason=_MALFORMED)
        self._sink.replace(objects)
        self.synced = True
        version: str = page.metadata.resource_version
        return version

    async def _watch(self) -> None:
        seconds = self._pace.watch_seconds
        query = {
            **self._selector,
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(random.randint(seconds - seconds // 5, seconds)),  # noqa: S311 - jitter
        }
        lines = self._api.watch(self._path, query)
        try:
            async for line in lines:
                if line:
                    self._receive(line)
                self._in_touch()
        finally:
            close = getattr(lines, "aclose", None)  # a generator left to the collector keeps its connection
            if close is not None:
                await close()
        self._in_touch()

    def _receive(self, line: bytes) -> None:
        event = self._decode(_EVENT_DECODER, line)
        if event.type == "ERROR":
            status = self._decode(_STATUS_DECODER, event.object)
            message = f"the watch of {self._path} ended: {status.code} {status.message or status.reason}"
            raise KubernetesError(message, status=status.code, reason=status.reason)
        if event.type == "BOOKMARK":
            version = self._decode(_BOOKMARK_DECODER, event.object).metadata.resource_version
        elif event.type in EventType.__members__:
            obj = self._decode(self._object_decoder, event.object)
            self._sink.apply(EventType(event.type), obj)
            version = obj.metadata.resource_version
        else:
            message = f"unknown event {event.type[:20]!r} in the watch of {self._path}"
            raise KubernetesError(message, reason=_MALFORMED)
        self._version = version or self._version

    @property
    def _has_lasted(self) -> bool:
        """The watch that runs, or ran last, is no sign of trouble: it was not ended at once."""
        return self._clock() - self._watching_since >= self._pace.healthy_seconds

    def _in_touch(self) -> None:
        """The server keeps up the watch; after one that it ended at once, another has to last first."""
        self.last_contact = self._clock()
        if self.problem is not None and (self._has_lasted or not self._ended_at_once):
            self.problem = None
            log.info("watch goes on", path=self._path)

    def _fail(self, problem: str) -> None:
        if problem != self.problem:
            log.warning("watch fails", path=self._path, cause=problem)
        self.problem = problem

    def _decode(self, decoder: "msgspec.json.Decoder[_Decoded]", body: "bytes | msgspec.Raw") -> "_Decoded":
        try:
            return decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise KubernetesError(f"malformed answer for {self._path}: {error}", reason=_MALFORMED) from error


_MALFORMED = "Malformed"
_Decoded = TypeVar("_Decoded")


def _may_have_lost_events(error: KubernetesError) -> bool:
    """No answer and 429 leave the version good: everything since can still be asked for. All else means list
    again."""
    return error.reason == _MALFORMED or error.status not in (None, 429)


class _PageMeta(msgspec.Struct, frozen=True):
    resource_version: str = msgspec.field(name="resourceVersion", default="")
    continue_: str = msgspec.field(name="continue", default="")


class _Page(msgspec.Struct, Generic[Object], frozen=True):
    metadata: _PageMeta
    items: list[Object] | None = None  # Go prints an empty list as null


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


class _Status(msgspec.Struct, frozen=True):
    code: int = 0
    reason: str = ""
    message: str = ""


_EVENT_DECODER = msgspec.json.Decoder(_Event)
_STATUS_DECODER = msgspec.json.Decoder(_Status)
_BOOKMARK_DECODER = msgspec.json.Decoder(KubernetesObject)
