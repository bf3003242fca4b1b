import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.rules_dir import rules_dir
from triage.claims import LogReading, deciding, index_claims, kubernetes_claims, mentioned_model, read_log
from triage.evidence import (
    ContainerView,
    EventView,
    Evidence,
    Facts,
    IndexRow,
    LogExcerpt,
    LogLine,
    PodEvents,
    PodView,
    RepositoryIndex,
)
from triage.signatures import load_signatures, parse_signatures

SIGNATURES = parse_signatures(
    {
        "a.yaml": r"""
area: test
signatures:
  - id: device-memory
    role: cause
    category: gpu_memory
    origin: library
    pattern: out of memory
    says: The device has no memory left.
    fix: Give it more.
    cites: [test]
    matches: [CUDA out of memory]
  - id: any-exception
    role: general
    category: model_code
    origin: python
    pattern: \w+Error
    says: The model's code raises.
    fix: Mend it.
    cites: [test]
    matches: [ValueError]
  - id: named-model
    role: cause
    category: artifact_integrity
    origin: triton
    pattern: "broken file of (?P<model>\\w+)"
    says: The file is broken.
    fix: Copy it again.
    cites: [test]
    matches: [broken file of bert]
  - id: harmless
    role: noise
    origin: library
    pattern: Error, trying again
    says: Nothing.
    cites: [test]
    matches: ["ValueError, trying again"]
  - id: killed
    role: cause
    category: host_resources
    origin: kubernetes
    pattern: OOMKilled
    says: The kernel killed it.
    fix: Raise the limit.
    cites: [test]
    matches: [OOMKilled]
"""
    },
    "a.yaml",
)  # fmt: skip
AT = "E0102 03:04:05.000006 1 model_lifecycle.cc:654] "
INFO = "I0102 03:04:05.000006 1 model_lifecycle.cc:461] "


def evidence(facts: Facts) -> Evidence:
    return Evidence(id="e", probe="log", source="", query="", command="", fetched_at="", facts=facts)


def reading(*lines: str) -> LogReading:
    excerpt = LogExcerpt(tuple(LogLine(n, line) for n, line in enumerate(lines, 1)), len(lines), 0)
    return read_log(evidence(excerpt), excerpt, SIGNATURES)


def claimed(*lines: str) -> list[tuple[str, str | None, bool, bool]]:
    """Signature, model, whether it surely is that model's, and whether the words are Triton's own."""
    return [(c.signature.id, c.model, c.sure, c.own) for c in reading(*lines).claims]


def test_a_line_that_names_a_cause_is_a_claim_with_its_place() -> None:
    (claim,) = reading("x", AT + "failed to load 'bert' version 2: Internal: CUDA out of memory").claims
    assert (claim.evidence, claim.number, claim.line, claim.model, claim.version, claim.category) == (
        "e",
        2,
        AT + "failed to load 'bert' version 2: Internal: CUDA out of memory",
        "bert",
        "2",
        "gpu_memory",
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "all is well",
        "ValueError, trying again",
        AT + "failed to load 'bert' version 1: Internal: x",
    ],
)
def test_a_line_that_names_none_or_a_harmless_one_claims_nothing(line: str) -> None:
    assert claimed(line) == []


def test_one_record_makes_one_claim_by_what_decides_it() -> None:
    assert claimed(AT + "failed to load 'bert' version 1: ValueError: out of memory") == [
        ("device-memory", "bert", True, True)
    ]


def test_words_are_tritons_own_only_in_its_line() -> None:
    assert [
        own
        for *_, own in claimed(
            "CUDA out of memory", AT + "out of memory", AT.replace("lifecycle.cc", "a.py") + "ValueError"
        )
    ] == [
        False,
        True,
        False,
    ]


def test_the_telling_line_is_quoted_from_a_message_of_many() -> None:
    (claim,) = reading(
        AT + "failed to load 'bert' version 1: Internal: TypeError", "  raised by", "  CUDA out of memory"
    ).claims
    assert (claim.signature.id, claim.line, claim.number) == ("device-memory", "  CUDA out of memory", 1)


LOADING = INFO + "loading: bert:1", INFO + "loading: gpt:1"


@pytest.mark.parametrize(
    ("lines", "model", "sure"),
    [
        pytest.param(LOADING[:1], "bert", True, id="the only model"),
        pytest.param([*LOADING, INFO + "successfully loaded 'gpt'"], "bert", True, id="alone by then"),
        pytest.param([LOADING[0], AT + "failed to load 'bert' version 1: x", LOADING[1]], "gpt", True,
                     id="not one that failed"),
        pytest.param(LOADING, None, False, id="two that load at once"),
        pytest.param([], None, False, id="none"),
    ],
)  # fmt: skip
def test_a_line_without_a_name_is_about_the_load_that_it_stands_in(
    lines: list[str], model: str | None, sure: bool
) -> None:
    assert claimed(*lines, "CUDA out of memory") == [("device-memory", model, sure, False)]


