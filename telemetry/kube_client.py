"""Raw calls to the Kubernetes API over `kubernetes.aio`, which brings kubeconfig, exec plug-ins and
in-cluster credentials.

Its typed models, its watch and its default timeouts are not used: models are slow, the watch reconnects
without back-off, and a call without a deadline can hang for five minutes. `listwatch` does lists and watches
on top of this."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import aiohttp
import msgspec

from telemetry.http_body import TooLargeError, read_bounded
from telemetry.kubernetes_api import KubernetesError

if TYPE_CHECKING:
    from kubernetes.aio.client import ApiClient

_CHUNK_BYTES = 64 * 1024
_AS_IS = {"Accept-Encoding": "identity"}  # of a pod's page: a short one could unfold to a gigabyte
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(eq=False, slots=True)
class _Connection:
    """The Kubernetes client of one reading of the credentials. It is closed by its last user: aiohttp fails in undefined ways
    for those who wait on a pool that somebody else closes."""

    client: Any  # an ApiClient, whose `close` is untyped
    users: int = 0
    retired: bool = False


class KubernetesClient:
    """`KubernetesApi` against one cluster, for use as an async context manager.

    Credentials come from `kubeconfig` or `context` where one is given, else from $KUBECONFIG, else from the
    pod's service account, else from ~/.kube/config. The service account's token file is read again every
    minute; a kubeconfig (with its exec plug-in and client certificate) is read again after a 401.

    deadline_seconds: for a whole call, and for the beginning of a watch's answer.
    watch_idle_seconds: longest silence within a watch; API servers send a bookmark about every 60 s, so
    silence means a dead peer.
    max_line_bytes: longest event accepted from a watch; etcd holds objects of at most 1.5 MiB.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        deadline_seconds: float = 10.0,
        watch_idle_seconds: float = 150.0,
        max_line_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._deadline_seconds = deadline_seconds
        self._watch_idle_seconds = watch_idle_seconds
        self._max_line_bytes = max_line_bytes
        self._connection: _Connection | None = None
        self._host = "its address"
        self._connecting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Reads the credentials, so that a wrong kubeconfig is told at start; raises `KubernetesError`."""
        async with self._connected():
            return self

    async def __aexit__(self, *exception: object) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.client.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        return await self._call("GET", path, query or {}, None)

    async def fetch(self, path: str, most: int) -> bytes:
        """What a pod or a Service answers through the API server's `proxy` subresource, of at most `most` bytes.

        An error of the API server has its `reason`; one that only passes through it has none."""
        return await self._call("GET", path, {}, None, most)

    async def exchange(self, method: str, path: str, body: bytes | None, most: int) -> tuple[int, bytes]:
        """Status and body that a pod answers through the `proxy` subresource, whatever the status is; at most `most` bytes.

        Raises `KubernetesError` where the API server itself refused, or could not reach the pod."""
        asked = describe_request(method, path, {})
        try:
            async with asyncio.timeout(self._deadline_seconds), self._connected() as connection:
                response = await self._send(connection, method, path, {}, body, _AS_IS)
                try:
                    answer = await read_bounded(response, most)
                    if response.status >= HTTPStatus.BAD_REQUEST and _decode_status(answer).reason:
                        raise self._refusal(connection, asked, response, answer)
                    return response.status, answer
                finally:
                    response.release()
        except TooLargeError as error:
            raise KubernetesError(f"cannot {asked}: the pod {error}", reason="TooLarge") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._unanswered(asked, error) from error

    async def put(self, path: str, body: bytes) -> bytes:
        return await self._call("PUT", path, {}, body)

    async def post(self, path: str, body: bytes) -> bytes:
        return await self._call("POST", path, {}, body)

    async def delete(self, path: str) -> bytes:
        return await self._call("DELETE", path, {}, None)

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Lines of a watch, after an empty one that says that the server has taken it; `watch=true` is added to the query.
        An incomplete last line is an error, not a line."""
        query = {**query, "watch": "true"}
        asked = describe_request("GET", path, query)
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._deadline_seconds):
                    connection = await stack.enter_async_context(self._connected())
                    response = await self._send(connection, "GET", path, query, None)
                    stack.callback(response.close)
                    if response.status != HTTPStatus.OK:
                        raise await self._refused(connection, asked, response)
                yield b""
                buffer = bytearray()
                while True:
                    async with asyncio.timeout(self._watch_idle_seconds):
                        chunk = await response.content.read(_CHUNK_BYTES)
                    if not chunk:
                        break
                    searched = len(buffer)
                    buffer += chunk
                    while (end := buffer.find(b"\n", searched)) >= 0:
                        line = bytes(buffer[:end])
                        del buffer[: end + 1]
                        searched = 0
                        if line.strip():
                            yield line
                    if len(buffer) > self._max_line_bytes:
                        raise KubernetesError(
                            f"cannot {asked}: an event is longer than {self._max_line_bytes} bytes",
                            reason="Malformed",
                        )
                if buffer.strip():
                    raise KubernetesError(
                        f"cannot {asked}: the answer broke off inside an event", reason="Truncated"
                    )
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise self._unanswered(asked, error) from error

    async def _call(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None, most: int | None = None
    ) -> bytes:
        asked = describe_request(method, path, query)
        try:
            async with asyncio.timeout(self._deadline_seconds), self._connected() as connection:
                response = await self._send(connection, method, path, query, body, _AS_IS if most else {})
                try:
                    if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                        raise await self._refused(connection, asked, response)
                    return await (response.read() if most is None else read_bounded(response, most))
                finally:
                    response.release()
        except TooLargeError as error:
            raise KubernetesError(f"cannot {asked}: the pod {error}", reason="TooLarge") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise self._unanswered(asked, error) from error

    async def _send(
        self,
        connection: _Connection,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes | None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> aiohttp.ClientResponse:
        client = connection.client
        if query:
            path = f"{path}?{urlencode(query)}"
        request: Any = await client.param_serialize(
            method,
            path,
            header_params={"Accept": "application/json", **headers},
            body=None if body is None else msgspec.json.decode(body),  # the client encodes it again
            auth_settings=["BearerToken"],
        )
        # The deadlines are set around this; aiohttp's own default of 300 s would cut watches.
        timeout = aiohttp.ClientTimeout(total=None)
        _, url, all_headers, payload, _ = request
        answer = await client.call_api(method, url, all_headers, payload, _request_timeout=timeout)
        response: aiohttp.ClientResponse = answer.response
        return response

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[_Connection]:
        async with self._connecting:
            if self._connection is None:
                client = await self._connect()
                self._connection, self._host = _Connection(client), client.configuration.host
            connection = self._connection
        connection.users += 1
        try:
            yield connection
        finally:
            connection.users -= 1
            if connection.retired and not connection.users:
                await connection.client.close()

    async def _connect(self) -> "ApiClient":
        import kubernetes.aio.config as credentials  # imported late: 0.7 s
        from kubernetes.aio.client import ApiClient, Configuration

        config: Any = credentials  # untyped
        settings: Any = Configuration()
        settings.trace_configs = [_refuse_redirects()]
        try:
            if self._in_cluster():
                config.load_incluster_config(client_configuration=settings)
            else:
                await config.load_kube_config(
                    config_file=self._kubeconfig, context=self._context, client_configuration=settings
                )
            client = ApiClient(configuration=settings)
        except Exception as error:  # the client checks nothing: a wrong kubeconfig can fail as anything
            where = self._kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
            raise KubernetesError(
                f"no usable Kubernetes credentials in {where} nor from a service account: {error};"
                " pass --kubeconfig and --context, or run in a pod with a mounted service account token",
                reason="NoCredentials",
            ) from error
        client.user_agent = "triton-ops"
        return client

    def _in_cluster(self) -> bool:
        named = self._kubeconfig or self._context or os.environ.get("KUBECONFIG")
        return not named and "KUBERNETES_SERVICE_HOST" in os.environ

    def _retire(self, connection: _Connection) -> None:
        """The next call reads the credentials again."""
        connection.retired = True
        if self._connection is connection:
            self._connection = None

    async def _refused(
        self, connection: _Connection, asked: str, response: aiohttp.ClientResponse
    ) -> KubernetesError:
        """The API server's `Status` as our error, with what to do about it."""
        return self._refusal(connection, asked, response, await response.content.read(_CHUNK_BYTES))

    def _refusal(
        self, connection: _Connection, asked: str, response: aiohttp.ClientResponse, body: bytes
    ) -> KubernetesError:
        status = _decode_status(body)
        message = f"cannot {asked}: {response.status} {status.message or response.reason or ''}".rstrip()
        if response.status == HTTPStatus.UNAUTHORIZED:
            self._retire(connection)
            message += "; the credentials were not accepted: renew the kubeconfig's token or certificate"
        elif response.status == HTTPStatus.FORBIDDEN:
            message += f"; grant this identity the right to {asked}"
        return KubernetesError(message, status=response.status, reason=status.reason, detail=status.message)

    def _unanswered(self, asked: str, error: Exception) -> KubernetesError:
        host = self._host
        if isinstance(error, TimeoutError):
            return KubernetesError(f"cannot {asked}: no answer in time from {host}", reason="Timeout")
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            cause, advice = str(error.certificate_error), "check the cluster's CA in the kubeconfig"
        elif isinstance(error, aiohttp.ClientConnectorError):
            # Without the local details that aiohttp's own text has, so that the message stays the same while
            # the cause does.
            code = error.os_error.errno or 0
            cause = os.strerror(code) if code > 0 else error.os_error.strerror or str(error.os_error)
            advice = "check that this is the API server's address and that it is up"
        else:
            cause, advice = f"{type(error).__name__} {error}".rstrip(), "check the path to the API server"
        return KubernetesError(f"cannot {asked}: {host}: {cause}; {advice}", reason="Unreachable")


async def default_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The namespace that kubectl would use: the pod's own in a cluster, else the context's, else `default`. Raises
    `KubernetesError` where the kubeconfig cannot be read."""
    import kubernetes.aio.config as credentials  # imported late: 0.7 s

    if not (kubeconfig or context or os.environ.get("KUBECONFIG")):
        with contextlib.suppress(FileNotFoundError):
            return (await asyncio.to_thread(_OWN_NAMESPACE.read_text)).strip()
    config: Any = credentials  # untyped
    try:
        contexts, active = config.list_kube_config_contexts(config_file=kubeconfig)
    except Exception as error:  # the client checks nothing: a wrong kubeconfig can fail as anything
        raise KubernetesError(
            f"cannot read the kubeconfig's contexts: {error}", reason="NoCredentials"
        ) from error
    chosen = next((each for each in contexts if each["name"] == context), active)
    return str((chosen.get("context") or {}).get("namespace") or "default")


def _refuse_redirects() -> aiohttp.TraceConfig:
    """The API server redirects nobody; what a pod answers through its proxy may, and would lead this machine, and on the API
    server's own address its credentials, to where the pod likes."""

    async def refuse(*_: object) -> None:
        raise aiohttp.ClientError("the answer is a redirect, which is not followed")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse)
    return trace


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


