"""A Prometheus, or what speaks its API (Thanos, Mimir, VictoriaMetrics), asked for instants and ranges with a deadline each.

The client library is synchronous, so calls run on sixteen threads of their own, each with a session of its own. The threads are
daemons: a call that nobody waits for any longer holds up neither the event loop nor the end of the program. Redirects are not
followed, so credentials go nowhere else."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

from telemetry.late_import import import_late

if TYPE_CHECKING:
    from telemetry.prometheus_matrix import Matrix
    from telemetry.prometheus_session import PrometheusSession
    from telemetry.prometheus_vector import Vector

_Answer = TypeVar("_Answer")

THREADS = 16
"""Of the twenty that a Prometheus answers at once by default (prometheus/prometheus:cmd/prometheus, query.max-concurrency)."""
MAX_ANSWER_BYTES = 32 << 20

Reason = Literal["unreachable", "forbidden", "refused", "timeout", "parse_error"]

_MEANS: dict[Reason, str] = {
    "unreachable": "connection refused or unreachable",
    "forbidden": "these credentials may not read it",
    "refused": "it refuses the query",
    "timeout": "timed out",
    "parse_error": "the answer is not in Prometheus' format",
}


def does_not_answer(reason: Reason) -> str:
    """In words that stay the same while the cause does."""
    return f"Prometheus does not answer: {_MEANS[reason]}"


class PrometheusError(Exception):
    """No answer, or none that can be used. `detail` says what happened, `remedy` what to do; neither has credentials in it."""

    def __init__(self, reason: Reason, message: str, remedy: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.args[0]}; {self.remedy}"

    @property
    def detail(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class PrometheusAccess:
    """How to be let in. Basic auth is in the address, as `https://user:password@host`."""

    bearer_token_file: Path | None = None
    """Read anew for every query: mounted tokens change."""
    ca_file: Path | None = None
    """Certificates to trust instead of the usual ones."""
    client_certificate: tuple[Path, Path] | None = None
    """Certificate and key, PEM."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Such as X-Scope-OrgID, the tenant of Mimir and Cortex."""


@dataclass(frozen=True, slots=True)
class PrometheusSeries:
    labels: Mapping[str, str]
    points: tuple[tuple[float, float | None], ...]
    """Seconds since 1970 and the value there; None for NaN and the infinities."""


@dataclass(frozen=True, slots=True)
class PrometheusAnswer:
    series: tuple[PrometheusSeries, ...]
    warnings: tuple[str, ...] = ()
    """What makes the answer doubtful, such as Thanos telling that a store did not answer."""
    infos: tuple[str, ...] = ()
    """Hints at the query, such as that a counter's name has no usual ending; Triton's have none."""


