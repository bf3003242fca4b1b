"""XID errors, as NVML's events tell them. Without a listener they are only lines in the kernel's log."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from telemetry.gpu_agent.nvml import handle_key, load_pynvml
from telemetry.gpu_agent.snapshot import Xid

_TIMEOUT: Final = 10
"""NVML_ERROR_TIMEOUT: nothing happened."""
_WAIT_MS: Final = 1000
"""How long one wait lasts at most, and so how soon `stop` is heard."""
_NO_INSTANCE: Final = 0xFFFFFFFF
"""NVML's gpuInstanceId of an event that is of no GPU instance (nvml.h, nvmlEventData_t)."""
ALIVE_SECONDS: Final = 10.0
"""A wait that has not returned for so long hangs in the driver: nothing is watched then."""


class XidWatch:
    """Listens in a thread of its own, from the time NVML is open until `stop`. What it counted is taken with `take`."""

    def __init__(self, gpus: int) -> None:
        self._nvml: Any = load_pynvml()
        self._gpus = gpus
        self._lock = threading.Lock()
        self._counted: Counter[Xid] = Counter()
        self._watched: dict[int, int] = {}
        """Index by handle."""
        self._turned = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="xid", daemon=True)
        self._thread.start()

    def take(self) -> tuple[Mapping[Xid, int], frozenset[int]]:
        """What was counted since the last time, and the indexes of the GPUs that are watched now."""
        with self._lock:
            counted, self._counted = self._counted, Counter()
            alive = time.monotonic() - self._turned < ALIVE_SECONDS
            return counted, frozenset(self._watched.values()) if alive else frozenset()

    @property
    def ended(self) -> bool:
        """Whether no more will come: no GPU could be watched, or a wait failed, as it does when one is lost."""
        return not self._thread.is_alive()

    def stop(self) -> bool:
        """Whether it ended: within two waits, unless the driver hangs."""
        self._stop.set()
        self._thread.join(2 * _WAIT_MS / 1000)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            events = self._nvml.nvmlEventSetCreate()
        except self._nvml.NVMLError:
            return
        try:
            for index in range(self._gpus):
                self._register(index, events)
            while self._watched and not self._stop.is_set():
                self._wait(events)
        finally:
            with self._lock:
                self._watched = {}
            with suppress(self._nvml.NVMLError):
                self._nvml.nvmlEventSetFree(events)

    def _register(self, index: int, events: Any) -> None:
        with suppress(self._nvml.NVMLError):  # one that cannot be watched says so by triton_gpu_xid_watched 0
            handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
            self._nvml.nvmlDeviceRegisterEvents(handle, self._nvml.nvmlEventTypeXidCriticalError, events)
            with self._lock:
                self._watched = {**self._watched, handle_key(handle): index}

    def _wait(self, events: Any) -> None:
        try:
            event = self._nvml.nvmlEventSetWait_v2(events, _WAIT_MS)
        except self._nvml.NVMLError as error:
            if error.value != _TIMEOUT:
                with self._lock:
                    self._watched = {}  # and so it ends
            else:
                self._turned = time.monotonic()
            return
        self._turned = time.monotonic()
        index = self._watched.get(handle_key(event.device))
        if index is None or event.eventType != self._nvml.nvmlEventTypeXidCriticalError:
            return
        instance = None if event.gpuInstanceId == _NO_INSTANCE else int(event.gpuInstanceId)
        with self._lock:
            self._counted[(index, instance, int(event.eventData))] += 1