def test_of_loads_at_once_the_one_that_failed_is_meant_and_not_surely() -> None:
    after = AT + "failed to load 'gpt' version 1: Internal: x", INFO + "successfully loaded 'bert'"
    assert claimed(*LOADING, "CUDA out of memory", *after) == [("device-memory", "gpt", False, False)]


def test_what_is_said_after_a_load_is_not_about_it() -> None:
    assert claimed(LOADING[0], INFO + "successfully loaded 'bert'", "CUDA out of memory") == [
        ("device-memory", None, False, False)
    ]


def test_a_signature_that_captures_the_model_names_it_among_others() -> None:
    assert claimed(*LOADING, AT + "broken file of gpt") == [("named-model", "gpt", True, True)]


def test_each_row_of_the_table_claims_for_its_model() -> None:
    rows = (
        "| a | 1 | UNAVAILABLE: out of memory |",
        "| b | 1 | READY |",
        "| c | 2 | UNAVAILABLE: ValueError |",
    )
    assert claimed(*rows) == [("device-memory", "a", True, True), ("any-exception", "c", True, True)]


@pytest.mark.parametrize(
    ("lines", "own"),
    [
        ([INFO + "up", "error: creating server: Internal - out of memory"], True),
        ([INFO + "up", "error: creating server: Internal - out of memory", INFO + "goes on"], False),
        ([INFO + "up", "error: creating server: Internal - out of memory", "goes on"], True),
        ([INFO + "up", "Error: Internal - out of memory"], False),
        (["error: creating server: Internal - out of memory"], False),
    ],
)
def test_tritons_last_words_are_its_own_where_it_says_nothing_after_them(lines: list[str], own: bool) -> None:
    assert [claim[3] for claim in claimed(*lines)] == [own]


MODELS = {"bert", "bert_2", "bert_2_0", "model", "1", "a.b", "a+b"}


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("failed for 'bert'", "bert"),
        ('failed for "bert_2"', "bert_2"),
        ("failed for 'bert_2_0'", "bert_2_0"),
        ("failed for 'bert_0_1'", "bert"),
        ("can't load 'bert'", "bert"),
        ("'other' needs 'bert'", "bert"),
        ("/models/bert_2/1/model.onnx", "bert_2"),
        ("/models/bert/config.pbtxt", "bert"),
        ("s3://bucket/models/bert/1", "bert"),
        ("/models/model/1/model.py", "model"),
        ("/models/1/1/model.py", "1"),
        ("model bert: x", "bert"),
        ("model instance 'bert_2_0_0'", "bert_2_0"),
        ("model 1.", "1"),
        ("loading model bert/1", "bert"),
        ("bert_2 (version 1)", "bert_2"),
        ("(bert (version 1)", "bert"),
        ("TRITONBACKEND_ModelInstanceInitialize: bert_2_0_0 (GPU device 0)", "bert_2_0"),
        ("'a.b' and 'a+b'", "a.b"),
        ("model axb", None),
        ("berta, alibert, 'bertx', bert-large", None),
        ("model bert-large", None),
        ("/models/bertx/1/model.py", None),
        ("the model failed", None),
        ("expected '1', got '2'", None),
        ("/models/other/1/model.py", None),
        ("bert", None),
        ("", None),
    ],
)
def test_a_text_names_a_model_in_quotes_in_a_path_or_by_the_word(text: str, model: str | None) -> None:
    assert mentioned_model(text, MODELS) == model


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([*[f"{INFO}loading: m{n}:1" for n in range(5000)], *["out of memory"] * 5000], id="many loads"),
        pytest.param([*[f"{INFO}loading: m{n}:1" for n in range(5000)],
                      *["TRITONBACKEND_ModelInstanceInitialize: x_0 (a) out of memory"] * 500], id="instances of no model"),
        pytest.param([f"{INFO}loading: m:1", *["out of memory " + "'/model '" * 3000] * 30], id="signs of names without any"),
        pytest.param([f"{INFO}loading: m:1", *["out of memory " + "_1" * 16000 + " (version"] * 30], id="long names"),
    ],
)  # fmt: skip
def test_many_models_and_claims_are_read_in_time(lines: list[str]) -> None:
    """In quadratic time each would take from ten seconds to minutes."""
    began = time.process_time()
    reading(*lines)
    assert time.process_time() - began < 5


