"""The fake libnvidia-ml.so.1, and the tables that say what it answers."""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.build_cache import build_once, cache_folder, content_key

SOURCE = Path(__file__).with_name("fake_nvml.c")
GIB = 2**30


@cache
def fake_nvml_folder() -> Path:
    """A folder with libnvidia-ml.so.1 in it, for LD_LIBRARY_PATH."""
    compiler = [found] if (found := shutil.which("cc")) else [sys.executable, "-m", "ziglang", "cc"]

    def build(folder: Path, progress: object) -> None:
        library = folder / "libnvidia-ml.so.1"
        flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-pthread", "-o", str(library)]
        subprocess.run([*compiler, *flags, str(SOURCE)], check=True)

    key = content_key([SOURCE], " ".join(compiler))
    folder = cache_folder() / "fake-nvml" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    return build_once(folder, build, needs_bytes=50_000_000)


@dataclass(frozen=True)
class FakeMig:
    """A MIG device: a compute instance of a GPU instance."""

    gpu_instance: int
    uuid: str
    used: int = 1 * GIB
    slices: int = 1
    memory_mib: int = 9728


@dataclass(frozen=True)
class FakeGpu:
    """`codes`: an nvmlReturn_t, or `hang`, by function, in place of the answer."""

    number: int
    used: int = 30 * GIB
    reserved: int = 1 * GIB
    total: int = 80 * GIB
    utilization: int = 55
    sm_clock: int = 1410
    reasons: int = 0x4
    migs: Sequence[FakeMig] = ()
    mig: bool = False
    hidden: bool = False
    """The process has not the driver's capability to look at MIG instances."""
    codes: Mapping[str, int | str] = field(default_factory=dict)

    @property
    def uuid(self) -> str:
        return f"GPU-0000000{self.number}-aaaa-bbbb-cccc-000000000000"

    def lines(self) -> list[str]:
        name, mig = f"gpu{self.number}", self.mig or bool(self.migs)
        memory = f"{self.used} {self.total - self.used - self.reserved} {self.reserved} {self.total}"
        answers: dict[str, object] = {
            "nvmlDeviceGetHandleByIndex_v2": "",
            "nvmlDeviceRegisterEvents": "",
            "nvmlDeviceGetUUID": self.uuid,
            "nvmlDeviceGetMinorNumber": self.number,
            "nvmlDeviceGetMigMode": int(mig),
            "nvmlDeviceGetMemoryInfo_v2": memory,
            "nvmlDeviceGetClockInfo": self.sm_clock,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetCurrentClocksThrottleReasons": self.reasons,
            "nvmlDeviceGetSupportedClocksThrottleReasons": 0xFF,
        }
        answers |= (
            {"nvmlDeviceGetMaxMigDeviceCount": 7}
            if mig
            else {"nvmlDeviceGetUtilizationRates": self.utilization}
        )
        codes = {"nvmlDeviceGetMemoryInfo_v2": 4, **self.codes} if self.hidden else self.codes
        told = [f"{function} {name} {codes.get(function, 0)} {value}" for function, value in answers.items()]
        return told + [line for place in range(7 if mig else 0) for line in self._mig_lines(place)]

    def _mig_lines(self, place: int) -> list[str]:
        name = f"gpu{self.number}/mig{place}"
        if self.hidden:
            return [f"nvmlDeviceGetMigDeviceHandleByIndex {name} 4"]  # NVML_ERROR_NO_PERMISSION
        if place >= len(self.migs):
            return [f"nvmlDeviceGetMigDeviceHandleByIndex {name} 6"]  # NVML_ERROR_NOT_FOUND
        mig = self.migs[place]
        total = mig.memory_mib * 2**20
        return [
            f"nvmlDeviceGetMigDeviceHandleByIndex {name} 0",
            f"nvmlDeviceGetGpuInstanceId {name} 0 {mig.gpu_instance}",
            f"nvmlDeviceGetUUID {name} 0 {mig.uuid}",
            f"nvmlDeviceGetAttributes_v2 {name} 0 {mig.slices} {mig.memory_mib}",
            f"nvmlDeviceGetMemoryInfo_v2 {name} 0 {mig.used} {total - mig.used} 0 {total}",
        ]


@dataclass(frozen=True)
class FakeXid:
    number: int
    """Handed out once, in order."""
    gpu: int
    code: int
    gpu_instance: int = -1


def table(
    gpus: Sequence[FakeGpu],
    *,
    init: int | str = 0,
    count: int = 0,
    xids: Sequence[FakeXid] = (),
    wait: int | None = None,
) -> str:
    """`count`: what asking for the number of GPUs returns. `wait`: what each wait for events returns."""
    lines = [f"nvmlInit - {init}", f"nvmlDeviceGetCount_v2 - {count} {len(gpus)}"]
    lines += [line for gpu in gpus for line in gpu.lines()]
    lines += [f"event {xid.number} gpu{xid.gpu} {xid.code} {xid.gpu_instance}" for xid in xids]
    lines += [] if wait is None else [f"nvmlEventSetWait_v2 - {wait}"]
    return "\n".join([*lines, ""])
