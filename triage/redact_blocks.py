"""Secrets that go on over several lines: PEM blocks, Kubernetes Secrets, YAML blocks, and a value on the line after its name.

One line at a time, since logs are streams; each line may carry the prefix of whatever moved the log. What is remembered is
bounded: a key that never ends costs at most PEM_LINES lines, and of those only what can be its body."""

import base64
import binascii
from collections.abc import Iterator
from typing import Any, Final

from triage.redaction import Find, Redaction, compile_bytes, read_text

PEM_LINES: Final = 256
"""An RSA key of 16,384 bits has 197 lines."""
KIND_LINES: Final = 200
"""How far behind `kind: Secret` its data may begin."""
_BEFORE_ALL_RULES: Final = -1

PREFIX: Final = (
    r"^(?:\d{4}-\d\d-\d\d[T ][0-9:.,]+(?:Z|[+-]\d\d:?\d\d)? |(?:stdout|stderr) [FP] |[A-Za-z][\w.-]* *\| "
    r"|[IWEF]\d{4} [0-9:.]+ +\d+ [^\s:\]]+:\d+\] |\[pod/[^\]]*\] |\d+: "
    r'|\{"log":"|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)[: ] *)*'
)
"""Of the kubelet's files (CRI), docker compose, Triton (glog), `kubectl logs --prefix --timestamps`, mpirun, docker's JSON
files, and Python's logging; any of them, one before another."""

_ENDS = r"(?:\\+[rn]|[\s\"',;+)\\])*(?:stream\".*)?$"
_BEGIN = r"-----BEGIN ([A-Z0-9]+(?: [A-Z0-9]+)*)-----"
_WIDTHS = "|".join(
    f"[A-Za-z0-9+/]{{{width}}}" for width in (64, 70, 76)
)  # of RFC 7468, of ssh-keygen, of MIME
_PEM_LINE = PREFIX + rf"[\s\"'\\]*(?:{_WIDTHS})" + _ENDS
OPENERS: Final = tuple(
    "(?m)" + pattern
    for pattern in (
        _BEGIN,
        _PEM_LINE,
        r"\bkind\\*[\"']?\s*:\s*\\*[\"']?[A-Za-z]",
        r"\b(?:data|stringData)\\*[\"']?\s*:\s*\{?" + _ENDS,
        r"(?i)\b(?:name|key|header)\\*[\"']?\s*:\s*\\*[\"']?[\w.-]+" + _ENDS,
        r"(?i)(?:key|token|secret|passw\w*|pwd|pass|phrase|pat)\\*[\"']?\s*:\s*\{" + _ENDS,
        PREFIX + r"[\s-]*\\*[\"']?--[\w.-]+" + _ENDS,
        r"[\w.-]\\*[\"']?\s*:\s*[|>][+-]?\d?" + _ENDS,
        PREFIX + r"---" + _ENDS,
    )
)
"""Lines that begin something. A line that matches none of them, while nothing is open, need not be read here."""

_prefix = compile_bytes(PREFIX)
_json_log_end = compile_bytes(r'(?:\\n)?",\s*"stream":')
_begin = compile_bytes(_BEGIN)
_end = compile_bytes(r"-----END [A-Z0-9 ]+-----")
_pem_line = compile_bytes(_PEM_LINE)
_body = compile_bytes(r"^[\s\"'\\]*([A-Za-z0-9+/]+={0,2})" + _ENDS)
_long_body = compile_bytes(r"(?:^|[\s\"'|\]:])([A-Za-z0-9+/]{40,}={0,2})" + _ENDS)
_word = compile_bytes(r"[A-Za-z0-9+/]+={0,2}")
_header = compile_bytes(r"^[\s\"']*(?:(?:Proc-Type|DEK-Info|Version|Comment|Hash): .*)?" + _ENDS)
_masks = compile_bytes(r"^[\s\"'\\]*(?:\[MASKED:[a-z0-9-]+\])+" + _ENDS)
_entry = compile_bytes(r"^[\s-]*\\*[\"']?([\w./-]+)\\*[\"']?\s*:(?:\s+(.*))?$")
_option = compile_bytes(r"^[\s-]*?\\*[\"']?(--[\w.-]+)\\*[\"']?\s*,?\s*$")
_opens = compile_bytes(r"^\s*value\s*:?\s*\{\s*$")
_indent = compile_bytes(r"^(?:\s|- )*")
_item = compile_bytes(r"^\s*(?:- +)?([^-\s].*)$")
_quoted = compile_bytes(r"^\\*[\"']?(.*?)\\*[\"']?\s*,?\s*$")
_scalar = compile_bytes(r"[|>][+-]?\d?")
_upper, _lower, _digit, _digits = map(compile_bytes, ("[A-Z]", "[a-z]", "[0-9]", "[0-9]+"))