def check_prometheus_url(url: str) -> str:
    """The address without a trailing slash. Raises ValueError, saying what would be right and nothing of its password."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"this is no address of a Prometheus: {error}") from None
    wrong = ""
    if any(ord(sign) <= 0x20 or ord(sign) == 0x7F for sign in url):
        wrong = "it has spaces or control characters in it"
    elif parts.scheme not in ("http", "https") or not host:
        wrong = "it has to begin with http:// or https:// and a host"
    elif parts.query or parts.fragment or "?" in url or "#" in url:
        wrong = "leave out what follows ? or #"
    if wrong:
        raise ValueError(
            f"this is no address of a Prometheus: {wrong}; give one such as http://localhost:9090"
        )
    return url.rstrip("/")


def without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


class PrometheusSource:
    """An async context manager. At most sixteen calls at once; others wait for their turn, and a call's deadline begins with it."""

    def __init__(
        self, url: str, access: PrometheusAccess | None = None, *, timeout_seconds: float = 10.0
    ) -> None:
        """`url` as `check_prometheus_url` gave it, with the path in front of `/api/v1` if there is one."""
        self.shown_url = without_credentials(url)
        self.has_user = "@" in urlsplit(url).netloc
        self.access = access or PrometheusAccess()
        self._url = url
        self._timeout = timeout_seconds
        self._calls: queue.SimpleQueue[_Call[Any] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._turns = asyncio.Semaphore(THREADS)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for no call: each ends by its own deadline."""
        for _ in self._threads:
            self._calls.put(None)

    async def query(
        self, promql: str, at: float, *, timeout_seconds: float | None = None
    ) -> PrometheusAnswer:
        """The value at a time, or a range selector's samples up to it. Raises PrometheusError."""
        seconds = timeout_seconds or self._timeout
        return await self._call(lambda session: session.query(promql, at, seconds), seconds)

    async def query_range(
        self, promql: str, start: float, end: float, step: float, *, timeout_seconds: float | None = None
    ) -> PrometheusAnswer:
        """Values from `start` to `end`, both included, every `step` seconds. Raises PrometheusError."""
        seconds = timeout_seconds or self._timeout
        return await self._call(
            lambda session: session.query_range(promql, start, end, step, seconds), seconds
        )

    async def vector(
        self,
        promql: str,
        at: float | None,
        read: "Callable[[Vector], _Answer]",
        *,
        timeout_seconds: float | None = None,
    ) -> _Answer:
        """What `read` makes of the values at a time, or at the server's own present. `read` runs in the thread, for answers of
        megabytes. Raises PrometheusError, and what `read` raises."""
        seconds = timeout_seconds or self._timeout
        return await self._call(lambda session: read(session.vector(promql, at, seconds)), seconds)

    async def matrix(
        self,
        promql: str,
        at: float,
        read: "Callable[[Matrix], _Answer]",
        *,
        timeout_seconds: float | None = None,
    ) -> _Answer:
        """What `read`, in the thread, makes of a range selector's raw samples up to a time. Raises PrometheusError, and what `read`
        raises."""
        seconds = timeout_seconds or self._timeout
        return await self._call(lambda session: read(session.matrix(promql, at, seconds)), seconds)

    async def metric_names(
        self, start: float, end: float, *, timeout_seconds: float | None = None
    ) -> frozenset[str]:
        """The families that had series in that time; costs the server next to nothing. Raises PrometheusError."""
        seconds = timeout_seconds or self._timeout
        return await self._call(lambda session: session.metric_names(start, end, seconds), seconds)

    async def _call(self, ask: "Callable[[PrometheusSession], _Answer]", seconds: float) -> _Answer:
        async with self._turns:
            return await self._answered(ask, seconds)

    async def _answered(self, ask: "Callable[[PrometheusSession], _Answer]", seconds: float) -> _Answer:
        loop = asyncio.get_running_loop()
        call: _Call[_Answer] = _Call(ask, loop, loop.create_future())
        self._calls.put(call)
        if len(self._threads) < THREADS:
            thread = threading.Thread(target=self._work, name="prometheus", daemon=True)
            self._threads.append(thread)
            thread.start()
        try:
            async with asyncio.timeout(seconds):
                return await call.answer
        except TimeoutError:
            said = f"{self.shown_url} gave no whole answer within {seconds:g} s"
            raise PrometheusError(
                "timeout", said, "ask for a shorter window, or allow it more time"
            ) from None
        finally:
            call.given_up.set()

    def _work(self) -> None:
        session: PrometheusSession | None = None
        while (call := self._calls.get()) is not None:
            if call.given_up.is_set():
                continue
            try:
                session = session or self._session()
                answer = call.ask(session)
            except BaseException as error:
                call.end(error)
            else:
                call.end(answer)
        if session is not None:
            session.close()

    def _session(self) -> "PrometheusSession":
        import_late("telemetry.prometheus_session")  # 0.1 s, which no other source waits for
        from telemetry.prometheus_session import PrometheusSession

        return PrometheusSession(self._url, self.access)


@dataclass(frozen=True, slots=True)
class _Call(Generic[_Answer]):
    ask: "Callable[[PrometheusSession], _Answer]"
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[_Answer]
    given_up: threading.Event = field(default_factory=threading.Event)

    def end(self, outcome: _Answer | BaseException) -> None:
        def tell() -> None:
            if self.answer.done():
                return
            if isinstance(outcome, BaseException):
                self.answer.set_exception(outcome)
            else:
                self.answer.set_result(outcome)

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self.loop.call_soon_threadsafe(tell)
