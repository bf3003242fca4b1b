"""From pages to answers, as timelines: what restarts, hangs and reloads do to a total that was busy a moment ago."""

from collections.abc import Mapping
from typing import Final

import pytest

from autoscaler.answer import Answer, NoData, Reason, Value
from autoscaler.evaluate import evaluate
from autoscaler.selection import Settings
from autoscaler.selector import EVERYTHING
from autoscaler.signal import needed_families
from telemetry.exposition import SeriesTable, parse_exposition
from telemetry.model_config import ModelFacts
from telemetry.pod_state import PodState
from telemetry.target import Phase, PodKey, Target, Workload
from telemetry.window import PodHistory
from tests.autoscaler.fleet import CONCURRENCY, PENDING_SIGNAL, RATE, SIGNALS, TOTALS

FAMILIES: Final = needed_families(SIGNALS)
_COUNTED: Final = {
    "nv_inference_request_success": 1.0,
    "nv_inference_request_failure": 0.0,
    "nv_inference_queue_duration_us": 1e4,
    "nv_inference_compute_input_duration_us": 0.0,
    "nv_inference_compute_infer_duration_us": 1e6,
    "nv_inference_compute_output_duration_us": 0.0,
}


def page(completed: float, pending: float = 0.0) -> str:
    """A model whose every request computes for a second."""
    values = {family: completed * each for family, each in _COUNTED.items()}
    values["nv_inference_pending_request_count"] = pending
    return "".join(f'{family}{{model="m",version="1"}} {value}\n' for family, value in values.items())


class Daemon:
    """What a daemon knows of its pods; a new one knows nothing."""

    def __init__(self) -> None:
        self.histories: dict[str, tuple[PodHistory, SeriesTable]] = {}
        self.states: dict[str, PodState] = {}
        self.at = 0.0

    def round(self, at: float, pages: Mapping[str, str | None], born: float | None = None) -> None:
        """One scrape of every pod; None: it did not answer."""
        self.at = at
        for name, text in pages.items():
            target = Target(
                PodKey("prod", name, ""),
                None,
                None,
                Phase.RUNNING,
                True,
                born is not None,
                "",
                Workload("Deployment", "w"),
            )
            known = self.states[name].known_since if name in self.states else at
            history, table = self.histories.setdefault(
                name, (PodHistory(FAMILIES, [30.0], 5.0, born), SeriesTable(FAMILIES.names()))
            )
            before = self.states[name].windows if name in self.states else {}
            windows = history.add(at, parse_exposition(text, table)) if text else before
            failure = None if text else "timed out"
            self.states[name] = PodState(target, known, windows, failure, {"m": ModelFacts()})

    def ask(self, signal: str) -> Answer:
        return evaluate(
            SIGNALS[signal], self.states.values(), EVERYTHING, Settings(max_age=10.0), self.at + 1
        )


def busy(daemon: Daemon, start: int, end: int) -> None:
    """a completes ten requests a second, b none."""
    for at in range(start, end + 1, 5):
        daemon.round(at, {"a": page(10 * at), "b": page(0)})


@pytest.mark.parametrize("signal", [RATE, CONCURRENCY])
def test_a_busy_pod_that_goes_silent_beside_an_idle_one_holds_its_total_and_then_is_an_error(
    signal: str,
) -> None:
    daemon = Daemon()
    busy(daemon, 0, 60)
    answers = []
    for at in (65, 70, 75, 80):
        daemon.round(at, {"a": None, "b": page(0)})
        answers.append(daemon.ask(signal))
    # The last sample is 6 s old, then 11 s.
    assert answers[0] == Value(10.0, 6.0, 30)
    assert answers[1:] == [NoData(Reason.NOT_ANSWERING, "pod a does not answer scrapes (timed out)")] * 3


@pytest.mark.parametrize("silence", [10, 50, 70, 600])
@pytest.mark.parametrize("signal", [RATE, CONCURRENCY])
def test_a_busy_pod_that_comes_back_never_lowers_the_total(signal: str, silence: int) -> None:
    daemon = Daemon()
    busy(daemon, 0, 60)
    answers = []
    for at in range(60 + silence, 60 + silence + 61, 5):
        daemon.round(at, {"a": page(10 * at), "b": page(0)})
        answers.append(daemon.ask(signal))
    values = [round(answer.value, 6) for answer in answers if isinstance(answer, Value)]
    assert (set(values), len(values) > 6) == ({10.0}, True)


