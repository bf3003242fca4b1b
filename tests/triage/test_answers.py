"""What a test of the tree answers: `no` needs evidence that could have shown the contrary, and what was not seen is `unknown`."""

import pytest

from tests.triage.snapshots import (
    GAVE_UP,
    RULES,
    SERVING,
    container,
    evidence,
    failed,
    gone,
    index,
    loaded,
    loading,
    log,
    own,
    pod,
    previous_log,
    ready,
    unavailable,
)
from triage.answers import Answer, answer, rests_on_text, view_of
from triage.case import make_case, primary
from triage.evidence import Evidence, IndexRow, Missing, ModelConfig, Readiness
from triage.tree import Test

ALL = ("log", "previous_log", "index", "pod", "events", "readiness", "config", "metadata")


def ask(
    kind: str, *found: Evidence, model: str = "", reads: tuple[str, ...] = ALL, category: str | None = None
) -> Answer:
    case = make_case("", found, RULES.signatures)
    view = view_of(case, primary(case, model), model)
    return answer(Test(kind=kind, reads=reads, category=category), view)


def value(kind: str, *found: Evidence, model: str = "", reads: tuple[str, ...] = ALL) -> str:
    return ask(kind, *found, model=model, reads=reads).value


WELL = log(loaded("m"), SERVING)
CUT = log(loaded("m"), SERVING, cut=True)


def test_seen_is_yes_by_one_source_that_answered() -> None:
    assert ask("seen", gone("index"), WELL) == Answer("yes", "1 source answered", ("log",))
    assert ask("seen", gone("index"), gone("log")) == Answer("no", "no source answered", ("index", "log"))
    assert ask("seen") == Answer("no", "no source answered")


def test_failed_is_yes_by_a_model_a_server_a_cause_or_an_ended_container() -> None:
    crashed = pod("web-1", container("terminated: Error, exit code 139", exit_code=139))
    assert ask("failed", log(loaded("a"), failed("m"))) == Answer("yes", "m failed to load", ("log",))
    assert ask("failed", log(GAVE_UP)) == Answer("yes", "the server gave up starting", ("log",))
    assert ask("failed", log("device memory ran out")) == Answer("yes", "The GPU is full.", ("log",))
    assert ask("failed", crashed) == Answer(
        "yes", "container triton ended with exit code 139", ("pod:web-1",)
    )


def test_failed_is_no_where_the_log_shows_every_load() -> None:
    assert ask("failed", WELL) == Answer("no", "1 model loaded and none failed", ("log",))
    assert ask("failed", log(SERVING)).value == "no"
    assert ask("failed", log(own("port in use"))) == Answer("no", "Another process has the port.", ("log",))


@pytest.mark.parametrize(
    "found",
    [
        (log(),),
        (log("nothing that is known"),),
        (log(loading("m")),),
        (CUT,),
        (log(SERVING, cut=True),),
        (gone("log"), index(ready("m"))),
        (index(ready("m")),),
        (WELL, gone("log", pod="web-1")),
    ],
    ids=[
        "empty",
        "unknown lines",
        "loading",
        "cut",
        "cut serving",
        "forbidden log",
        "no log",
        "one of two logs",
    ],
)
def test_failed_is_unknown_where_the_log_could_hold_more(found: tuple[Evidence, ...]) -> None:
    assert value("failed", *found) == "unknown"


def test_a_cut_log_may_still_say_yes() -> None:
    assert value("failed", log(failed("m"), cut=True)) == "yes"
    assert value("unfinished", log(loading("m"), cut=True)) == "yes"


def test_a_cause_is_over_once_its_model_or_the_ports_came_up() -> None:
    assert value("failed", log(own("device memory ran out"), loaded("m"))) == "no"
    assert value("failed", log(loaded("m"), own("device memory ran out"))) == "yes"


def test_what_an_earlier_life_of_the_container_said_is_over_once_the_present_one_serves() -> None:
    out = previous_log(own("device memory ran out"))
    assert value("failed", out, log(SERVING)) == "no"
    assert value("failed", out, log("starting")) == "yes"
    assert value("failed", previous_log(GAVE_UP), WELL) == "no"


