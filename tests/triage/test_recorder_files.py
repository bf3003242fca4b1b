"""What is read of a model repository on disk, and what is not, in real folders."""

import hashlib
import os
import time
from pathlib import Path

import pytest

from triage.repository.files import FilesOnDisk
from triage.repository.fingerprints import File
from triage.repository.places import MAX_DEPTH

OLD = time.time() - 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with the model `m`, whose only file was written an hour ago."""
    put(tmp_path / "models" / "m" / "1" / "model.py", "code")
    return tmp_path / "models"


def put(file: Path, text: str, at: float = OLD) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (at, at))


def on_disk(root: Path, **more: int) -> FilesOnDisk:
    return FilesOnDisk(root, str, **more)  # type: ignore[arg-type]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def names(root: Path, model: str = "m") -> list[str]:
    return sorted(on_disk(root).read().folders[model])


def test_a_file_is_known_by_size_times_and_content(root: Path) -> None:
    found = os.stat(root / "m/1/model.py")
    read = on_disk(root).read()
    assert read.folders == {
        "m": {"1/model.py": File(4, found.st_mtime_ns, found.st_ctime_ns, sha256("code"))}
    }
    assert read.unread == {}


def test_a_file_is_not_read_again_unless_its_size_or_a_time_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = on_disk(root)
    monkeypatch.setattr("triage.repository.files._SETTLED_NS", 0)
    first = files.read()
    os.chmod(root / "m/1/model.py", 0o600)
    hashed = []
    real = FilesOnDisk._hash

    def counting(self: FilesOnDisk, root: Path, path: str) -> tuple[os.stat_result, str]:
        hashed.append(path)
        return real(self, root, path)

    monkeypatch.setattr(FilesOnDisk, "_hash", counting)
    second = files.read()  # a chmod is a new ctime
    third = files.read()
    assert (len(hashed), second.folders == third.folders) == (1, True)
    assert first.folders["m"]["1/model.py"].sha256 == third.folders["m"]["1/model.py"].sha256


def test_a_content_put_in_place_with_the_old_size_and_mtime_is_seen(root: Path) -> None:
    files = on_disk(root)
    files.read()
    put(root / "m/1/model.py", "CODE")
    assert files.read().folders["m"]["1/model.py"].sha256 == sha256("CODE")


def test_a_file_that_was_just_written_is_read_once_more(root: Path) -> None:
    """Within one tick of the file system's clock it may be written again and look the same."""
    files = on_disk(root)
    files.read()
    before = files.known["m"]["1/model.py"]
    put(root / "m/1/model.py", "CODE")
    found = os.stat(root / "m/1/model.py")
    files.known = {"m": {"1/model.py": File(4, found.st_mtime_ns, found.st_ctime_ns, before.sha256)}}
    assert files.read().folders["m"]["1/model.py"].sha256 == sha256("CODE")


def test_what_an_earlier_run_read_is_not_read_again(root: Path) -> None:
    found = os.stat(root / "m/1/model.py")
    known = File(4, found.st_mtime_ns, found.st_ctime_ns, "as it was recorded")
    files = FilesOnDisk(root, str, known={"m": {"1/model.py": known}})
    assert files.read().folders["m"] == {"1/model.py": known}


def test_of_a_large_file_head_and_tail_are_read(root: Path) -> None:
    put(root / "m/1/model.bin", "head" + "-" * 92 + "tail")
    got = on_disk(root, whole_bytes=50, end_bytes=4).read().folders["m"]["1/model.bin"]
    assert (got.sha256, got.partly, got.size) == (sha256("headtail"), True, 100)


def test_a_link_within_the_repository_is_followed_and_one_out_of_it_is_not(root: Path) -> None:
    put(root / ".store" / "weights", "weights")
    put(root.parent / "secret", "secret")
    (root / "m/1/in").symlink_to("../../.store/weights")
    (root / "m/1/out").symlink_to("../../../secret")
    (root / "m/1/nowhere").symlink_to("gone")
    (root / "m/1/loop").symlink_to("loop")
    (root / "m/2").symlink_to("1")
    (root / "inside").symlink_to("m")
    (root / "outside").symlink_to(root.parent)
    read = on_disk(root).read()
    m = read.folders["m"]
    assert (m["1/in"].sha256, m["1/in"].link) == (sha256("weights"), "../../.store/weights")
    assert (m["1/out"].sha256, m["1/out"].unread) == ("", "a link out of the repository, not followed")
    assert (m["1/nowhere"].sha256, m["1/loop"].sha256) == ("", "")
    assert m["2"] == File(0, 0, 0, link="1")
    assert "1/model.py" in read.folders["inside"]
    assert read.unread == {"outside": "a link out of the repository, which is not followed"}


