"""What a Triton that polls can see of a push."""

from pathlib import Path

import pytest

from demo.pushes import push, replace_file, withdraw


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_a_pushed_folder_has_all_its_files(repository: Path) -> None:
    push(repository, "ranker", {"config.pbtxt": "backend: 'python'", "1/model.py": "PASSES = 1"})
    push(repository, "ranker/2", {"model.py": "PASSES = 4"})
    assert _texts(repository) == {
        "ranker/config.pbtxt": "backend: 'python'",
        "ranker/1/model.py": "PASSES = 1",
        "ranker/2/model.py": "PASSES = 4",
    }


def test_a_withdrawn_version_takes_nothing_else_with_it(repository: Path) -> None:
    push(repository, "ranker", {"1/model.py": "old", "2/model.py": "new"})
    withdraw(repository, "ranker/2")
    assert _texts(repository) == {"ranker/1/model.py": "old"}


def test_a_replaced_file_leaves_the_others(repository: Path) -> None:
    push(repository, "tagger", {"config.pbtxt": "same", "1/model.py": "broken"})
    replace_file(repository, "tagger/1/model.py", "mended")
    assert _texts(repository) == {"tagger/config.pbtxt": "same", "tagger/1/model.py": "mended"}


def test_a_push_over_a_model_that_is_there_is_refused_and_changes_nothing(repository: Path) -> None:
    push(repository, "ranker", {"1/model.py": "old"})
    with pytest.raises(OSError, match="not empty"):
        push(repository, "ranker", {"1/model.py": "other"})
    assert _texts(repository) == {"ranker/1/model.py": "old"}


def test_nothing_is_left_beside_the_repository(repository: Path) -> None:
    push(repository, "ranker", {"1/model.py": "old", "2/model.py": "new"})
    replace_file(repository, "ranker/1/model.py", "older")
    withdraw(repository, "ranker/2")
    assert list(repository.parent.iterdir()) == [repository]


def _texts(repository: Path) -> dict[str, str]:
    files = (path for path in repository.rglob("*") if path.is_file())
    return {str(path.relative_to(repository)): path.read_text() for path in files}
