import pytest
from hypothesis import given
from hypothesis import strategies as st

from triage.load_attempts import LoadLog, model_of_instance, read_attempts
from triage.log_records import read_records

AT = "I0102 03:04:05.000006 1 model_lifecycle.cc:461] "
START = "I0102 03:04:05.000006 1 pinned_memory_manager.cc:277] Pinned memory pool is created at '0x7f' with size 268435456"
SERVING = "I0102 03:04:05.000006 1 http_server.cc:4692] Started HTTPService at 0.0.0.0:8000"
NO_SERVER = "error: creating server: Internal - failed to load all models"


def log(*lines: str) -> LoadLog:
    return read_attempts(read_records(enumerate(lines, 1)))


def outcomes(*lines: str) -> dict[str, str]:
    """model -> `version outcome`, as Triton's own lines."""
    attempts = log(*(AT + line for line in lines)).attempts.values()
    return {attempt.model: f"{attempt.version} {attempt.outcome}" for attempt in attempts}


def test_a_load_is_told_from_its_begin_to_its_reason() -> None:
    attempt = log(
        AT + "loading: bert:3", "x", AT + "failed to load 'bert' version 3: Internal: no file"
    ).attempts["bert"]
    assert (attempt.version, attempt.began, attempt.ended, attempt.outcome, attempt.reason, attempt.own) == (
        "3",
        1,
        3,
        "failed",
        "Internal: no file",
        True,
    )


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("loading: bert:1", "1 loading"),
        ("re-loading: bert:1", "1 loading"),
        ("TRITONBACKEND_ModelInitialize: bert (version 1)", "1 loading"),
        ("successfully loaded 'bert' version 1", "1 loaded"),
        ("successfully loaded 'bert'", " loaded"),
        ("successfully unloaded 'bert' version 1", "1 unloaded"),
        ("failed to load 'bert' version 1: Internal: x", "1 failed"),
        ("failed to load 'bert', failed to poll from model repository", " failed"),
        ("failed to load model 'bert': x", " failed"),
        ("Poll failed for model directory 'bert': unexpected platform", " failed"),
        ("load failed for model 'bert': version 1 is at UNAVAILABLE state: Internal: x;", "1 failed"),
    ],
)
def test_each_of_tritons_lines_tells_how_a_load_stands(line: str, outcome: str) -> None:
    assert outcomes(line) == {"bert": outcome}


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Downloading: 100%|###| 440M/440M [00:05<00:00, 80MB/s]", id="progress bar"),
        pytest.param("INFO loading: shard:1", id="another program's loading"),
        pytest.param("OSError: failed to load 'tokenizer.json'", id="a file"),
        pytest.param("failed to load '/opt/lib/libx.so' version 1", id="a path"),
        pytest.param("unloading: bert:1", id="unloading"),
        pytest.param("failed to unload 'bert'", id="failed unload"),
    ],
)
def test_what_others_load_is_no_model(line: str) -> None:
    assert log(line).attempts == {}


def test_a_file_that_a_backend_cannot_load_is_told_by_tritons_line_alone() -> None:
    """The shortest form, without a version, is believed of Triton; of others it may speak of anything."""
    assert list(log("failed to load 'bert': gone", AT + "failed to load 'gpt': gone").attempts) == ["gpt"]


def test_a_header_that_could_not_be_read_still_shows_the_begin() -> None:
    assert [*log('{"message": "1 model_lifecycle.cc:461] loading: bert:1"}').attempts] == []
    assert [*log("Jan 2 host triton: model_lifecycle.cc:461] loading: bert:1").attempts] == ["bert"]


def test_parallel_loads_are_told_apart_whatever_the_names() -> None:
    assert outcomes(
        "loading: bert:1",
        "loading: bert_2:1",
        "loading: bert_2_0:1",
        "loading: model:7",
        "loading: 1:1",
        "failed to load 'bert_2' version 1: Internal: x",
        "successfully loaded 'bert_2_0'",
        "successfully loaded 'bert'",
        "failed to load '1' version 1: Internal: y",
    ) == {
        "bert": "1 loaded",
        "bert_2": "1 failed",
        "bert_2_0": "1 loaded",
        "model": "7 loading",
        "1": "1 failed",
    }


LOADED = ("loading: bert:1", "successfully loaded 'bert'")


