"""One thread's way to a Prometheus: the client library with what it lacks - one deadline for the whole call, a bound on the answer,
the server's warnings, and errors in our words."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
import requests
from prometheus_api_client.prometheus_connect import PrometheusConnect
from requests.exceptions import ConnectionError as NotConnected
from requests.exceptions import RequestException, SSLError, Timeout
from urllib3 import Retry
from urllib3.exceptions import HTTPError

from telemetry.prometheus import (
    MAX_ANSWER_BYTES,
    PrometheusAccess,
    PrometheusAnswer,
    PrometheusError,
    PrometheusSeries,
    Reason,
    without_credentials,
)
from telemetry.prometheus_matrix import Matrix, parse_matrix
from telemetry.prometheus_vector import Vector, parse_vector

_Answer = TypeVar("_Answer")

_LONG_QUERY = 4000
"""Signs. Longer ones go by POST: proxies refuse long addresses; shorter ones by GET, which roles that may only read allow."""
_CHUNK = 1 << 18
_ANY = datetime.fromtimestamp(0, UTC)
_MAX_SAID = 300
_ADDRESS = "check the address: it is Prometheus' own, with the path in front of /api/v1 if there is one"


class PrometheusSession:
    """Not safe for two threads at once."""

    def __init__(self, url: str, access: PrometheusAccess) -> None:
        self._shown = without_credentials(url)
        self._access = access
        self._http = _Http()
        self._http.trust_env = False  # no .netrc: credentials are those that were given
        self._http.max_redirects = 0
        self._http.headers.update(dict(access.headers))
        parts = urlsplit(url)
        if parts.username is not None:
            self._http.auth = (unquote(parts.username), unquote(parts.password or ""))
        if access.ca_file:
            self._http.verify = str(access.ca_file)
        if access.client_certificate:
            self._http.cert = tuple(map(str, access.client_certificate))  # type: ignore[assignment]
        self._http.hooks["response"] = [self._look]
        # Its own three retries sleep for seconds; whoever asks has a deadline and may ask again.
        retry = Retry(total=0, redirect=False, raise_on_status=False)
        self._client = PrometheusConnect(url=self._shown, session=self._http, retry=retry)
        self._over_at = 0.0
        self._notes: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def close(self) -> None:
        self._http.close()

    def query(self, promql: str, at: float, seconds: float) -> PrometheusAnswer:
        params = {"time": _seconds(at), "timeout": f"{seconds:g}s"}
        return self._asked(lambda: self._answer(self._client.custom_query(promql, params=params)), seconds)

    def query_range(
        self, promql: str, start: float, end: float, step: float, seconds: float
    ) -> PrometheusAnswer:
        # The library rounds times to whole seconds; its parameters override that.
        params = {"start": _seconds(start), "end": _seconds(end), "timeout": f"{seconds:g}s"}
        return self._asked(
            lambda: self._answer(
                self._client.custom_query_range(promql, _ANY, _ANY, f"{step:g}", params=params)
            ),
            seconds,
        )

    def vector(self, promql: str, at: float | None, seconds: float) -> Vector:
        """Decoded at once from the body: the library would decode tens of thousands of rows a second time, and more slowly."""
        return self._asked(lambda: parse_vector(self._body(promql, at, seconds)), seconds)

    def matrix(self, promql: str, at: float, seconds: float) -> Matrix:
        return self._asked(lambda: parse_matrix(self._body(promql, at, seconds)), seconds)

    def _body(self, promql: str, at: float | None, seconds: float) -> bytes:
        # VictoriaMetrics answers 30 s into the past unless told so (app/vmselect/prometheus/prometheus.go, QueryHandler).
        params = {"query": promql, "timeout": f"{round(seconds * 1000)}ms", "nocache": "1"}
        if at is not None:
            params["time"] = _seconds(at)
        return self._http.get(f"{self._shown}/api/v1/query", params=params).content

    def metric_names(self, start: float, end: float, seconds: float) -> frozenset[str]:
        params = {"start": _seconds(start), "end": _seconds(end)}
        return self._asked(
            lambda: frozenset(map(str, self._client.get_label_values("__name__", params=params))), seconds
        )

    def _answer(self, rows: Any) -> PrometheusAnswer:
        return PrometheusAnswer(tuple(_series(rows)), *self._notes)

    def _asked(self, ask: Callable[[], _Answer], seconds: float) -> _Answer:
        self._over_at = time.monotonic() + seconds
        self._notes = ((), ())
        self._http.timeout_seconds = seconds
        try:
            self._set_token()
            return ask()
        except PrometheusError:
            raise
        except SSLError as error:
            said = f"{self._shown}: {_innermost(error)}"
            raise PrometheusError(
                "unreachable", said, "give the CA's certificate, or check the host's name"
            ) from error
        except Timeout as error:
            raise self._timeout(seconds) from error
        except (NotConnected, HTTPError) as error:
            said = f"{self._shown} cannot be reached: {_innermost(error)}"
            raise PrometheusError(
                "unreachable", said, "check address and port, or `kubectl port-forward`"
            ) from error
        except (RequestException, OSError) as error:
            said = f"{self._shown}: {_innermost(error)}"
            raise PrometheusError("unreachable", said, _ADDRESS) from error
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, AttributeError) as error:
            said = f"the answer of {self._shown} is not Prometheus': {type(error).__name__}: {error}"
            raise PrometheusError("parse_error", said[:_MAX_SAID], _ADDRESS) from error

    def _set_token(self) -> None:
        file = self._access.bearer_token_file
        if file is None:
            return
        try:
            token = file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = f"the bearer token {file} cannot be read: {type(error).__name__}"
            raise PrometheusError("forbidden", said, "give a file that holds the token alone") from error
        if not token or any(sign.isspace() for sign in token):
            raise PrometheusError(
                "forbidden", f"{file} holds no bearer token", "give a file that holds the token alone"
            )
        self._http.headers["Authorization"] = f"Bearer {token}"

    def _look(self, response: requests.Response, *_: Any, **__: Any) -> requests.Response:
        """Reads the body, within the bounds, and takes what the library drops."""
        with contextlib.ExitStack() as unusable:
            unusable.callback(response.close)
            self._check(response)
            unusable.pop_all()
        return response

    def _check(self, response: requests.Response) -> None:
        if response.is_redirect:
            to = without_credentials(response.headers.get("location", "")).partition("?")[0]
            said = f"{self._shown} sends on to {to[:_MAX_SAID]}"
            raise PrometheusError("refused", said, "give that address, or log in: redirects are not followed")
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                said = f"{self._shown} answered with more than {MAX_ANSWER_BYTES >> 20} MB"
                raise PrometheusError("refused", said, "ask for fewer pods or a shorter window")
            if time.monotonic() > self._over_at:
                raise self._timeout(self._http.timeout_seconds)
        response._content = bytes(body)  # the library reads it once more
        if response.status_code != 200:
            raise self._refusal(response.status_code, bytes(body))
        told = msgspec.json.decode(body, type=_Told)
        if told.status != "success":
            raise ValueError(told.error or "it is no success")
        self._notes = (told.warnings, told.infos)

    def _timeout(self, seconds: float) -> PrometheusError:
        said = f"{self._shown} gave no whole answer within {seconds:g} s"
        return PrometheusError("timeout", said, "ask for a shorter window, or allow it more time")

    def _refusal(self, status: int, body: bytes) -> PrometheusError:
        try:
            told = msgspec.json.decode(body, type=_Told)
            kind, words = told.error_type, told.error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            kind, words = "", " ".join(body[:_MAX_SAID].decode(errors="replace").split())
        said = f"{self._shown}: HTTP {status} {words[:_MAX_SAID]}".strip()
        reason: Reason = "refused"
        remedy = _ADDRESS
        if status in (401, 403):
            reason, remedy = "forbidden", "give a bearer token, a user or a tenant that may read it"
        elif kind in ("timeout", "canceled") or status in (408, 504):
            reason, remedy = "timeout", "ask for a shorter window, or raise Prometheus' --query.timeout"
        elif kind == "execution":
            remedy = "ask for fewer pods or a shorter window, or raise the server's limits of a query"
        elif kind == "bad_data":
            remedy = "this may be a mistake of ours: please report it with the query"
        elif status == 429:
            remedy = "it is asked too much: ask again later"
        elif status in (502, 503):
            reason, remedy = "unreachable", "is Prometheus up? ask again"
        return PrometheusError(reason, said, remedy)


class _Http(requests.Session):
    timeout_seconds = 10.0

    def request(self, method: Any, url: Any, params: Any = None, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        kwargs |= {"timeout": self.timeout_seconds, "stream": True, "allow_redirects": False}
        if len(params.get("query", "")) > _LONG_QUERY:
            return super().request("POST", url, data=params, **kwargs)
        return super().request(method, url, params=params, **kwargs)


class _Told(msgspec.Struct):
    """All but the values themselves."""

    status: str
    error: str = ""
    error_type: str = msgspec.field(name="errorType", default="")
    warnings: tuple[str, ...] = ()
    infos: tuple[str, ...] = ()


def _series(rows: Iterable[Any]) -> Iterable[PrometheusSeries]:
    for row in rows:
        points = row["values"] if "values" in row else [row["value"]] if "value" in row else []
        labels = {str(name): str(value) for name, value in row["metric"].items()}
        yield PrometheusSeries(labels, tuple((float(at), _finite(value)) for at, value in points))


def _finite(value: str) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _seconds(at: float) -> str:
    return f"{at:.3f}".rstrip("0").rstrip(".")


def _innermost(error: BaseException) -> str:
    """The operating system's own words for it, where it has any."""
    seen: list[BaseException] = []
    queue: list[Any] = [error]
    while queue:
        one = queue.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            queue += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    for one in reversed(seen):
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
    return type(seen[-1]).__name__
