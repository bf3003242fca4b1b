"""What kind of file this is, by its content: told from its first bytes, its last ones and its size. Pure.

Formats: Git LFS specification (docs/spec.md, The pointer); PKWARE APPNOTE 4.3.16 (end of central directory record);
huggingface/safetensors README, Format; Python pickletools (PROTO and FRAME, of protocols 4 and 5: older ones begin too much
like any other data); HDF5 File Format Specification, superblock; POSIX ustar;
RFC 1952; ELF; onnx/onnx: onnx/onnx.proto, ModelProto; a TensorRT plan begins with the tag that its reader calls magicTag."""

import json
import struct
from typing import Literal

Kind = Literal[
    "empty",
    "lfs_pointer",
    "html",
    "xml",
    "json",
    "text",
    "zip",
    "gzip",
    "tar",
    "elf",
    "hdf5",
    "pickle",
    "numpy",
    "safetensors",
    "tensorrt_plan",
    "onnx",
    "data",
]
WORDS: dict[Kind, str] = {
    "empty": "empty",
    "lfs_pointer": "a Git-LFS pointer",
    "html": "an HTML page",
    "xml": "XML",
    "json": "JSON",
    "text": "text",
    "zip": "a zip archive",
    "gzip": "a gzip archive",
    "tar": "a tar archive",
    "elf": "a shared library or program",
    "hdf5": "an HDF5 file",
    "pickle": "a Python pickle",
    "numpy": "a NumPy array",
    "safetensors": "a safetensors file",
    "tensorrt_plan": "a TensorRT plan",
    "onnx": "protobuf, as ONNX is",
    "data": "other data",
}
HEAD_BYTES = 64 << 10
TAIL_BYTES = (64 << 10) + 22
"""The end of central directory record stands within the last 22 bytes and a comment of at most 65,535."""
_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"version https://git-lfs.github.com/spec/", "lfs_pointer"),
    (b"version https://hawser.github.com/spec/", "lfs_pointer"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\x7fELF", "elf"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x93NUMPY", "numpy"),
    (b"ftrt", "tensorrt_plan"),
    (b"ptrt", "tensorrt_plan"),
    (b"\x80\x04\x95", "pickle"),
    (b"\x80\x05\x95", "pickle"),
)
_ONNX_TAGS = frozenset((0x08, 0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42, 0x72))
"""Field and wire type of ModelProto's fields: any of them may come first."""
_CONTROLS = bytes(byte for byte in range(0x20) if byte not in b"\t\n\r\f\x1b")
"""That no text has."""


def kind_of(head: bytes, size: int) -> Kind:
    """`head`: the first HEAD_BYTES, or all of it."""
    if size == 0:
        return "empty"
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[257:262] == b"ustar":
        return "tar"
    if _header_length(head) is not None:
        return "safetensors"
    if (text := _text_kind(head)) is not None:
        return text
    return "onnx" if head[:1] and head[0] in _ONNX_TAGS else "data"


def cut_short(kind: Kind, head: bytes, tail: bytes, size: int) -> str:
    """How it is seen that the file's end is missing; empty where it is not seen. `tail`: the last TAIL_BYTES, or all of it."""
    if kind == "zip" and b"PK\x05\x06" not in tail:
        return "the directory at the end of a zip archive is not there"
    if kind == "pickle":
        frame = struct.unpack("<Q", head[3:11])[0] if len(head) >= 11 else 0
        if size < 11 + frame:
            return "the first frame of a pickle does not end"
    if kind == "safetensors":
        needed = _safetensors_size(head)
        if needed is not None and needed > size:
            return f"its header tells of {needed} bytes, and there are {size}"
    return ""


def _header_length(head: bytes) -> int | None:
    """Of a safetensors file's JSON header."""
    if len(head) < 9 or head[8:9] != b"{":
        return None
    length: int = struct.unpack("<Q", head[:8])[0]
    return length if 2 <= length <= 100_000_000 else None  # the format's own limit


def _safetensors_size(head: bytes) -> int | None:
    """Bytes of the whole file by its header; of the header alone where that is not all in `head`."""
    length = _header_length(head)
    if length is None:
        return None
    whole = head[8 : 8 + length]
    if len(whole) < length:
        return 8 + length
    try:
        told = json.loads(whole)
        ends = [row["data_offsets"][1] for name, row in told.items() if name != "__metadata__"]
        return 8 + length + max((end for end in ends if isinstance(end, int)), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return None


def _text_kind(head: bytes) -> Kind | None:
    """None: it is no text."""
    if len(head.translate(None, _CONTROLS)) < len(head):
        return None
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # else a character is cut at the head's end
            return None
        text = head[: error.start].decode()
    begins = text.removeprefix("\ufeff").lstrip()[:200].lower()
    if begins.startswith(("<!doctype html", "<html", "<head", "<body")):
        return "html"
    if begins.startswith(("<?xml", "<error", "<net")):
        return "html" if "<html" in begins else "xml"
    return "json" if begins.startswith(("{", "[")) else "text"
