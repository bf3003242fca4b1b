"""What kind of file a content is, and when its end is seen to be missing."""

import io
import json
import pickle
import struct
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.repository.content import WORDS, cut_short, kind_of

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2417868\n"


def _zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("code/model.py", "x" * 1000)
    return buffer.getvalue()


def _safetensors(missing: int = 0) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16 - missing)


PICKLE = pickle.dumps({"weights": [1.0] * 50})


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (POINTER, "lfs_pointer"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "html"),
        (b"\n <HTML><body>404 Not Found</body></HTML>", "html"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "xml"),
        (b'{"a": 1}', "json"),
        (b"class TritonPythonModel:\n    pass\n", "text"),
        ("# größe\n".encode(), "text"),
        (b"caf\xe9 in Latin-1", "data"),
        (_zip(), "zip"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (bytes(257) + b"ustar\x0000" + bytes(200), "tar"),
        (b"\x7fELF\x02\x01", "elf"),
        (b"\x89HDF\r\n\x1a\n", "hdf5"),
        (PICKLE, "pickle"),
        (b"\x93NUMPY\x01\x00", "numpy"),
        (_safetensors(), "safetensors"),
        (b"ftrt\x00\x00", "tensorrt_plan"),
        (b"\x08\x07\x12\x07pytorch", "onnx"),
        (b"\x00\x01\x02\x03", "data"),
        (b"\x80\x02\x00 weights that begin like an old pickle \xff", "data"),
    ],
)
def test_a_content_is_of_this_kind(content: bytes, kind: str) -> None:
    assert kind_of(content, len(content)) == kind


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (_zip(), ""),
        (_zip()[:200], "the directory at the end of a zip archive is not there"),
        (PICKLE, ""),
        (PICKLE[:-9], "the first frame of a pickle does not end"),
        (_safetensors(), ""),
        (_safetensors(3), "its header tells of 86 bytes, and there are 83"),
        (_safetensors()[:20], "its header tells of 70 bytes, and there are 20"),
        (b"text without an end", ""),
    ],
)
def test_an_end_that_is_missing_is_seen(content: bytes, how: str) -> None:
    assert cut_short(kind_of(content, len(content)), content, content, len(content)) == how


@given(st.binary(max_size=400), st.integers(min_value=0, max_value=1 << 60))
def test_every_content_has_a_kind_and_none_raises(content: bytes, size: int) -> None:
    kind = kind_of(content, size)
    assert kind in WORDS
    cut_short(kind, content, content, size)


def test_random_weights_are_not_taken_for_something_broken() -> None:
    """A file of weights may begin with anything: each pair of first bytes, before a content that is no text."""
    for first in range(1 << 16):
        content = first.to_bytes(2, "big") + bytes(range(0x80, 0x100)) * 2
        kind = kind_of(content, len(content))
        assert kind in ("data", "onnx", "gzip"), content[:2]
        assert cut_short(kind, content, content, len(content)) == ""


@given(st.binary(max_size=200))
def test_a_header_of_safetensors_that_lies_raises_nothing(header: bytes) -> None:
    content = struct.pack("<Q", len(header) + 1) + b"{" + header
    cut_short("safetensors", content, content, len(content))
