"""What is a change of a model repository, in which words, and what is none."""

import json
from typing import Any

import pytest

from telemetry.rules_dir import rules_dir
from triage.latency.facts import RepositoryChange
from triage.repository.compare import compare
from triage.repository.configuration import MAX_FIELDS, fingerprint_config
from triage.repository.fingerprints import File, Known, Look, after_look
from triage.rules import seals_from_folder

_make_seal = seals_from_folder(rules_dir())
MODEL_PY = File(size=10, mtime_ns=5_000_000_000, ctime_ns=5_000_000_000, sha256="aa")
READY = {"m": {"1": "READY"}}


def config(**fields: Any) -> Look:
    """A look at 20 s that sees `m` with this configuration."""
    body = json.dumps({"name": "m", **fields}).encode()
    made, hidden = fingerprint_config(body, lambda value: _make_seal().value(value))
    return Look(20.0, 21.0, READY, {"m": made}, hidden={"m": hidden})


def index(**models: dict[str, str]) -> Look:
    return Look(20.0, 21.0, models)


def folders(unread: str = "", **models: dict[str, File]) -> Look:
    unknown = {f"files {unread}": "Permission denied"} if unread else {}
    return Look(20.0, 21.0, folders=models, folders_began=19.0, unknown=unknown)


def changed(before: Look, now: Look) -> list[str]:
    """What `now` tells after `before`, both made by the functions above."""
    return [f"{each.model}: {each.what}" for each in compare(after_look(Known(), before), now)]


def test_a_change_lies_after_the_look_that_saw_it_otherwise_began() -> None:
    known = after_look(Known(), config(max_batch_size=4))
    (change,) = compare(known, Look(50.0, 51.0, READY, config(max_batch_size=8).configs))
    assert change == RepositoryChange(51.0, 20.0, "m", "config changed: max_batch_size 4 -> 8")


def test_a_look_that_could_not_see_it_widens_the_interval_and_removes_nothing() -> None:
    known = after_look(Known(), config(max_batch_size=4))
    away = Look(30.0, 31.0, unknown={"index": "refused", "configs": "the index is unknown"})
    assert compare(known, away) == ()
    (change,) = compare(after_look(known, away), Look(50.0, 51.0, READY, config(max_batch_size=8).configs))
    assert (change.after, change.seen_at) == (20.0, 51.0)


def test_a_clock_that_was_set_back_gives_no_interval_that_ends_before_it_begins() -> None:
    known = after_look(Known(), config(max_batch_size=4))
    (change,) = compare(known, Look(5.0, 6.0, READY, config(max_batch_size=8).configs))
    assert (change.after, change.seen_at) == (6.0, 6.0)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (
            {"dynamic_batching": {"max_queue_delay_microseconds": 0}},
            {"dynamic_batching": {"max_queue_delay_microseconds": 200000}},
            "config changed: dynamic_batching.max_queue_delay_microseconds 0 -> 200000",
        ),
        (  # what a new block leaves at its default tells nothing
            {},
            {"dynamic_batching": {"max_queue_delay_microseconds": 9, "preserve_ordering": False}},
            "config changed: dynamic_batching.max_queue_delay_microseconds not set -> 9",
        ),
        (
            {},
            {"dynamic_batching": {"preserve_ordering": False}},
            "config changed: dynamic_batching.preserve_ordering not set -> false",
        ),
        (  # an item is known by its name: one in front does not change all
            {"instance_group": [{"name": "b", "count": 1}]},
            {"instance_group": [{"name": "a", "count": 2}, {"name": "b", "count": 1}]},
            "config changed: instance_group[a].count not set -> 2; instance_group[a].name not set -> a",
        ),
        (
            {"input": [{"name": "X", "dims": [1]}]},
            {"input": [{"name": "X", "dims": [1, 8]}]},
            "config changed: input[X].dims [1] -> [1,8]",
        ),
        (
            {"parameters": {"threads": {"string_value": "4"}}},
            {"parameters": {"threads": {"string_value": ""}}},
            'config changed: parameters.threads 4 -> ""',
        ),
    ],
)
def test_a_configuration_is_told_by_field(before: Any, now: Any, told: str) -> None:
    assert changed(config(**before), config(**now)) == [f"m: {told}"]


def test_the_same_configuration_in_another_order_is_no_change() -> None:
    assert changed(config(a=1, b={"c": 1, "d": 2}), config(b={"d": 2, "c": 1}, a=1)) == []


def test_of_many_fields_some_are_named_and_the_rest_is_counted() -> None:
    (told,) = changed(config(**{f"f{n}": 1 for n in range(9)}), config(**{f"f{n}": 2 for n in range(9)}))
    assert told.endswith("f5 1 -> 2; and 3 more fields")


