"""The fake is no looser than the real library: what it does not know ends the process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.helm import CHECKOUT
from tests.gpu_agent.fake_nvml import SOURCE, FakeGpu, fake_nvml_folder, table

OURS = "".join(
    (CHECKOUT / "telemetry" / "gpu_agent" / name).read_text() for name in ("nvml.py", "xid_watch.py")
)
LIBRARY_NAMES = {"nvmlInit": "nvmlInitWithFlags"} | {
    name: f"{name}_v2"
    for name in (
        "nvmlDeviceGetCount",
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetMemoryInfo",
    )
}
"""What pynvml calls in the library, where it has another name than its own function."""


def test_every_function_that_the_agent_calls_is_in_the_fake() -> None:
    """One that were missing would look like a driver that does not have it, and every test would pass without its value."""
    called = set(re.findall(r"\bnvml(?:Init|Shutdown|Device\w+|EventSet\w+)\b", OURS))
    there = set(re.findall(r"(?m)^nvmlReturn_t (nvml\w+)\(", SOURCE.read_text()))
    assert {LIBRARY_NAMES.get(name, name) for name in called} == there


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("nvmlDeviceGetTemperature(handle, 0)", "Function Not Found"),
        ("nvmlDeviceGetClockInfo(handle, 0)", "unexpected call: nvmlDeviceGetClockInfo of another clock"),
        (
            "nvmlDeviceGetMemoryInfo(handle, 0x01000018)",
            "unexpected call: nvmlDeviceGetMemoryInfo_v2 of another",
        ),
        ("nvmlDeviceGetGpuInstanceId(handle)", "unexpected call: nvmlDeviceGetGpuInstanceId gpu0"),
    ],
)
def test_an_unexpected_call_ends_the_process(tmp_path: Path, call: str, told: str) -> None:
    answers = tmp_path / "table"
    answers.write_text(table([FakeGpu(0)]))
    run = f"import pynvml\npynvml.nvmlInit()\nhandle = pynvml.nvmlDeviceGetHandleByIndex(0)\npynvml.{call}"
    environment = {**os.environ, "LD_LIBRARY_PATH": str(fake_nvml_folder()), "FAKE_NVML": str(answers)}
    ended = subprocess.run(
        [sys.executable, "-c", run], env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert told in ended.stderr