@pytest.mark.parametrize("signal", [RATE, CONCURRENCY])
def test_a_clock_that_jumps_ten_minutes_is_no_load_and_no_idleness(signal: str) -> None:
    """As after a machine that slept: the daemon asks its clock, and between two scrapes ten minutes have passed."""
    daemon = Daemon()
    busy(daemon, 0, 60)
    daemon.at += 600
    assert isinstance(daemon.ask(signal), NoData)
    answers = []
    for at in range(660, 721, 5):
        daemon.round(at, {"a": page(600 + 10 * (at - 660)), "b": page(0)})  # nothing was done meanwhile
        answers.append(daemon.ask(signal))
    values = [round(answer.value, 6) for answer in answers if isinstance(answer, Value)]
    assert (set(values), len(values) > 6) == ({10.0}, True)


@pytest.mark.parametrize("signal", TOTALS)
def test_a_new_daemon_says_nothing_of_a_busy_fleet_until_it_has_seen_a_window(signal: str) -> None:
    daemon = Daemon()
    busy(daemon, 1000, 1025)
    early = daemon.ask(signal)
    busy(daemon, 1030, 1030)
    wanted = 0.0 if signal == PENDING_SIGNAL else 10.0
    assert (isinstance(early, NoData), daemon.ask(signal)) == (
        True,
        Value(wanted, 1.0, 30),
    )


@pytest.mark.parametrize("signal", [RATE, CONCURRENCY])
@pytest.mark.parametrize("loading", [20, 300])
def test_a_fleet_that_grows_is_not_told_that_its_load_fell(signal: str, loading: int) -> None:
    """Half of ten requests a second move to a pod that took its time to start."""
    daemon = Daemon()
    for at in range(0, 61, 5):
        daemon.round(at, {"a": page(10 * at)})
    start = 60 + loading
    for at in range(65, start, 5):
        daemon.round(at, {"a": page(10 * at)})
    values = []
    for at in range(start, start + 61, 5):
        shared = 5 * (at - start)
        daemon.round(at, {"a": page(10 * start + shared)})
        daemon.round(at, {"new": page(shared)}, born=60.0)
        answer = daemon.ask(signal)
        assert isinstance(answer, Value)
        values.append(round(answer.value, 6))
    assert set(values) == {10.0}


def test_a_hang_never_looks_like_less_work() -> None:
    """Eight wait, all are handed to the backend, and nothing ever completes."""
    daemon = Daemon()
    for at in range(0, 61, 5):
        daemon.round(at, {"a": page(10 * at)})
    answers: dict[str, list[Answer]] = {signal: [] for signal in TOTALS}
    for at in range(65, 200, 5):
        daemon.round(at, {"a": page(600, pending=8 if at < 75 else 0)})
        for signal, told in answers.items():
            told.append(daemon.ask(signal))
    concurrency = [answer.value for answer in answers[CONCURRENCY] if isinstance(answer, Value)]
    assert concurrency == sorted(concurrency)
    assert concurrency[0] > 10
    assert {type(answer) for answer in answers[RATE][-20:]} == {NoData}
    assert not any(answer.idle for told in answers.values() for answer in told if isinstance(answer, Value))


def test_a_hung_server_that_was_restarted_and_has_nothing_to_do_becomes_idle() -> None:
    """The case that must not be held for ever."""
    daemon = Daemon()
    for at in range(0, 61, 5):
        daemon.round(at, {"a": page(10 * at, pending=8 if at == 60 else 0)})
    for at in range(65, 121, 5):
        daemon.round(at, {"a": page(600, pending=8)})
    for at in range(125, 161, 5):
        daemon.round(at, {"a": page(0)})
    assert [daemon.ask(signal) for signal in TOTALS] == [Value(0.0, 1.0, 30, idle=True)] * 3
