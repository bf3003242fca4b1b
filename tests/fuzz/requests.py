"""Requests of a kind that no client of ours sends, as bytes for the plain port."""

import random
from urllib.parse import quote

_METHODS = (
    "GET",
    "GET",
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "DELETE",
    "OPTIONS",
    "CONNECT",
    "TRACE",
    "get",
    "G\0T",
    "",
)
_PATHS = (
    "/", "/livez", "/readyz?verbose", "/metrics", "//metrics", "/metrics/..", "*", "http://elsewhere/metrics", "/%00", "/\xff",
    "/api/v1/namespaces/default/signals/triton_request_rate",
    "/api/v1/namespaces/kube-system/signals/triton_request_rate",
    "/api/v1/namespaces/%2e%2e/signals/triton_request_rate",
    "/api/v1/namespaces/default/signals/triton_inference_concurrency",
    "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/triton_request_rate",
)  # fmt: skip
_WORDS = ("model", "version", "workload", "in", "notin", "m", "org_name_v2", "org/name:v2", "x", "é", "1", "")
_SIGNS = ("=", "==", "!=", "!", ",", "(", ")", " in ", " notin ", "<", ">", " ", "\t", "\0")
_HEADERS = (
    "Host: x", "Content-Length: 5", "Content-Length: -1", "Content-Length: 99999999999", "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked", "Connection: upgrade", "Upgrade: websocket", "Expect: 100-continue",
    "Accept: application/vnd.kubernetes.protobuf", "Accept: application/openmetrics-text; version=1.0.0", "Accept: ;;,=",
    "If-None-Match: *", "X-Remote-User: system:admin", "Range: bytes=0-", "bad header", ": ", "a:\r\n b",
)  # fmt: skip


def odd_request(drawn: random.Random) -> bytes:
    """One request, or the beginning of one, or something else."""
    if drawn.random() < 0.05:
        return drawn.randbytes(drawn.randrange(20_000))
    path = drawn.choice(_PATHS)
    if drawn.random() < 0.5:
        selector = "".join(drawn.choice(_WORDS + _SIGNS) for _ in range(drawn.choice((1, 3, 7, 40, 900))))
        path += f"?labelSelector={quote(selector, safe=drawn.choice(('', '=,()')))}"
        path += drawn.choice(("", "&explain=1", "&watch=true", "&labelSelector=x", "&fieldSelector=a%3Db"))
    if drawn.random() < 0.03:
        path += "a" * drawn.choice((8000, 1_000_000))
    if drawn.random() < 0.5:  # else hardly one gets past the parser
        return f"{drawn.choice(_METHODS[:8])} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode(
            "utf-8", "surrogatepass"
        )
    version = drawn.choice(("HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""))
    headers = [drawn.choice(_HEADERS) for _ in range(drawn.choice((0, 1, 2, 5, 200)))]
    text = "\r\n".join([f"{drawn.choice(_METHODS)} {path} {version}", *headers, "", ""])
    request = text.encode("utf-8", "surrogatepass") + drawn.choice((b"", b"", b"hello", b"\0" * 5000))
    return request[: drawn.randrange(len(request) + 1)] if drawn.random() < 0.1 else request
