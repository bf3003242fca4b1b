"""Object stores on loopback that refuse in their own words: Amazon S3 API Reference, Error responses and ListObjectsV2; Google
Cloud Storage JSON API, HTTP status and error codes.

A request that the store's own client would not make is a fault of the test: it is kept in `unexpected`."""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

Kind = Literal["bucket", "list", "object"]
"""What is asked for: whether the bucket is there, the keys under a prefix, or one object."""
BUCKET = "models"
_S3_ERRORS = {
    "AccessDenied": (403, "Access Denied"),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "SlowDown": (503, "Please reduce your request rate."),
}
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[a-z0-9-]+/s3/aws4_request, SignedHeaders=")
S3_KEY = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "an-example-of-a-key",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Store:
    objects: Mapping[str, str] = field(default_factory=dict)
    """By key."""
    refuse: Mapping[Kind, str] = field(default_factory=dict)
    """The error code of S3 for each kind of request that is refused. Google's answer is 403 to all."""


@dataclass
class Listening:
    port: int
    asked: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


@contextmanager
def listening_store(store: Store) -> Iterator[Listening]:
    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            listening.asked.append(f"{self.command} {self.path}")
            google = self.path.startswith(f"/storage/v1/b/{BUCKET}")
            signed = _SIGNED.match(self.headers.get("Authorization", ""))
            if not google and not (signed and self.path.startswith(f"/{BUCKET}")):
                listening.unexpected.append(f"{self.command} {self.path} {dict(self.headers)}")
            status, kind, body = _of_google() if google else _of_s3(store, self.command, self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Last-Modified", "Wed, 12 Oct 2022 17:50:00 GMT")
            self.end_headers()
            if self.command != "HEAD":  # which is answered without a body: the client knows the status only
                self.wfile.write(body)

        do_GET = do_HEAD = answer

        def log_message(self, format: str, *arguments: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    listening = Listening(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield listening
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _of_google() -> tuple[int, str, bytes]:
    said = f"anonymous caller does not have storage.buckets.get access to the Google Cloud Storage bucket {BUCKET}."
    error = {
        "code": 403,
        "message": said,
        "errors": [{"message": said, "domain": "global", "reason": "forbidden"}],
    }
    return 403, "application/json; charset=UTF-8", json.dumps({"error": error}).encode()


def _of_s3(store: Store, command: str, path: str) -> tuple[int, str, bytes]:
    parts = urlsplit(path)
    key = unquote(parts.path).removeprefix(f"/{BUCKET}").strip("/")
    asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    kind: Kind = "object" if key else "list" if command == "GET" else "bucket"
    code = store.refuse.get(kind) or ("NoSuchKey" if kind == "object" and key not in store.objects else "")
    if code:
        status, message = _S3_ERRORS[code]
        return (
            status,
            "application/xml",
            _xml(f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"),
        )
    match kind:
        case "bucket":
            return 200, "application/xml", b""
        case "object":
            return 200, "binary/octet-stream", store.objects[key].encode()
        case "list":
            return 200, "application/xml", _keys(store, asked)


def _keys(store: Store, asked: Mapping[str, str]) -> bytes:
    prefix = asked.get("prefix", "")
    contents = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2022-10-12T17:50:00.000Z</LastModified><ETag>&quot;0&quot;</ETag>"
        f"<Size>{len(content.encode())}</Size><StorageClass>STANDARD</StorageClass></Contents>"
        for key, content in sorted(store.objects.items())
        if key.startswith(prefix)
    )
    count = contents.count("<Contents>")
    return _xml(
        f'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>{BUCKET}</Name><Prefix>{escape(prefix)}</Prefix>'
        f"<KeyCount>{count}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    )


def _xml(text: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()