class Blocks:
    """What is open after the lines so far."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._pem: _Pem | None = None
        self._data: _Data | None = None
        self._kind_lines = 0
        """For how many lines the object that is being read is a Secret."""
        self._named = ""
        """The name or option of the line before, whose value may be this line."""
        self.open = False
        """Whether the next line must be read, whatever is in it."""

    def read(self, line: bytes) -> Iterator[Find]:
        """What of this line belongs to what earlier lines began."""
        start = _prefix.match(line).end()
        if b'{"log":"' in line[:start] and (stop := _json_log_end.search(line)) is not None:
            line = line[: stop.start()]
        self._kind_lines = max(0, self._kind_lines - 1)
        entry = _entry.match(line[start:])
        named = self._named
        yield from self._read_pem(line, start)
        yield from self._read_value(line, start, entry)
        yield from self._read_data(line, start, entry, named)

    def settle(self, redacted: bytes) -> None:
        """What the line begins and ends, as it came out: a key's first or last line that was masked itself is neither, or
        redacting it again would mask something else."""
        if self._pem is not None and (self._pem.left <= 0 or _end.search(redacted) is not None):
            self._pem = None
        begun = list(_begin.finditer(redacted))
        if begun and _end.search(redacted[begun[-1].end() :]) is None:
            self._pem = _Pem(running=False, public=b"PRIVATE KEY" not in begun[-1][1])
        self.open = bool(self._pem or self._data or self._named or self._kind_lines)

    def _read_pem(self, line: bytes, start: int) -> Iterator[Find]:
        if self._pem is not None:
            yield from self._pem.read(line, start)
        elif _pem_line.search(line) is not None and _is_mixed(line[start:]):
            self._pem = _Pem(running=True)
            yield from self._pem.read(line, start)

    def _read_value(self, line: bytes, start: int, entry: Any) -> Iterator[Find]:
        name, self._named = self._named, ""
        value = None
        if name.startswith("--"):
            item = _item.match(line[start:])
            value = item and _unquoted(line, start, item.span(1))
        elif name and _opens.match(line[start:]) is not None:
            self._named = name  # as a config.pbtxt is printed, whose string_value comes next
            return
        elif name and entry is not None and entry[1].lower() in (b"value", b"string_value"):
            value = _unquoted(line, start, entry.span(2))
        if value and self._redaction.is_secret(name.lstrip("-"), read_text(line[slice(*value)])):
            yield Find(*value, "credential", _BEFORE_ALL_RULES)
        option = _option.match(line[start:])
        if entry is not None and entry[1].lower() in (b"name", b"key", b"header") and entry[2]:
            named = _quoted.match(entry[2])[1]
        elif entry is not None and entry[2] == b"{":
            named = entry[1]
        else:
            named = option[1] if option is not None else b""
        if self._redaction.is_key(read_text(named).lstrip("-")):
            self._named = read_text(named)

    def _read_data(self, line: bytes, start: int, entry: Any, named: str) -> Iterator[Find]:
        payload = line[start:]
        depth = _indent.match(payload).end()
        if self._data is not None and payload.strip():
            if depth > self._data.depth and not payload.lstrip().startswith(b"}"):
                yield from self._data.read(line, start, depth, entry)
                return
            self._data = None
        if payload.startswith(b"---"):
            self._kind_lines = 0
        if entry is None:
            return
        name, value = entry[1], _quoted.match(entry[2] or b"")[1]
        if name == b"kind":
            self._kind_lines = KIND_LINES if value == b"Secret" else 0
        elif name in (b"data", b"stringData") and value in (b"", b"{"):
            self._data = _Data(depth, every=name == b"stringData" or self._kind_lines > 0)
        elif _scalar.fullmatch(value) is not None and self._redaction.is_key(
            named if name == b"value" else read_text(name)
        ):
            self._data = _Data(depth, every=True, kind="credential", scalar_depth=depth)


class _Pem:
    """Inside a PEM block, of which a `public` one (a certificate) is left as it is. While `running`, one base64 word is its
    next line, however short. Lines of other threads may stand between; after one of those, or after a line shorter than the
    one before it, a word must look like key material."""

    def __init__(self, *, running: bool, public: bool = False) -> None:
        self.left = PEM_LINES
        self._public = public
        self._running, self._masked, self._length, self._shape = running, False, 0, b""

    def read(self, line: bytes, start: int) -> Iterator[Find]:
        self.left -= 1
        if self._public or _header.match(line[start:]) is not None:
            return
        span = None if _masks.match(line[start:]) is not None else self._body_of(line, start)
        if span is None:
            self._running = False
            return
        length = span[1] - span[0]
        self._running = (self._running or not self._masked) and length >= self._length
        self._length, self._shape = length, _shape(line[: span[0]])
        yield Find(*span, "private-key", _BEFORE_ALL_RULES, counted=not self._masked)
        self._masked = True

    def _body_of(self, line: bytes, start: int) -> tuple[int, int] | None:
        alone = _body.match(line[start:])
        if alone is not None and (self._running or (len(alone[1]) >= 16 and _is_mixed(alone[1]))):
            return start + alone.start(1), start + alone.end(1)
        long = _long_body.search(line)
        if long is not None and _is_mixed(long[1]):
            return long.span(1)  # type: ignore[no-any-return]
        end = len(line.rstrip())
        begin = (
            line.rfind(b" ", 0, end) + 1
        )  # a short last line behind a prefix that only the lines before it explain
        if (
            self._running
            and begin
            and _shape(line[:begin]) == self._shape
            and _word.fullmatch(line[begin:end])
        ):
            return begin, end
        return None


class _Data:
    """Inside the `data` of an object, or inside a block scalar. When the kind is not known (kubectl prints `data` before
    `kind`), only what is base64 of a text or of random bytes is masked: a Secret's values are base64, a ConfigMap's words."""

    def __init__(
        self, depth: int, *, every: bool, kind: str = "kubernetes-secret", scalar_depth: int | None = None
    ) -> None:
        self.depth = depth
        self._every, self._kind, self._scalar_depth, self._masked = every, kind, scalar_depth, False

    def read(self, line: bytes, start: int, depth: int, entry: Any) -> Iterator[Find]:
        goes_on = self._scalar_depth is not None and depth > self._scalar_depth
        if not goes_on and entry is not None:
            self._scalar_depth, self._masked = depth, False
            if not entry[2] or _scalar.fullmatch(entry[2].strip()) is not None:
                return
            span = _unquoted(line, start, entry.span(2))
        else:
            span = _unquoted(line, start, (depth, len(line) - start))
        if self._every or _is_base64_value(line[slice(*span)]):
            yield Find(*span, self._kind, _BEFORE_ALL_RULES, counted=not (goes_on and self._masked))
            self._masked = True


def _unquoted(line: bytes, start: int, span: tuple[int, int]) -> tuple[int, int]:
    """Where a value stands in the line, without its quotes and the comma behind them."""
    begin, end = start + max(span[0], 0), start + max(span[1], 0)
    inner = _quoted.match(line[begin:end])
    return begin + inner.start(1), begin + inner.end(1)


def _is_base64_value(value: bytes) -> bool:
    if len(value) < 4 or len(value) % 4:
        return False
    try:
        held = base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    if value.endswith(b"=") or (len(value) >= 20 and _is_mixed(value)):
        return True
    return len(value) >= 8 and all(32 <= byte < 127 for byte in held)


def _is_mixed(body: bytes) -> bool:
    """Upper case, lower case and digits: base64 of random bytes has them, and words, paths and hex do not."""
    return all(letters.search(body) is not None for letters in (_upper, _lower, _digit))


def _shape(prefix: bytes) -> bytes:
    return _digits.sub(b"0", prefix)  # type: ignore[no-any-return]