@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        pytest.param(["successfully unloaded 'bert' version 1"], "1 unloaded", id="asked to unload"),
        pytest.param(
            ["loading: bert:2", "successfully loaded 'bert'", "successfully unloaded 'bert' version 1"],
            "2 loaded",
            id="the next version replaced it",
        ),
        pytest.param(
            ["loading: bert:1", "successfully loaded 'bert'", "successfully unloaded 'bert' version 1"],
            "1 loaded",
            id="the same version loaded anew",
        ),
        pytest.param(
            ["loading: bert:2", "successfully unloaded 'bert' version 1", "successfully loaded 'bert'"],
            "2 loaded",
            id="unloaded by a thread that was faster",
        ),
        pytest.param(
            ["loading: bert:2", "successfully loaded 'bert'", "successfully unloaded 'bert' version 1",
             "successfully unloaded 'bert' version 2"],
            "2 unloaded",
            id="replaced, then asked to unload",
        ),
    ],
)  # fmt: skip
def test_an_unload_ends_a_model_only_where_no_later_load_serves(then: list[str], outcome: str) -> None:
    """Triton unloads the earlier version in the background, once the next one is loaded."""
    assert outcomes(*LOADED, *then) == {"bert": outcome}


@pytest.mark.parametrize(
    "after",
    [
        pytest.param(
            "successfully unloaded 'bert' version 2", id="Triton unloads the versions that did load"
        ),
        pytest.param(
            "successfully loaded 'bert' version 2", id="before 21.10, versions were told one by one"
        ),
        pytest.param("failed to load 'bert' version 1: Internal: again", id="told twice"),
    ],
)
def test_a_version_that_failed_is_a_failure_whatever_becomes_of_the_others(after: str) -> None:
    lines = "loading: bert:1", "loading: bert:2", "failed to load 'bert' version 1: Internal: x", after
    assert outcomes(*lines) == {"bert": "1 failed"}


def test_a_failed_reload_says_that_an_earlier_version_may_still_serve() -> None:
    first = log(*(AT + line for line in ("loading: bert:1", "failed to load 'bert' version 1: Internal: x")))
    again = log(
        *(AT + line for line in (*LOADED, "loading: bert:2", "failed to load 'bert' version 2: Internal: x"))
    )
    assert [(a.attempts["bert"].outcome, a.attempts["bert"].loaded_before) for a in (first, again)] == [
        ("failed", False),
        ("failed", True),
    ]


def test_a_load_that_worked_at_last_keeps_no_reason() -> None:
    lines = (
        "loading: bert:1",
        "failed to load 'bert' version 1: Internal: x",
        "loading: bert:1",
        "successfully loaded 'bert'",
    )
    attempt = log(*(AT + line for line in lines)).attempts["bert"]
    assert (attempt.outcome, attempt.reason, attempt.began, attempt.ended) == ("loaded", "", 3, 4)


def test_a_load_that_begins_twice_is_the_second_one() -> None:
    """The server was killed during the first: what was said then is not said of the second."""
    assert log(AT + "loading: bert:1", "x", START, AT + "loading: bert:1").attempts["bert"].began == 4
    assert log(AT + "loading: bert:1", "x", AT + "loading: bert:2").attempts["bert"].began == 1


def test_after_a_restart_nothing_is_loaded_and_no_earlier_version_serves() -> None:
    again = log(
        *(AT + line for line in LOADED), SERVING, START, AT + "failed to load 'gpt' version 1: Internal: x"
    )
    assert ({m: a.outcome for m, a in again.attempts.items()}, again.serving) == ({"gpt": "failed"}, None)
    reload = log(
        *(AT + line for line in (*LOADED, "loading: bert:2")),
        START,
        AT + "failed to load 'bert' version 2: x",
    )
    assert reload.attempts["bert"].loaded_before is False


def test_a_failure_of_the_life_before_is_kept_until_the_model_loads() -> None:
    failed = AT + "failed to load 'bert' version 1: Internal: x", NO_SERVER, START
    assert log(*failed).attempts["bert"].outcome == "failed"
    assert log(*failed, *(AT + line for line in LOADED)).attempts["bert"].outcome == "loaded"


def test_the_server_says_whether_it_serves() -> None:
    assert [
        (each.serving, each.no_server) for each in (log(SERVING), log("x", NO_SERVER), log(SERVING, START))
    ] == [
        (1, None),
        (None, 2),
        (None, None),
    ]


