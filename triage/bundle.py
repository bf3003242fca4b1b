"""A saved incident: the snapshot, and the rules that judged it. One JSON file, which replays offline to the same bytes; with a name
that ends in .gz it is compressed, to a fifth."""

import gzip
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir
from triage.evidence import Snapshot
from triage.latency.facts import Ranges
from triage.latency.rules import LatencyRules, latency_rules_from_texts
from triage.rules import Rules, rules_from_texts
from triage.wording import clean, short

SCHEMA = "triton-ops/triage-bundle/v1"
MAX_BUNDLE_BYTES = 256 << 20
_LAST_TIME = 4e9
"""Seconds from 1970, either way: the year 2096."""
_LARGEST = 1e19
_GZIP = b"\x1f\x8b"


class BundleError(Exception):
    """A bundle that cannot be written or read; the message says why and what to do."""


class _Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: str
    tree: str
    signatures: Mapping[str, str] = {}
    measures: Mapping[str, str] = {}
    """Of a report on slow requests: the measures and quantities by which it was read."""
    snapshot: Snapshot


def save_bundle(file: Path, snapshot: Snapshot, rules: Rules | LatencyRules) -> None:
    """Writes the bundle, for its owner alone to read; what is there already is not overwritten. Raises BundleError."""
    written = msgspec.json.format(_encoded(snapshot, rules), indent=1)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BundleError(f"{file} is already there; give another name, or remove it first") from None
    except OSError as error:
        raise BundleError(
            f"cannot write {file}: {error.strerror}; give a name in a folder that can be written"
        ) from error
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(gzip.compress(written, mtime=0) if file.suffix == ".gz" else written)
    except OSError as error:
        file.unlink(missing_ok=True)  # half a bundle is none
        raise BundleError(
            f"cannot write {file}: {error.strerror}; give a name where there is room"
        ) from error


def _encoded(snapshot: Snapshot, rules: Rules | LatencyRules) -> bytes:
    bundle = _Bundle(schema=SCHEMA, tree=rules.tree_text, snapshot=snapshot)
    if isinstance(rules, LatencyRules):
        bundle = msgspec.structs.replace(bundle, measures=rules.texts)
    else:
        bundle = msgspec.structs.replace(bundle, signatures=rules.signature_texts)
    try:
        return msgspec.json.encode(bundle, order="sorted")
    except UnicodeEncodeError:  # a file's name or an argument that is not UTF-8: as the report shows it
        told = msgspec.convert(clean(msgspec.to_builtins(snapshot)), Snapshot)
        return msgspec.json.encode(msgspec.structs.replace(bundle, snapshot=told), order="sorted")


def load_bundle(file: Path) -> tuple[Snapshot, Rules | LatencyRules]:
    """The snapshot and the rules of a bundle. Raises BundleError."""
    bundle = _read(file)
    try:
        if bundle.measures:
            return bundle.snapshot, latency_rules_from_texts(bundle.tree, bundle.measures, str(file))
        return bundle.snapshot, rules_from_texts(bundle.tree, bundle.signatures, str(file))
    except InvalidFileError as error:
        remedy = f"judge the evidence by this version's own with --rules {rules_dir()}"
        raise BundleError(
            f"the rules in {file} cannot be used by this version; {remedy}:\n{error}"
        ) from error


def load_snapshot(file: Path) -> Snapshot:
    """The snapshot of a bundle, whatever rules are beside it. Raises BundleError."""
    return _read(file).snapshot


def _read(file: Path) -> _Bundle:
    try:
        with file.open("rb") as handle:
            compressed = handle.read(2) == _GZIP
        with gzip.open(file, "rb") if compressed else file.open("rb") as handle:
            read = handle.read(MAX_BUNDLE_BYTES + 1)
        if len(read) > MAX_BUNDLE_BYTES:
            raise BundleError(f"{file} is larger than any bundle: {MAX_BUNDLE_BYTES} bytes")
        bundle = msgspec.json.decode(read, type=_Bundle)
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or error
        raise BundleError(f"cannot read {file}: {said}; give a file that --save wrote") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{file} is no bundle: {error}; give a file that --save wrote") from error
    if bundle.schema != SCHEMA:
        raise BundleError(f"{file} has schema {bundle.schema!r}, and this version reads {SCHEMA!r}")
    if wrong := next(_impossible(bundle.snapshot), ""):
        raise BundleError(f"{file} is no bundle: {wrong}; give a file that --save wrote")
    return bundle


def _impossible(snapshot: Snapshot) -> Iterator[str]:
    """What no probe can have brought, and no arithmetic could be done with."""
    for at in (snapshot.asked.start, snapshot.asked.end):
        if at is not None and abs(at) > _LAST_TIME:
            yield f"its window has a time that is none: {at:g}"
    for one in snapshot.evidence:
        if isinstance(one.facts, Ranges):
            yield from (f"{short(one.id, 200)} {wrong}" for wrong in _off_the_grid(one.facts))


def _off_the_grid(ranges: Ranges) -> Iterator[str]:
    if not 0 < ranges.step <= _LAST_TIME:
        yield f"has a step of {ranges.step:g} s"
    if not 0 <= ranges.smear <= _LAST_TIME:
        yield f"has a smear of {ranges.smear:g} s"
    if abs(ranges.start) > _LAST_TIME:
        yield f"has a time that is none: {ranges.start:g}"
    for series in ranges.series:
        if len(series.values) != ranges.steps:
            yield f"has {len(series.values)} values on a grid of {ranges.steps} steps"
        for value in series.values:
            if value is not None and abs(value) > _LARGEST:
                yield f"has a value that no source gives: {value:g}"
