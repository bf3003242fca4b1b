"""An exporter is a file: right ones load in order of preference, wrong ones are refused where they are wrong."""

import shutil
from pathlib import Path

import pytest

from telemetry.gpu_exporters.exporter import load_gpu_exporters
from telemetry.located_yaml import InvalidFileError
from telemetry.rules_dir import rules_dir

SHIPPED = rules_dir() / "gpu_exporters"


def refused(folder: Path) -> list[str]:
    with pytest.raises(InvalidFileError) as caught:
        load_gpu_exporters(folder)
    return [f"{Path(p.file).name}:{p.line}:{p.column}: {p.message}" for p in caught.value.problems]


def copied(folder: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, folder / "gpu_exporters"))


def test_dcgm_exporter_comes_before_the_agent() -> None:
    assert [each.name for each in load_gpu_exporters(SHIPPED)] == ["dcgm-exporter", "triton-gpu-agent"]


def test_one_more_exporter_is_one_more_file(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    text = (folder / "triton_gpu_agent.yaml").read_text().replace("triton_gpu_", "other_gpu_")
    text = text.replace("name: triton-gpu-agent", "name: other").replace("preference: 2", "preference: 3")
    (folder / "other.yaml").write_text(text)
    assert [each.name for each in load_gpu_exporters(folder)][-1] == "other"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("memory_used:", "memory_usd:", "unknown key 'memory_usd'; did you mean 'memory_used'?"),
        ("preference: 2", "preference: 1", "preference 1 is that of dcgm-exporter too"),
        ("triton_gpu_memory_used_bytes", "DCGM_FI_DEV_FB_USED", "is a family of dcgm-exporter too"),
        ("name: triton-gpu-agent", "name: agent", "belongs in agent.yaml"),
        ("devices: whole", "devices: wole", "devices: input should be 'all' or 'whole' (got 'wole')"),
        ("{family: triton_gpu_memory_free_bytes}", "{family: a b}", "family: string should match pattern"),
        ("uuid: [uuid]", "uuid: []", "uuid: "),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, old: str, new: str, problem: str) -> None:
    folder = copied(tmp_path)
    file = folder / "triton_gpu_agent.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    told = refused(folder)
    assert any(problem in each for each in told), told


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "no GPU exporters here" in refused(tmp_path)[0]
