"""What two looks at a repository index tell: each row is an index, then the loads, failed loads and unloads counted by then."""

from typing import Final

import pytest

from telemetry.model_history import KEPT_SECONDS, PodModels, looked, restarted, silent
from telemetry.repository_index import MOST_VERSIONS, IndexRow, ModelState, RepositoryIndex, VersionKey

KEY: Final = VersionKey("m", "1")
READY: Final = IndexRow(ModelState.READY)
LOADING: Final = IndexRow(ModelState.LOADING)
UNLOADING: Final = IndexRow(ModelState.UNLOADING)
UNLOADED: Final = IndexRow(ModelState.UNAVAILABLE, "unloaded")
NOT_YET: Final = IndexRow(ModelState.UNAVAILABLE)
FAILED: Final = IndexRow(ModelState.UNAVAILABLE, "Internal: out of memory")
FAILED_OTHERWISE: Final = IndexRow(ModelState.UNAVAILABLE, "Internal: no such file")
ABSENT: Final = None
SILENT: Final = "silent"
RESTART: Final = "restart"
Step = IndexRow | str | None


def counts(steps: list[Step], *, in_sight: bool = False) -> tuple[int, int, int]:
    """Loads, failures and unloads after one look every 15 seconds."""
    models = PodModels(known=in_sight)
    for number, step in enumerate(steps):
        if step == SILENT:
            models = silent(models)
        elif step == RESTART:
            models = restarted(models)
        else:
            rows = {KEY: step} if isinstance(step, IndexRow) else {}
            models = looked(models, RepositoryIndex(rows), 15.0 * number)
    history = models.versions[KEY]
    return history.loads, history.load_failures, history.unloads


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([READY], (0, 0, 0)),  # it was there before we looked: when it loaded is not known
        ([FAILED], (0, 0, 0)),
        ([ABSENT, READY], (1, 0, 0)),  # it was not there at the look before
        ([ABSENT, FAILED], (0, 1, 0)),
        ([LOADING, READY, READY], (1, 0, 0)),
        ([LOADING, FAILED, FAILED], (0, 1, 0)),
        ([NOT_YET, LOADING, READY], (1, 0, 0)),
        ([FAILED, LOADING, FAILED], (0, 1, 0)),  # the same error again after a load was seen
        ([FAILED, FAILED_OTHERWISE], (0, 1, 0)),  # another error: there was another load
        ([READY, UNLOADING, UNLOADED], (0, 0, 1)),
        ([READY, UNLOADED, READY], (1, 0, 1)),
        ([READY, FAILED], (0, 1, 1)),  # unloaded, and the load after it failed, both between two looks
        ([READY, LOADING, READY], (1, 0, 1)),
        (
            [LOADING, UNLOADING, UNLOADED],
            (0, 0, 0),
        ),  # given up with another version that failed: no failure of its own
        ([READY, ABSENT, READY], (0, 0, 0)),  # its folder went and came back, it served on
        ([READY, SILENT, READY], (0, 0, 0)),  # a look without an answer tells nothing
        ([FAILED, SILENT, FAILED], (0, 0, 0)),
        ([READY, SILENT, UNLOADED], (0, 0, 1)),
        ([READY, RESTART, READY], (1, 0, 0)),  # the process ended: what it had loaded was not unloaded
        ([FAILED, RESTART, FAILED], (0, 1, 0)),
    ],
)
def test_what_is_counted(steps: list[Step], expected: tuple[int, int, int]) -> None:
    assert counts(steps) == expected


@pytest.mark.parametrize(("steps", "expected"), [([READY], (1, 0, 0)), ([FAILED], (0, 1, 0))])
def test_a_server_that_began_in_our_sight_had_nothing_loaded_before(
    steps: list[Step], expected: tuple[int, int, int]
) -> None:
    assert counts(steps, in_sight=True) == expected


def test_only_an_answer_tells_states_and_counts_stay_without_one() -> None:
    models = looked(PodModels(), RepositoryIndex({KEY: LOADING}), 0.0)
    models = looked(models, RepositoryIndex({KEY: READY}), 15.0)
    assert models.listed() == {KEY: READY}
    quiet = silent(models)
    assert quiet.listed() == {}
    assert quiet.versions[KEY].loads == 1
    assert restarted(models).listed() == {}


def test_a_version_that_left_has_no_state_and_is_forgotten_after_a_while() -> None:
    models = looked(PodModels(), RepositoryIndex({KEY: READY}), 0.0)
    models = looked(models, RepositoryIndex({}), KEPT_SECONDS - 1)
    assert (models.listed(), list(models.versions)) == ({}, [KEY])
    assert not looked(models, RepositoryIndex({}), KEPT_SECONDS).versions


def test_names_that_change_at_every_look_do_not_pile_up() -> None:
    models = PodModels()
    for look in range(5):
        rows = {VersionKey(f"m{look}-{n}", "1"): READY for n in range(MOST_VERSIONS)}
        models = looked(models, RepositoryIndex(rows), 15.0 * look)
    assert len(models.versions) == 2 * MOST_VERSIONS
    assert len(models.listed()) == MOST_VERSIONS