def test_a_folder_swapped_for_a_link_since_it_was_listed_leads_nowhere(root: Path) -> None:
    put(root.parent / "elsewhere" / "model.py", "secret")
    (root / "m" / "2").symlink_to(root.parent / "elsewhere")
    assert on_disk(root)._hash(root, f"{root}/m/2/model.py")[1] == ""
    assert on_disk(root)._hash(root, f"{root}/m/1/model.py")[1] == sha256("code")


def test_the_repository_itself_may_be_a_link_that_is_swapped(root: Path) -> None:
    put(root.parent / "next" / "m" / "1" / "model.py", "new code")
    (root.parent / "current").symlink_to("models")
    files = on_disk(root.parent / "current")
    assert files.read().folders["m"]["1/model.py"].size == 4
    (root.parent / "current").unlink()
    (root.parent / "current").symlink_to("next")
    assert files.read().folders["m"]["1/model.py"].size == 8


def test_a_pipe_is_not_opened(root: Path) -> None:
    os.mkfifo(root / "m/1/pipe")
    assert on_disk(root).read().folders["m"]["1/pipe"].unread == "neither a file nor a folder"


def test_hostile_names_are_printable_and_stay_apart(root: Path) -> None:
    folder = os.fsencode(root / "m/1")
    for name in (
        b"a\nb",
        b"a\\nb",
        b"a\xffb",
        "a\u202eb".encode(),
        b"\x1b[31mred",
        "größe".encode(),
        b"x" * 255,
    ):
        with open(folder + b"/" + name, "w"):
            pass
    got = [name.removeprefix("1/") for name in names(root)]
    assert got == sorted(
        ["a\\nb", "a\\\\nb", "a\\udcffb", "a\\u202eb", "\\x1b[31mred", "größe", "x" * 255, "model.py"]
    )


def test_a_name_is_sealed(root: Path) -> None:
    read = FilesOnDisk(root, lambda name: name.replace("model", "[MASKED]")).read()
    assert list(read.folders["m"]) == ["1/[MASKED].py"]


def test_what_python_and_the_file_system_put_there_is_left_out(root: Path) -> None:
    put(root / "m/1/__pycache__/model.cpython-311.pyc", "x")
    put(root / ".git/HEAD", "x")
    put(root / "README", "x")
    read = on_disk(root).read()
    assert {model: list(folder) for model, folder in read.folders.items()} == {"m": ["1/model.py"]}


def test_one_folder_with_too_many_files_hides_no_earlier_one(root: Path) -> None:
    for number in range(5):
        put(root / "z" / "1" / str(number), "x")
    read = on_disk(root, max_files=4).read()
    assert (list(read.folders), read.unread) == (["m"], {"z": "more than 4 files in the repository"})


def test_folders_nested_without_end_are_unknown(root: Path) -> None:
    put(root / "deep" / Path(*["d"] * (MAX_DEPTH + 2)) / "x", "x")
    read = on_disk(root).read()
    assert (list(read.folders), read.unread) == (
        ["m"],
        {"deep": f"folders nested more than {MAX_DEPTH} deep"},
    )


def test_a_folder_that_cannot_be_read_is_unknown_and_not_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def refusing(path: Path) -> object:
        if Path(path).name == "1":
            raise PermissionError(13, "Permission denied")  # root may read all, so the mode does not refuse
        return real(path)

    files = on_disk(root)
    kept = files.read().folders["m"]
    monkeypatch.setattr("os.scandir", refusing)
    read = files.read()
    assert (read.folders, read.unread) == ({}, {"m": "Permission denied"})
    assert files.known == {"m": kept}


def test_a_repository_that_is_gone_is_an_error_and_no_empty_one(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        on_disk(root.parent / "gone").read()