def test_the_asked_model_alone_decides_and_the_others_are_not_called_well() -> None:
    found = log(loaded("a"), failed("b"), loading("c"))
    assert ask("failed", found, model="a") == Answer("no", "a loaded", ("log",))
    assert ask("failed", found, model="b") == Answer("yes", "b failed to load", ("log",))
    assert ask("failed", found, model="c") == Answer("unknown", "c is still loading", ("log",))


def test_a_model_that_no_source_names_is_unknown_however_well_the_others_are() -> None:
    assert ask("failed", WELL, model="typo") == Answer("unknown", "no source says how typo stands", ("log",))
    assert value("failed", log(GAVE_UP), model="typo") == "yes"


def test_an_unloaded_model_that_was_asked_about_is_unknown() -> None:
    found = index(ready("a"), unavailable("b", "unloaded"))
    assert value("failed", log(loaded("a")), found, model="b") == "unknown"


def test_a_closed_port_tells_of_a_log_only_what_was_seen_of_it() -> None:
    missing = Missing("not_started", "nobody listens on port 8000", "wait")
    closed = evidence("index:web-1", "index", None, missing, "web-1")
    runs = pod("web-1", container())
    said = "container triton runs, nobody listens on port 8000, and its log "
    assert ask("unfinished", runs, closed, log("x")).because == f"{said}says of nothing that it failed"
    assert ask("unfinished", runs, closed, gone("log")).because == f"{said}was not seen"


def test_unfinished() -> None:
    names = ", ".join(f"m{n}" for n in range(6))
    many = log(*(loading(f"m{n}") for n in range(10_00)))
    assert ask("unfinished", many).because == f"{names} and 994 more: the load began and has not ended"
    assert value("unfinished", WELL) == "no"
    assert value("unfinished", CUT) == "unknown"
    assert value("unfinished", log("x")) == "unknown"
    assert value("unfinished", index(IndexRow("m", "1", "LOADING"))) == "yes"


def test_root_is_unknown_and_says_which_source_is_missing() -> None:
    told = ask("root", log(failed("m")), gone("index"), category="gpu_memory")
    assert told == Answer("unknown", "no line names a cause (index: forbidden)")
    full = log(failed("m", "device memory ran out"))
    assert ask("root", full, category="gpu_memory") == Answer("yes", "The GPU is full.", ("log",))
    assert ask("root", full, category="model_code") == Answer(
        "no", "the telling line shows gpu memory", ("log",)
    )


def test_serves_is_no_only_by_a_source_that_speaks_of_the_model() -> None:
    def readiness(status: int, model: str) -> Evidence:
        return evidence(f"readiness:{model}", "readiness", Readiness(status, model))

    it = log(failed("m"))
    assert value("serves", it, readiness(200, "m")) == "yes"
    assert value("serves", it, index(ready("m"))) == "yes"
    assert value("serves", it, readiness(400, "m")) == "no"
    assert value("serves", it, index(ready("other"))) == "no"
    assert value("serves", it, evidence("config", "config", ModelConfig("m", loaded=False))) == "no"
    assert value("serves", it, readiness(200, "")) == "unknown"
    assert value("serves", it, readiness(200, "other")) == "unknown"
    assert value("serves", it, gone("index")) == "unknown"


def test_what_serves_after_a_failed_reload_may_be_what_was_loaded_before() -> None:
    """Triton keeps it: that the model is ready is then expected, and speaks neither for the failed load nor against it."""
    reloaded = log(loaded("m"), loading("m"), failed("m"))
    assert value("serves", reloaded, index(ready("m"))) == "unknown"
    assert value("serves", reloaded, index(ready("other"))) == "no"


def test_a_load_is_alone_where_no_other_begins_before_it_has_ended() -> None:
    beside = log(loading("a"), loading("m"), failed("m"), loaded("a"))
    apart = log(loading("a"), loaded("a"), loading("m"), failed("m"), loading("b"))
    made = "TRITONBACKEND_ModelInstanceInitialize: {} (CPU device 0)"
    twins = log(loading("m"), *(own(made.format(name), "I") for name in ("m_0_0", "m_0_1")), failed("m"))
    assert value("alone", beside) == "no"
    assert value("alone", apart) == "yes"
    assert value("alone", twins) == "no"
    assert value("alone", log(failed("m"))) == "unknown"
    assert value("alone", log(loading("m"), failed("m"), cut=True)) == "unknown"