def _decode_status(body: bytes) -> _Status:
    try:
        return msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # a proxy's page, or a pod's
        return _Status()


_VERBS = {"PUT": "update", "POST": "create", "DELETE": "delete"}


def describe_request(method: str, path: str, query: Mapping[str, str]) -> str:
    """The request in the words of RBAC, such as `list pods in namespace "prod"`; the method and path where it
    is no resource."""
    parts = path.strip("/").split("/")
    group, rest = ("", parts[2:]) if parts[0] == "api" else (parts[1] if len(parts) > 1 else "", parts[3:])
    where = "in all namespaces"
    if len(rest) > 2 and rest[0] == "namespaces":
        where = f'in namespace "{rest[1]}"'
        rest = rest[2:]
    if parts[0] not in ("api", "apis") or not rest:
        return f"{method} {path}"
    resource = ".".join(filter(None, (rest[0], group)))
    name = f' "{rest[1]}"' if len(rest) > 1 else ""
    if len(rest) > 2:
        resource = f"{rest[0]}/{rest[2]}" + (f".{group}" if group else "")
    if method in _VERBS:
        verb = _VERBS[method]
    elif query.get("watch"):
        verb = "watch"
    else:
        verb = "get" if name else "list"
    if name and where == "in all namespaces":
        where = ""
    return f"{verb} {resource}{name} {where}".rstrip()