def test_a_change_at_the_end_of_a_long_value_is_seen() -> None:
    (told,) = changed(config(comment="x" * 900 + "a"), config(comment="x" * 900 + "b"))
    before, _, now = told.removeprefix("m: config changed: comment ").partition(" -> ")
    assert (len(before), len(now), before != now) == (60, 60, True)


def test_a_configuration_of_very_many_fields_is_kept_short_and_its_change_is_seen() -> None:
    many = {"big": {str(n): {"deep": {"deeper": n}} for n in range(MAX_FIELDS + 1)}}
    before, now = config(**many), config(**{"big": {**many["big"], "0": {"deep": {"deeper": -1}}}})
    assert len(before.configs["m"].fields) <= MAX_FIELDS
    (told,) = changed(before, now)
    assert told.startswith("m: config changed: big ")


def test_a_secret_is_neither_kept_nor_told_and_its_change_is() -> None:
    before = config(parameters={"api_key": {"string_value": "hunter2-hunter2"}})
    now = config(parameters={"api_key": {"string_value": "hunter3-hunter3"}})
    assert before.configs == now.configs
    assert "hunter" not in repr(before)
    assert changed(before, now) == ["m: config changed: parameters.api_key changed, not shown"]
    assert changed(before, before) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name": 1}', b"\xff", b"[" * 100_000])
def test_what_is_no_configuration_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a model configuration"):
        fingerprint_config(body, lambda value: value)


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (index(m={"1": "READY"}), index(m={"1": "READY", "2": "READY"}), ["m: version 2 added: READY"]),
        (index(m={"1": "READY", "2": "READY"}), index(m={"1": "READY"}), ["m: version 2 removed, was READY"]),
        (
            index(m={"1": "READY"}),
            index(m={"1": "UNAVAILABLE: unloaded"}),
            ["m: version 1 READY -> UNAVAILABLE: unloaded"],
        ),
        (index(), index(m={"1": "READY"}), ["m: added to the repository index: version 1 READY"]),
        (index(), index(m={}), ["m: added to the repository index"]),
        (index(m={"1": "READY"}), index(), ["m: no longer in the repository index"]),
        (index(m={"1": "READY"}), index(m={"1": "READY"}), []),
        (folders(), index(m={"1": "READY"}), []),  # the index was never seen without it
    ],
)
def test_models_and_versions(before: Look, now: Look, told: list[str]) -> None:
    assert changed(before, now) == told


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (MODEL_PY, []),
        (File(10, 6_000_000_000, 6_000_000_000, "aa"), ["written again with the same content"]),
        (File(10, 5_000_000_000, 9_000_000_000, "aa"), []),  # only its rights or owner
        (File(10, 6_000_000_000, 6_000_000_000, "bb"), ["changed, 10 bytes"]),
        (File(12, 6_000_000_000, 6_000_000_000, "bb"), ["changed, 10 bytes -> 12 bytes"]),
        (File(10, 5_000_000_000, 9_000_000_000, "bb"), ["changed, 10 bytes"]),  # with its old mtime
        (
            File(12, 20_500_000_000, 20_500_000_000, "bb"),
            ["changed, 10 bytes -> 12 bytes, mtime 00:00:20 UTC"],
        ),
        (
            File(12, 6_000_000_000, 6_000_000_000, unread="Permission denied"),
            ["changed by size or time, its content was not read (Permission denied)"],
        ),
        (
            File(0, 0, 0, link="../x"),
            ["points to ../x, before to nothing: it was a file"],
        ),
    ],
)
def test_files(now: File, told: list[str]) -> None:
    got = changed(folders(m={"1/model.py": MODEL_PY}), folders(m={"1/model.py": now}))
    assert got == [f"m: file 1/model.py {what}" for what in told]


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (folders(m={}), folders(m={"1/a": MODEL_PY}), ["m: file 1/a added, 10 bytes"]),
        (folders(m={"1/a": MODEL_PY}), folders(m={}), ["m: file 1/a removed"]),
        (folders(), folders(m={"1/a": MODEL_PY}), ["m: folder added with 1 file"]),
        (folders(m={}), folders(), ["m: folder removed"]),
        (folders(m={"1/a": MODEL_PY}), folders(unread="m"), []),  # not to see it is not to see it removed
        (folders(unread="m"), folders(m={"1/a": MODEL_PY}), []),  # nor, for the first time, added
        (
            folders(m={}),
            folders(m={f"1/{n:02}": MODEL_PY for n in range(12)}),
            [*(f"m: file 1/{n:02} added, 10 bytes" for n in range(10)), "m: 2 more files changed"],
        ),
    ],
)
def test_folders(before: Look, now: Look, told: list[str]) -> None:
    assert changed(before, now) == told
