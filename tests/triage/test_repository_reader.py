"""A repository's folder read: what is found, what is told as unread, and that nothing in it can hang or crash the reading."""

import hashlib
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telemetry.rules_dir import rules_dir
from tests.tritons.repository import Model, lay_out
from triage.evidence import RepositoryView
from triage.repository import reader
from triage.repository.backends import load_backends
from triage.repository.bad_versions import bad_version_entry, folder_sha256
from triage.repository.config_text import parse_config
from triage.repository.reader import RepositoryReader
from triage.rules import seals_from_folder
from triage.signatures import load_signatures

BACKENDS = load_backends(rules_dir())
SIGNATURES = load_signatures(rules_dir() / "signatures")
CONFIG = 'backend: "python"\n'
Files = Mapping[str, str | bytes]


def put(root: Path, files: Files) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def ranker(**more: str | bytes) -> Files:
    return {"ranker/config.pbtxt": CONFIG, "ranker/1/model.py": "code", **more}


def read(root: Path, seconds: float = 60.0) -> RepositoryView:
    return RepositoryReader(root, BACKENDS, time.monotonic() + seconds).read()


def told(root: Path) -> list[str]:
    return [
        f"{problem.model}: {problem.text.removeprefix('repository: ')}" for problem in read(root).problems
    ]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_the_models_of_the_tests_are_in_order(root: Path) -> None:
    lay_out(
        root,
        "fast",
        Model("slow", versions=(1, 3)),
        "decoupled",
        "ensemble",
        "batching",
        "hanging",
        "failing",
    )
    view = read(root)
    assert (view.problems, view.unread) == ((), ())
    (slow,) = [model for model in view.models if model.name == "slow"]
    assert (slow.versions, slow.loaded, slow.policy, slow.backend) == ((3, 1), (3, 1), "all", "python")
    assert slow.config["backend"] == "python"
    assert {"config.pbtxt", "1", "1/model.py"} <= {file.path for file in slow.files}


def test_a_checksum_is_held_against_every_manifest_that_names_the_file(root: Path) -> None:
    put(root, ranker())
    put(
        root,
        {
            "MANIFEST.sha256": f"{sha256('code')}  ranker/1/model.py\n{sha256('x')}  ranker/config.pbtxt\n",
            "ranker/SHA256SUMS": f"{sha256('other')}  1/model.py\n",
            "ranker/1/model.py.sha256": f"{sha256('code')}  model.py\n{sha256('w')}  weights.bin\n",
        },
    )
    assert told(root) == [
        "ranker: config.pbtxt has another SHA-256 than line 2 of MANIFEST.sha256 names",
        "ranker: 1/weights.bin is missing, which line 2 of ranker/1/model.py.sha256 names",
        "ranker: 1/model.py has another SHA-256 than line 1 of ranker/SHA256SUMS names",
    ]
    assert read(root).checksums == 4


def test_a_version_that_is_not_loaded_is_not_held_against_the_manifest(root: Path) -> None:
    put(
        root,
        {**ranker(), "ranker/2/model.py": "new", "MANIFEST.sha256": f"{sha256('x')}  ranker/1/model.py\n"},
    )
    assert told(root) == []


def test_a_manifest_that_leads_out_or_is_none_is_told_as_unread(root: Path) -> None:
    (root.parent / "secret").write_text("x")
    put(root, {**ranker(), "SHA256SUMS": f"{sha256('x')}  ../secret\n", "MANIFEST.sha256": "not one\n"})
    assert read(root).unread == (
        "MANIFEST.sha256: line 1: expected 64 hexadecimal digits, two blanks and a path",
        "SHA256SUMS: line 1 names a path out of the repository",
    )


@pytest.mark.parametrize(
    ("configuration", "files", "refused"),
    [
        (CONFIG, {}, True),
        (CONFIG, {"ranker/2/model.py": "better"}, False),
        (CONFIG + "version_policy { specific { versions: [ 2 ] } }", {"ranker/2/model.py": "better"}, False),
        (CONFIG + "version_policy { all { } }", {"ranker/2/model.py": "better"}, True),
    ],
    ids=["the only one", "a newer one", "another by name", "all"],
)
def test_a_version_marked_bad_is_refused_where_it_would_be_loaded(
    root: Path, configuration: str, files: Files, refused: bool
) -> None:
    entry = bad_version_entry("ranker", 1, "loses labels", since="2026-11-30", report="ml/r-1")
    put(
        root,
        {
            **ranker(),
            "ranker/config.pbtxt": configuration,
            **files,
            "bad_versions.yaml": entry,
        },
    )
    said = "ranker: version 1 is marked bad by entry 1 of bad_versions.yaml, since 2026-11-30, report ml/r-1: loses labels"
    assert told(root) == ([said] if refused else [])