def test_loaded_after_is_no_only_by_the_present_log_read_to_its_end() -> None:
    """A model that the present log has loaded and the index has failed."""
    broken = index(unavailable("m", "device memory ran out"))
    assert value("loaded_after", log(loaded("m")), broken) == "yes"
    assert value("loaded_after", log(failed("m")), broken) == "no"
    assert value("loaded_after", log(failed("m"), cut=True), broken) == "unknown"
    assert value("loaded_after", previous_log(failed("m")), gone("log"), broken) == "unknown"
    assert value("loaded_after", broken) == "unknown"


def test_a_second_source_is_never_a_second_log() -> None:
    line = failed("m", "device memory ran out")
    assert value("second_source", log(line), index(unavailable("m", "device memory ran out"))) == "yes"
    assert value("second_source", log(line), index(unavailable("m", "no version of 'm'"))) == "no"
    assert value("second_source", log(line), index(ready("m"))) == "no"
    assert value("second_source", log(line), previous_log(line)) == "unknown"
    assert value("second_source", log(line), gone("index")) == "unknown"
    assert value("second_source", log(line, line)) == "unknown"


def test_a_server_that_gave_up_is_seen_again_only_in_the_exit_code_that_it_gives() -> None:
    line = (failed("m", "device memory ran out"), GAVE_UP)

    def ended(code: int) -> Evidence:
        return pod("web-1", container(f"terminated: Error, exit code {code}", exit_code=code))

    assert value("second_source", log(*line, pod="web-1"), ended(1)) == "yes"
    assert value("second_source", log(*line, pod="web-1"), ended(137)) == "no"


def test_a_model_that_is_absent_from_the_index_is_a_second_source_only_for_the_server_of_this_log() -> None:
    unfound = own("failed to load model 'm': no version of 'm'")
    assert value("second_source", log(unfound, loaded("a")), index(ready("a"))) == "yes"
    assert value("second_source", log(unfound, loaded("a")), index(ready("b"))) == "no"
    assert value("second_source", log(unfound), index(ready("a"))) == "no"


def test_a_model_that_would_have_a_row_is_not_confirmed_by_having_none() -> None:
    """Triton keeps a row for each version that it tried, and for each folder of the repository."""
    for line in (
        own("Poll failed for model directory 'm': no version of 'm'"),
        failed("m", "no version of 'm'"),
    ):
        assert value("second_source", log(line, loaded("a")), index(ready("a"))) == "no"


def test_healthy_is_said_by_the_index_before_the_pod_and_never_by_a_log() -> None:
    up, down = pod("web-1", is_ready=True), pod("web-1")
    well, broken = index(ready("a"), unavailable("b", "unloaded")), index(ready("a"), unavailable("b", "x"))
    assert (value("healthy", well), value("healthy", down, well)) == ("yes", "yes")
    assert (value("healthy", broken), value("healthy", up, broken)) == ("no", "no")
    assert (value("healthy", up), value("healthy", down)) == ("yes", "no")
    assert value("healthy", index(IndexRow("never-asked"))) == "unknown"
    assert (value("healthy", WELL), value("healthy", gone("index"))) == ("unknown", "unknown")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ((log(loaded("m")),), False),
        ((log("successfully loaded 'm'"),), True),
        ((log(failed("m"), "successfully loaded 'm'"),), True),
        ((log(loaded("a"), "successfully loaded 'm'"),), True),
        ((log(SERVING),), False),
        ((log("Started HTTPService at 0.0.0.0:8000"),), True),
        ((log("successfully loaded 'm'"), index(ready("m"))), False),
        ((log("x"),), True),
    ],
)
def test_what_anybody_may_have_printed_is_only_text(found: tuple[Evidence, ...], text: bool) -> None:
    case = make_case("", found, RULES.signatures)
    assert rests_on_text(view_of(case, primary(case))) is text


def test_that_nothing_is_wrong_with_loading_is_no_root_of_a_model_that_failed() -> None:
    """A refused request, or a port in use, beside a model that failed for a reason that no line names."""

    def root(*lines: str) -> str | None:
        case = make_case("", (log(*lines),), RULES.signatures)
        found = view_of(case, primary(case)).root
        return found.signature.id if found else None

    assert root(own("port in use"), failed("m")) is None
    assert root(own("port in use"), own("'m' may be unreadable"), failed("m")) == "unreadable"
    assert root(own("port in use"), loaded("m")) == "port"
