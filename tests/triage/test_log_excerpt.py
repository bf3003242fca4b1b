import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telemetry.rules_dir import rules_dir
from triage.evidence import LogExcerpt
from triage.log_excerpt import (
    BETWEEN_BYTES,
    HEAD_BYTES,
    LINE_CHARACTERS,
    REPEATS,
    TAIL_BYTES,
    WORTH,
    LogKeeper,
    Room,
)
from triage.signatures import load_signatures, parse_signatures

SIGNATURES = parse_signatures(
    {
        "a.yaml": """
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
"""
    },
    "a.yaml",
)
CHATTER = (
    "I0102 03:04:05.000006 1 grpc_server.cc:1] a verbose line about a request with its payload and its upload"
)
HEAD = [CHATTER] * (HEAD_BYTES // (len(CHATTER) + 1) + 1)
TAIL = [CHATTER] * (TAIL_BYTES // (len(CHATTER) + 1) + 1)


def excerpt(lines: list[str]) -> LogExcerpt:
    keeper = LogKeeper(lambda text: text, SIGNATURES.any)
    for line in lines:
        keeper.feed(line)
    return keeper.excerpt()


def middle(lines: list[str]) -> list[str]:
    """What is kept of lines that stand between a full head and a full tail."""
    return [line.text for line in excerpt([*HEAD, *lines, *TAIL]).lines if line.text != CHATTER]


def test_a_small_log_is_kept_whole() -> None:
    lines = ["I0102 03:04:05.000006 1 server.cc:1] up", "", "anything"]
    kept = excerpt(lines)
    assert [line.text for line in kept.lines] == lines
    assert [line.number for line in kept.lines] == [1, 2, 3]
    assert (kept.lines_read, kept.bytes_read, kept.dropped, kept.cut) == (
        3,
        sum(len(line) + 1 for line in lines),
        0,
        False,
    )


@pytest.mark.parametrize(
    "line",
    [
        "E0102 03:04:05.000006 1 server.cc:1] anything",
        "2024-01-02T03:04:05Z F 1 server.cc:1] anything",
        "2024-01-02T03:04:05.1Z stderr F E0102 03:04:05.000006 1 server.cc:1] anything",
        "I0102 03:04:05.000006 1 model_lifecycle.cc:1] loading: bert:1",
        "I0102 03:04:05.000006 1 model_lifecycle.cc:1] successfully unloaded 'bert' version 1",
        "| bert | 1 | UNAVAILABLE: failed to load |",
        "torch.cuda.OutOfMemoryError: CUDA out of memory",
    ],
)
def test_of_the_middle_errors_outcomes_and_known_messages_are_kept(line: str) -> None:
    assert middle([line]) == [line]


@pytest.mark.parametrize(
    "line",
    [
        "I0102 03:04:05.000006 1 server.cc:1] up",
        "downloading payload",
        "POST /upload 200",
        "",
        "out of patience",
    ],
)
def test_of_the_middle_nothing_else_is_kept(line: str) -> None:
    assert middle([line]) == []


def test_what_follows_an_error_is_kept_with_it_until_triton_speaks_again() -> None:
    lines = ["E0102 03:04:05.000006 1 server.cc:1] failed", "  at a", "reason b", CHATTER + " x", "c"]
    assert middle(lines) == lines[:3]


def test_what_is_repeated_does_not_crowd_out_what_is_not() -> None:
    again = "E0102 03:04:05.000006 1 model_lifecycle.cc:654] failed to poll the repository"
    assert middle([*[again] * 5000, "CUDA out of memory"]) == [*[again] * REPEATS, "CUDA out of memory"]


def test_short_lines_are_repeated_only_where_they_are_the_same() -> None:
    counted = [f"load {number}" for number in range(100)]
    apart = [line for each in counted for line in (each, CHATTER + " x")]
    assert middle([*apart, "CUDA out of memory"])[-1] == "CUDA out of memory"


def test_a_middle_that_could_not_be_kept_is_told() -> None:
    """Else a `no` would rest on lines that nobody searched."""
    most = BETWEEN_BYTES // 20_000 + 5
    noisy = [*HEAD, *(f"load {number} " + str(number) * 20_000 for number in range(most)), *TAIL]
    assert [excerpt(lines).cut for lines in (noisy, [*HEAD, *["quiet"] * 50_000, *TAIL])] == [True, False]


def test_what_a_progress_bar_is_drawn_over_is_not_lost() -> None:
    line = " 50%|##  |\r100%|####|\rE0102 03:04:05.000006 1 server.cc:1] failed"
    assert [part.text for part in excerpt([line, "\r", "next\r"]).lines] == [*line.split("\r"), "", "next"]


@pytest.mark.parametrize("length", [LINE_CHARACTERS, LINE_CHARACTERS + 1, 10 * LINE_CHARACTERS])
def test_a_longer_line_is_cut_and_says_so(length: int) -> None:
    (line,) = excerpt(["x" * length]).lines
    assert (
        line.text == "x" * length
        if length <= LINE_CHARACTERS
        else line.text == "x" * LINE_CHARACTERS + " [cut]"
    )


def test_a_line_is_cut_before_it_is_sealed() -> None:
    keeper = LogKeeper(lambda text: str(len(text)), SIGNATURES.any)
    keeper.feed("x" * 1_000_000)
    assert keeper.excerpt().lines[0].text == str(LINE_CHARACTERS + len(" [cut]"))


@pytest.mark.parametrize(
    "line", ["", "x", "load ", CHATTER, "x" * 5000, "\r" * 5000, "\r0123456789abcdef" * 60]
)
def test_a_log_without_end_takes_bounded_memory(line: str) -> None:
    keeper = LogKeeper(lambda text: text, SIGNATURES.any)
    for number in range(100_000 if len(line) < 100 else 8_000_000 // (len(line) + 8)):
        keeper.feed(f"{line}{number}")
    lines = keeper.excerpt().lines
    assert len(lines) < 90_000
    assert sum(len(part.text) for part in lines) < HEAD_BYTES + BETWEEN_BYTES + TAIL_BYTES


@given(st.lists(st.text(st.characters(exclude_characters="\n\r"), max_size=40), max_size=50))
def test_every_line_of_a_small_log_is_kept_in_order(lines: list[str]) -> None:
    assert [line.text for line in excerpt(lines).lines] == lines


def test_a_flood_of_errors_takes_no_place_of_a_load() -> None:
    """Each of them says something else."""
    keeper = LogKeeper(
        lambda text: text, SIGNATURES.any, Room(head=0, between=2000, tail=0, errors=1000, repeats=50)
    )
    for number in range(100):
        keeper.feed(f"E0102 03:04:05.000006 1 pb_stub.cc:714] failed: {number}")
        keeper.feed(f"I0102 03:04:{number % 60:02}.000006 1 model.cc:1] {'long ' * 10}{number}")
    loading = "I0102 03:05:00.000006 1 model_lifecycle.cc:472] loading: m:1"
    keeper.feed(loading)
    kept = keeper.excerpt()
    assert (kept.lines[-1].text, kept.cut, 10 < len(kept.lines) < 25) == (loading, False, True)


def test_a_load_that_is_repeated_may_be_kept_each_time_also_where_the_runtimes_time_precedes_it() -> None:
    keeper = LogKeeper(lambda text: text, SIGNATURES.any, Room(head=0, tail=0, repeats=50))
    usual = LogKeeper(lambda text: text, SIGNATURES.any, Room(head=0, tail=0))
    said = f"model_lifecycle.cc:839] successfully loaded '{'long-name-' * 4}'"
    for minute in range(40):
        line = f"2026-01-02T03:{minute:02}:05.000000001Z I0102 03:{minute:02}:05.000006 1 {said}"
        keeper.feed(line)
        usual.feed(line)
    assert (len(keeper.excerpt().lines), len(usual.excerpt().lines)) == (40, REPEATS)


def test_a_flood_of_one_kind_takes_no_place_of_another_and_numbers_make_no_new_message() -> None:
    room = Room(head=0, between=2000, tail=0, errors=1000)
    keeper = LogKeeper(lambda text: text, SIGNATURES.any, room)
    for number in range(1000):
        keeper.feed(f"E0102 03:04:05.000006 1 pb.cc:1] request {number}: out of memory")
        keeper.feed(f"loaded image-{number}.jpg")
    loading = "I0102 03:05:00.000006 1 model_lifecycle.cc:472] loading: m:1"
    keeper.feed(loading)
    kept = keeper.excerpt()
    assert kept.lines[-1].text == loading
    assert sum("out of memory" in line.text for line in kept.lines) == REPEATS
    assert kept.cut  # of the lines about images, which may be about loads


LINES = st.sampled_from(
    [
        "quiet",
        "",
        "  at a",
        "x" * 300,
        CHATTER,
        "E0102 03:04:05.000006 1 server.cc:1] broken",
        "CUDA out of memory",
        "I0102 03:05:00.000006 1 model_lifecycle.cc:472] loading: m:1",
    ]
)


@settings(max_examples=400)
@example(
    ["quiet", *["I0102 03:05:00.000006 1 model_lifecycle.cc:472] loading: m:1"] * 3, "quiet"],
    [1, 1, 1, 1],
    61,
)
@given(st.lists(LINES, max_size=120), st.lists(st.integers(1, 40), max_size=10), st.integers(0, 2000))
def test_lines_that_are_skimmed_are_kept_as_if_each_were_looked_at(
    lines: list[str], cuts: list[int], tail: int
) -> None:
    worth_a_look = SIGNATURES.skimmer(WORTH)
    room = Room(head=200, tail=tail)
    each = LogKeeper(lambda text: text, SIGNATURES.any, room)
    together = LogKeeper(lambda text: text, SIGNATURES.any, room, lambda text: not worth_a_look(text))
    for line in lines:
        each.feed(line)
    rest = list(lines)
    for cut in [*cuts, len(rest)]:
        if part := rest[:cut]:
            together.feed_lines("".join(line + "\n" for line in part))
        del rest[:cut]
    assert together.excerpt() == each.excerpt()
    assert together.excerpt() == each.excerpt()  # it may be asked again


def test_what_is_worth_keeping_is_worth_a_look() -> None:
    """Of every row its examples, among quiet lines; and every form of Triton's own errors."""
    known = load_signatures(rules_dir() / "signatures")
    worth_a_look = known.skimmer(WORTH)
    telling = [text for row in known.all if row.tells_failure for text in row.matches]
    errors = [
        "E0102 03:04:05.000006 1 server.cc:1] x",
        "2024-01-02T03:04:05Z F 1 server.cc:1] x",
        "triton-1  | E0102 03:04:05.000006 1 server.cc:1] x",
        "[libprotobuf ERROR google/protobuf/text_format.cc:335] x",
        "2026-01-02 03:04:05.000006 [E:onnxruntime:log, inference_session.cc:1] x",
        "Poll failed for model directory 'm': x",
        "LOADING: m:1",
    ]
    assert [text for text in (*telling, *errors) if not worth_a_look(f"quiet\n{text}\nquiet\n")] == []
    assert not worth_a_look("quiet\n" + (CHATTER + "\n") * 20)