def test_a_mark_of_one_content_is_about_that_content(root: Path) -> None:
    put(root, ranker())
    this = folder_sha256({"model.py": sha256("code")})
    for digest, marked in ((this, 1), ("0" * 64, 0)):
        put(
            root,
            {"bad_versions.yaml": bad_version_entry("ranker", 1, "x", sha256=digest)},
        )
        assert len(read(root).problems) == marked


def test_marked_versions_and_manifests_behind_links_within_are_read_and_behind_links_out_are_told(
    root: Path,
) -> None:
    """As a mounted volume of Kubernetes lays them out; what is passed over in silence would let a bad version pass."""
    marked = bad_version_entry("ranker", 1, "x")
    put(root, {**ranker(), "..data/bad": marked, "..data/sums": f"{sha256('x')}  ranker/1/model.py\n"})
    (root / "bad_versions.yaml").symlink_to("..data/bad")
    (root / "SHA256SUMS").symlink_to("..data/sums")
    assert [said.split()[1:4] for said in told(root)[1:]] == [
        ["version", "1", "is"],
        ["1/model.py", "has", "another"],
    ]
    for name in ("bad_versions.yaml", "SHA256SUMS"):
        (root / name).unlink()
        (root / name).symlink_to(root.parent / "out")
    (root.parent / "out").write_text(marked)
    assert {said.partition(":")[0] for said in read(root).unread} == {"bad_versions.yaml", "SHA256SUMS"}


def test_a_wrong_bad_versions_yaml_is_told_with_its_place_and_the_look_is_not_whole(root: Path) -> None:
    put(
        root,
        {
            **ranker(),
            "bad_versions.yaml": "- model: ranker\n  vresion: 3\n  reason: x\n",
        },
    )
    assert read(root).unread == (
        "bad_versions.yaml:1:3: 'version' is missing here; add it",
        "bad_versions.yaml:2:3: unknown key 'vresion'; did you mean 'version'?",
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * (1 << 20),
        "{a: " * 200_000,
        "- &a []\n" + "".join(f"- &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)),
    ],
    ids=["lists", "mappings", "aliases"],
)
def test_a_hostile_file_of_marked_versions_ends_nothing(root: Path, text: str) -> None:
    began = time.monotonic()
    assert read(put(root, {**ranker(), "bad_versions.yaml": text})).unread[0].startswith("bad_versions.yaml:")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "text", ["input { " * 50_000, "parameters { key: 'a' " * 20_000, "a" * (1 << 20), "<" * 100_000]
)
def test_a_hostile_configuration_ends_nothing(root: Path, text: str) -> None:
    assert told(put(root, {**ranker(), "ranker/config.pbtxt": text}))[0].startswith(
        "ranker: config.pbtxt does not parse"
    )


def test_links_within_are_followed_and_links_out_are_told(root: Path) -> None:
    put(root.parent, {"elsewhere/1/model.py": "code", "blob": "code"})
    put(root, ranker())
    (root / "again").symlink_to("ranker")
    (root / "outside").symlink_to(root.parent / "elsewhere")
    (root / "circle").symlink_to("circle")
    (root / "ranker/1/vocabulary.txt").symlink_to(root.parent / "blob")
    view = read(root)
    assert [model.name for model in view.models] == ["again", "ranker"]
    assert set(view.unread) == {
        "again/1/vocabulary.txt: a link out of the repository, which is not followed",
        "circle: a link in a circle",
        "outside: a link out of the repository, which is not followed",
        "ranker/1/vocabulary.txt: a link out of the repository, which is not followed",
    }


def test_a_link_to_nowhere_is_found(root: Path) -> None:
    put(root, ranker())
    (root / "ranker/1/model.py").unlink()
    (root / "ranker/1/model.py").symlink_to("gone.py")
    assert told(root) == ["ranker: 1/model.py points nowhere, which backend python loads"]


def test_pipes_sockets_and_devices_are_not_opened(root: Path) -> None:
    put(root, ranker())
    os.mkfifo(root / "ranker/1/pipe")
    (root / "ranker/config.pbtxt").unlink()
    os.mkfifo(root / "ranker/config.pbtxt")
    os.mkfifo(root / "bad_versions.yaml")
    os.mkfifo(root / "MANIFEST.sha256")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(root / "ranker/s"))
        began = time.monotonic()
        assert told(root) == ["ranker: config.pbtxt is no file"]
        assert time.monotonic() - began < 5
    assert len(read(root).unread) == 2  # neither the manifest nor the marked versions could be read


