"""NVML through pynvml. Everything here may block or hang: call it in a thread with a deadline."""

import ctypes
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from telemetry.gpu_agent.devices import Gpu, GpuInstance, Memory, mig_profile, throttled
from telemetry.gpu_agent.problems import Problem, ProblemKind
from telemetry.late_import import import_late

_KINDS: Final[dict[int, ProblemKind]] = {
    4: "no_permission",
    9: "no_driver",
    12: "no_driver",
    15: "gpu_lost",
    16: "gpu_needs_reset",
    18: "driver_mismatch",
}
"""By nvmlReturn_t (nvml.h); any other is `nvml_error`."""
_NOT_TOLD: Final = frozenset({3, 13, 21})
"""NOT_SUPPORTED by this GPU, FUNCTION_NOT_FOUND in this driver, NO_DATA: a value that is missing, and no problem."""
_NO_INSTANCE: Final = frozenset({2, 6})
"""INVALID_ARGUMENT, NOT_FOUND: there is no MIG device with this index."""
_GPU_IS_GONE: Final = frozenset({1, 9, 15, 16})
"""UNINITIALIZED, DRIVER_NOT_LOADED, GPU_IS_LOST, RESET_REQUIRED: there is no use in asking on."""


def load_pynvml() -> ModuleType:
    """The module `pynvml`, which nvidia-ml-py brings. Where the old package of that name is installed, too, its import warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return import_late("pynvml")


@dataclass(frozen=True, slots=True)
class GpuReading:
    """What one GPU told, and what it would not."""

    gpu: Gpu
    problems: Sequence[Problem] = ()


class NvmlRefusedError(Exception):
    """NVML does not work, or a GPU does not."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Nvml:
    """NVML, which is opened when it is first asked and again after `close`."""

    def __init__(self) -> None:
        self._pynvml = load_pynvml()
        self._open = False

    def count(self) -> int:
        """How many GPUs there are. Raises NvmlRefusedError."""
        try:
            if not self._open:
                self._pynvml.nvmlInit()
                self._open = True
            return int(self._pynvml.nvmlDeviceGetCount())
        except self._pynvml.NVMLError as error:
            self.close()  # the driver may be loaded again, of which an NVML that stays open never hears
            raise NvmlRefusedError(_problem(error, "", "opening NVML")) from None

    def close(self) -> None:
        """Lets go of every GPU. NVML shows one that was reset, or added, only after it was opened again."""
        if self._open:
            self._open = False
            try:
                self._pynvml.nvmlShutdown()
            except self._pynvml.NVMLError:
                return  # it was not open any more

    def read(self, index: int) -> GpuReading:
        """One GPU now. Raises NvmlRefusedError where it is lost or may not be looked at."""
        try:
            handle = self._pynvml.nvmlDeviceGetHandleByIndex(index)
            return _GpuReader(self._pynvml, handle, index).read()
        except self._pynvml.NVMLError as error:
            raise NvmlRefusedError(_problem(error, str(index), "asking NVML")) from None


@dataclass
class _GpuReader:
    nvml: Any
    handle: Any
    index: int
    problems: list[Problem] = field(default_factory=list)

    def read(self) -> GpuReading:
        nvml, handle = self.nvml, self.handle
        uuid = str(nvml.nvmlDeviceGetUUID(handle))
        mode = self._ask("MIG mode", nvml.nvmlDeviceGetMigMode, handle)
        mig = mode is not None and mode[0] == nvml.NVML_DEVICE_MIG_ENABLE
        memory = self._memory(handle)
        instances = self._instances(memory) if mig else ()
        use = None if mig else self._ask("utilisation", nvml.nvmlDeviceGetUtilizationRates, handle)
        clock = self._ask("SM clock", nvml.nvmlDeviceGetClockInfo, handle, nvml.NVML_CLOCK_SM)
        most = self._ask("largest SM clock", nvml.nvmlDeviceGetMaxClockInfo, handle, nvml.NVML_CLOCK_SM)
        # By their old names, which drivers before 535 and after know.
        reasons = self._ask("throttle reasons", nvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle)
        supported = self._ask("throttle reasons", nvml.nvmlDeviceGetSupportedClocksThrottleReasons, handle)
        gpu = Gpu(
            index=self.index,
            uuid=uuid,
            minor=self._ask("minor number", nvml.nvmlDeviceGetMinorNumber, handle),
            mig=mig,
            memory=memory,
            utilization_ratio=None if use is None else use.gpu / 100,
            sm_clock_hertz=None if clock is None else clock * 1e6,
            sm_clock_max_hertz=None if most is None else most * 1e6,
            throttled=throttled(reasons, supported),
            instances=instances,
        )
        return GpuReading(gpu, self.problems)

    def _memory(self, handle: Any) -> Memory | None:
        # Before driver 510 there is only a first version, which counts what is reserved as used: that would not be the same number.
        told = self._ask("memory", self.nvml.nvmlDeviceGetMemoryInfo, handle, self.nvml.nvmlMemory_v2)
        return None if told is None else Memory(told.used, told.free, told.reserved, told.total)

    def _instances(self, whole: Memory | None) -> tuple[GpuInstance, ...]:
        """By the MIG devices that this GPU shows; those of one GPU instance are put together."""
        nvml = self.nvml
        found: dict[int, GpuInstance] = {}
        for number in range(self._ask("MIG devices", nvml.nvmlDeviceGetMaxMigDeviceCount, self.handle) or 0):
            device = self._ask(
                "MIG device", nvml.nvmlDeviceGetMigDeviceHandleByIndex, self.handle, number, none=_NO_INSTANCE
            )
            if device is None:
                continue
            instance = self._ask("GPU instance", nvml.nvmlDeviceGetGpuInstanceId, device)
            uuid = self._ask("MIG device's UUID", nvml.nvmlDeviceGetUUID, device)
            if instance is None or uuid is None:
                continue
            if (known := found.get(instance)) is not None:
                found[instance] = GpuInstance(instance, known.profile, (*known.uuids, uuid), known.memory)
                continue
            found[instance] = GpuInstance(
                instance, self._profile(device, whole), (uuid,), self._memory(device)
            )
        return tuple(found[instance] for instance in sorted(found))

    def _profile(self, device: Any, whole: Memory | None) -> str:
        attributes = self._ask("MIG attributes", self.nvml.nvmlDeviceGetAttributes_v2, device)
        if attributes is None or whole is None:
            return ""
        return mig_profile(attributes.gpuInstanceSliceCount, attributes.memorySizeMB, whole.total)

    def _ask(
        self, what: str, function: Callable[..., Any], *arguments: Any, none: Container[int] = ()
    ) -> Any:
        """The answer; None where it is not told, with a problem if it should have been, which it should not with the codes `none`.
        Raises NVMLError where the GPU is gone."""
        try:
            return function(*arguments)
        except self.nvml.NVMLError as error:
            if error.value in _GPU_IS_GONE:
                raise
            if error.value not in _NOT_TOLD and error.value not in none:
                self.problems.append(_problem(error, str(self.index), what))
            return None


def handle_key(handle: Any) -> int:
    """A device handle as a number: NVML gives the same one for a GPU while it is open, and a lost GPU cannot tell its UUID."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


def _problem(error: Any, gpu: str, what: str) -> Problem:
    return Problem(_KINDS.get(error.value, "nvml_error"), gpu, f"{what}: {error}")