def test_the_index_claims_by_the_reason_of_each_model_that_failed() -> None:
    index = RepositoryIndex(
        (
            IndexRow("a", "1", "UNAVAILABLE", "Internal: x\nCUDA out of memory\ny"),
            IndexRow("b", "1", "READY", "out of memory once"),
            IndexRow("c", "1", "UNAVAILABLE", "unloaded"),
            IndexRow("d"),
        )
    )
    claims = index_claims(evidence(index), index, SIGNATURES)
    assert [(c.model, c.version, c.line, c.own) for c in claims] == [("a", "1", "CUDA out of memory", True)]


SHIPPED = load_signatures(rules_dir() / "signatures")


def container(name: str, state: str, *, init: bool = False) -> ContainerView:
    return ContainerView(
        name=name, image="", init=init, ready=False, restarts=0, state="waiting", last_state=state
    )


def test_kubernetes_claims_by_its_own_words_alone() -> None:
    """A container's message may quote the process: `out of memory` there is nobody's claim."""
    pod = PodView("n", "p", "Running", False, containers=(
        container("server", "terminated: OOMKilled, exit code 137"),
        container("copy", "terminated: OOMKilled, exit code 137", init=True),
        container("other", "terminated: Error, exit code 1: CUDA out of memory"),
    ))  # fmt: skip
    events = PodEvents((EventView("", "Killed", "OOMKilled"), EventView("", "Pulled", "image is there")))
    claims = [*kubernetes_claims(evidence(pod), SIGNATURES), *kubernetes_claims(evidence(events), SIGNATURES)]
    assert [(c.line, c.model) for c in claims] == [
        ("container server terminated: OOMKilled, exit code 137", None),
        ("init container copy terminated: OOMKilled, exit code 137", None),
        ("event Killed: OOMKilled", None),
    ]


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("OOMKilled", [("k8s-oom-killed", False)]),
        (
            "done\ncontainer server terminated: OOMKilled",
            [("k8s-oom-killed", False)],
        ),
        ("all is well", []),
    ],
)
def test_the_last_words_that_a_container_leaves_are_not_kubernetes_own(
    message: str, told: list[tuple[str, bool]]
) -> None:
    pod = PodView("n", "p", "Running", False, containers=(
        container("server", f"terminated: Error, exit code 1: {message}"),
    ))  # fmt: skip
    assert [(c.signature.id, c.own) for c in kubernetes_claims(evidence(pod), SHIPPED)] == told


def test_what_a_probe_prints_is_not_kubernetes_own() -> None:
    events = PodEvents((EventView("", "Unhealthy", "Liveness probe failed: OOMKilled"),))
    claims = list(kubernetes_claims(evidence(events), SHIPPED))
    assert [(c.signature.id, c.own) for c in claims] == [
        ("k8s-probe-failed", True),
        ("k8s-oom-killed", False),
    ]


def test_the_last_words_hide_no_kill_by_the_kernel() -> None:
    """Whatever else they would be a cause of."""
    pod = PodView("n", "p", "Running", False, containers=(
        container("server", "terminated: OOMKilled, exit code 137: CUDA out of memory"),
    ))  # fmt: skip
    assert ("k8s-oom-killed", True) in [
        (c.signature.id, c.own) for c in kubernetes_claims(evidence(pod), SHIPPED)
    ]


def test_the_claim_nearest_the_root_decides() -> None:
    """A cause before a general line, a sure one before an unsure one, Triton's own before anybody's, and then the first."""
    lines = (
        *LOADING,
        "bert ValueError",
        "CUDA out of memory",
        "out of memory of model 'gpt'",
        AT + "out of memory of model 'gpt'",
        AT + "again: out of memory of model 'gpt'",
        AT + "failed to load 'bert' version 1: x",
    )
    claims = reading(*lines).claims
    assert [c.number for c in sorted(claims, key=lambda c: c.rank)] == [6, 7, 5, 4, 3]
    assert (deciding(claims), deciding([])) == (claims[3], None)


WORDS = st.sampled_from(
    ["out of memory", "ValueError", *LOADING, AT, "'bert'", "| a | 1 | READY |", '"\\ud800"', "\x85"]
)


@given(st.lists(st.lists(WORDS | st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=4)))
def test_every_claim_quotes_a_line_of_the_log(parts: list[list[str]]) -> None:
    lines = ["".join(line) for line in parts]
    for claim in reading(*lines).claims:
        assert claim.line in {line.strip("\r\n") for line in lines}