def test_a_sparse_file_of_a_terabyte_takes_no_time_unless_a_manifest_names_it(root: Path) -> None:
    put(root, ranker())
    with (root / "ranker/1/weights.bin").open("wb") as file:
        file.truncate(1 << 40)
    assert read(root).unread == ()
    put(root, {"SHA256SUMS": f"{sha256('x')}  ranker/1/weights.bin\n"})
    began = time.monotonic()
    assert read(root, 0.5).unread == (
        "SHA256SUMS: the time was over at line 1; the files from there on were not checked",
    )
    assert time.monotonic() - began < 10


def test_a_deep_tree_is_told_as_unread(root: Path) -> None:
    put(root, ranker())
    (root / "ranker/1" / "/".join(["d"] * 40)).mkdir(parents=True)
    assert [said.rpartition(": ")[2] for said in read(root).unread] == ["folders nested more than 32 deep"]


def test_bounds_are_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(root, {**ranker(), "second/1/model.py": "code", "second/config.pbtxt": CONFIG})
    monkeypatch.setattr(reader, "MAX_MODELS", 1)
    assert read(root).unread == ("second and what follows it: more than 1 models are not read",)
    assert read(root, -1).unread == ("ranker and what follows it: the time was over",)
    put(root, {"ranker/config.pbtxt": "#" * (1 << 21)})
    assert "ranker/config.pbtxt: more than 1048576 bytes are not read" in read(root).unread


def test_a_folder_that_changes_while_it_is_read_does_no_harm(root: Path) -> None:
    stop = threading.Event()

    def change() -> None:
        while not stop.is_set():
            put(root, ranker(**{f"ranker/1/{n}/weights.bin": bytes(n) for n in range(20)}))
            shutil.rmtree(root / "ranker", ignore_errors=True)

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(200):
            read(root)
    finally:
        stop.set()
        thread.join()


names = st.binary(min_size=1, max_size=12).filter(
    lambda name: not {0, 0x2F} & {*name} and name.strip(b".") != b""
)
contents = st.binary(max_size=120) | st.sampled_from(
    [
        b"version https://git-lfs.github.com/spec/v1\n",
        b'backend: "python"',
        b'platform: "ensemble" ensemble_scheduling { step { } }',
    ]
)
paths = st.lists(
    names
    | st.sampled_from([b"config.pbtxt", b"1", b"model.py", b"MANIFEST.sha256", b"bad_versions.yaml", b"m"]),
    min_size=1,
    max_size=4,
).map(b"/".join)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(paths, contents, max_size=8))
def test_no_content_crashes_it_and_every_finding_is_judged_by_a_row(
    tmp_path_factory: pytest.TempPathFactory, files: dict[bytes, bytes]
) -> None:
    root = tmp_path_factory.mktemp("models")
    for path, content in files.items():
        place = os.path.join(os.fsencode(root), path)
        try:
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as file:
                file.write(content)
        except OSError:  # a folder is there already, or a file where a folder is to be
            continue
    for problem in read(root).problems:
        assert problem.text.isprintable()
        assert any(match.signature.origin == "repository" for match in SIGNATURES.match(problem.text)), (
            problem
        )