TABLE = "I0102 03:04:05.000006 1 server.cc:674] "


def test_the_table_of_models_tells_what_the_lines_did_not() -> None:
    rows = (
        "| a | 1 | READY |",
        "| b | 1 | UNAVAILABLE: Internal: x |",
        "| c | 1 | UNAVAILABLE: unloaded |",
        "| d | 2 | LOADING |",
    )
    assert {m: (a.outcome, a.reason) for m, a in log(TABLE, "+--+", *rows).attempts.items()} == {
        "a": ("loaded", ""),
        "b": ("failed", "Internal: x"),
        "d": ("loading", ""),
    }


def test_the_table_repeats_a_failure_and_neither_moves_nor_cures_it() -> None:
    lines = (
        AT + "failed to load 'b' version 1: Internal: whole reason",
        TABLE,
        "+--+",
        "| b | 1 | UNAVAILABLE: Internal |",
    )
    attempt = log(*lines, "| b | 2 | READY |").attempts["b"]
    assert (attempt.outcome, attempt.reason, attempt.ended) == ("failed", "Internal: whole reason", 1)


@pytest.mark.parametrize(
    ("instance", "model"),
    [("bert", "bert"), ("bert_0", "bert"), ("bert_2", "bert_2"), ("bert_2_0", "bert_2"), ("bert_2_0_1", "bert_2"),
     ("bert_x_0", None), ("gpt_0", None), ("1_0", "1"), ("_1" * 20_000, None)],
)  # fmt: skip
def test_an_instance_is_of_the_model_with_the_longest_name(instance: str, model: str | None) -> None:
    text = f"TRITONBACKEND_ModelInstanceInitialize: {instance} (GPU device 0)"
    assert model_of_instance(text, {"bert", "bert_2", "1"}) == model


EVENTS = st.sampled_from(
    ["loading: a:1", "loading: a:2", "successfully loaded 'a'", "successfully unloaded 'a' version 1",
     "successfully unloaded 'a' version 2", "failed to load 'a' version 1: x", "loading: b:1"]
)  # fmt: skip


@given(st.lists(EVENTS, min_size=1))
def test_whatever_the_order_the_last_begin_failure_or_success_is_not_lost(lines: list[str]) -> None:
    of_a = [line for line in lines if " a:" in line or "'a'" in line]
    expected = {"l": "loading", "s": "loaded", "f": "failed"}
    if of_a and "unloaded" not in of_a[-1]:
        attempt = log(*(AT + line for line in lines)).attempts["a"]
        assert attempt.outcome == expected[of_a[-1][0]]
        assert attempt.ended is None or attempt.outcome != "loading"


def test_a_model_of_which_no_version_was_found_did_not_load() -> None:
    """The table of models has no version of it to name."""
    attempts = log(
        "| Model | Version | Status |", "| bert  | -       | Not loaded: No model version was found |"
    ).attempts
    assert [(a.model, a.version, a.outcome, a.reason) for a in attempts.values()] == [
        ("bert", "", "failed", "No model version was found")
    ]


@pytest.mark.parametrize(
    "line",
    [
        "Invalid argument: ensemble ens depends on 'enc' which has no loaded version. Model 'enc' loading failed with error: x;",
        "Invalid argument: ensemble 'ens' depends on 'enc' which has no loaded version",
        "Invalid argument: ensemble ens depends on 'enc' which is not valid",
    ],
)
def test_an_ensemble_that_is_not_tried_for_its_child_has_failed(line: str) -> None:
    told = log(AT + "failed to load 'enc' version 1: x", AT + line).attempts["ens"]
    assert (told.outcome, told.began, told.ended) == ("failed", 2, 2)
    assert "ens" not in log(line).attempts  # anybody may say so
    assert outcomes(line, "successfully loaded 'ens'")["ens"] == " loaded"


@pytest.mark.parametrize(
    "line",
    [
        "failed to load model 'bert' from the hub",
        "Failed to load 'bert' version 1: Internal: x",
        "| bert | 1 | UNAVAILABLE: Internal: x |",
    ],
)
def test_a_line_without_its_source_makes_no_model_known_where_tritons_have_theirs(line: str) -> None:
    """Models print such lines of their own parts; an excerpt may have lost what stood before each line."""
    assert [*log(AT + "loading: m:1", line).attempts] == ["m"]
    assert [*log(line).attempts] == ["bert"]