@given(st.text(alphabet="abc{}[]<>:;\"'#\n 01.-", max_size=80) | st.binary(max_size=80))
@settings(max_examples=300, deadline=None)
def test_no_configuration_crashes_it(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    root = put(tmp_path_factory.mktemp("models"), {**ranker(), "ranker/config.pbtxt": text})
    read(root)


def test_what_this_program_may_not_read_is_unknown_with_a_reason_and_not_in_order() -> None:
    """Read by a child that is not root: root may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        put(
            root,
            {
                **ranker(),
                "ranker/1/weights.bin": "w",
                "closed/1/model.py": "code",
                "hidden/config.pbtxt": CONFIG,
            },
        )
        put(root, {"hidden/1/model.py": "code"})
        for path, mode in (
            ("", 0o755),
            ("ranker/1/weights.bin", 0o000),
            ("closed", 0o000),
            ("hidden/1", 0o000),
        ):
            (root / path).chmod(mode)
        view = _read_by_nobody(root)
        for path in ("closed", "hidden/1"):
            (root / path).chmod(0o755)
    assert view.unread == (
        "closed: Permission denied",
        "hidden/1: Permission denied",
        "ranker/1/weights.bin: Permission denied",
    )
    assert [f"{problem.model}: {problem.text.removeprefix('repository: ')}" for problem in view.problems] == [
        "closed: the model's folder has mode 0000: nobody may list it",
        "hidden: 1 has mode 0000: nobody may list it",
        "ranker: 1/weights.bin has mode 0000: nobody may read it",
    ]


def _read_by_nobody(root: Path) -> RepositoryView:
    parse_config(b"")  # what it imports late may not be readable then
    receiving, sending = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(sending, msgspec.json.encode(read(root)))
        finally:
            os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return msgspec.json.decode(told, type=RepositoryView)


def test_a_version_behind_a_link_within_is_read_and_behind_a_link_out_is_unknown(root: Path) -> None:
    """Nothing is called missing where it was not looked."""
    put(
        root,
        {
            "store/config.pbtxt": CONFIG,
            "store/1/model.py": "code",
            "inner/config.pbtxt": CONFIG,
            "out/config.pbtxt": CONFIG,
        },
    )
    put(root.parent, {"outside/model.py": "code"})
    put(
        root,
        {
            "pair/config.pbtxt": 'platform: "ensemble" ensemble_scheduling { step [{ model_name: "gone"'
            ' model_version: -1 input_map { key: "a" value: "I" } output_map { key: "b" value: "O" } }] }'
            ' input { name: "I" data_type: TYPE_FP32 dims: 1 } output { name: "O" data_type: TYPE_FP32 dims: 1 }',
            "pair/1/.keep": "",
        },
    )
    (root / "inner/1").symlink_to("../store/1")
    (root / "inner/loop").symlink_to(".")
    (root / "out/1").symlink_to(root.parent / "outside")
    (root / "gone").symlink_to(root.parent / "outside")
    view = read(root)
    assert view.problems == ()
    assert [model.versions for model in view.models if model.name == "inner"] == [(1,)]
    assert set(view.unread) == {
        "gone: a link out of the repository, which is not followed",
        "out/1: a link out of the repository, which is not followed",
    }


def test_a_long_chain_of_steps_and_many_versions_are_judged_in_seconds(root: Path) -> None:
    """Written backwards, so that each look over the steps finds one more that is ready."""
    steps = [
        f'step {{model_name: "m" input_map {{key: "a" value: "t{i}"}} output_map {{key: "b" value: "t{i - 1}"}}}}'
        for i in range(1, 9000)
    ]
    tensor = "data_type: TYPE_FP32 dims: 1"
    chain = (
        f'platform: "ensemble" input {{name: "t8999" {tensor}}} output {{name: "t0" {tensor}}}'
        f" ensemble_scheduling {{{' '.join(steps)}}}"
    )
    put(root, {"chain/config.pbtxt": chain, "chain/1/x": "x", "m/1/model.onnx": b"\x08\x07"})
    for version in range(1, 6001):
        (root / "many" / str(version)).mkdir(parents=True)
    put(root, {"many/config.pbtxt": 'backend: "onnxruntime" version_policy {all {}}'})
    began = time.monotonic()
    view = read(root)
    assert time.monotonic() - began < 15
    assert not [problem for problem in view.problems if problem.model == "chain"]
    assert sum(problem.model == "many" for problem in view.problems) > 1900


def test_a_manifest_with_a_name_that_no_file_has_costs_nothing_else(root: Path) -> None:
    put(root, ranker(**{"SHA256SUMS": f"{'0' * 64}  ranker/\0\n", "empty/config.pbtxt": CONFIG}))
    view = read(root)
    assert [problem.model for problem in view.problems] == ["empty"]
    assert any(said.startswith("SHA256SUMS: line 1: expected") for said in view.unread)


@pytest.mark.parametrize(
    "parameters",
    [
        'parameters {key: "HF_TOKEN" value {string_value: "hunter2x"}}',
        'parameters {key: "token" value {string_value: "hunter2-Xq9Z-hunter2"}}',
        f'parameters {{key: "at" value {{string_value: "s3://bob:hunter2{"x" * 80}@host/models"}}}}',
        'parameters {key: "HF_TOKEN" value {string_value: hunter2x}}',
        'parameters {\n  key: "HF_TOKEN"\n  value {\n    string_value: hunter2x\n  }\n}',
        'parameters {\n  key: "HF_TOKEN"\n  value {\n    string_value: "hunter2x\n  }\n}',
    ],
)
def test_a_secret_in_a_configuration_is_in_nothing_that_is_told(root: Path, parameters: str) -> None:
    put(root, ranker(**{"ranker/config.pbtxt": CONFIG + parameters}))
    seal = seals_from_folder(rules_dir())
    view = RepositoryReader(root, BACKENDS, time.monotonic() + 60, seal=seal().value).read()
    assert "hunter2" not in msgspec.json.encode(seal().value(msgspec.to_builtins(view))).decode()
