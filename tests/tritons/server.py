"""One real tritonserver process on this machine."""

import contextlib
import signal
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.local_process import LocalProcess, free_ports
from tests.tritons.executions import FOLDER_VARIABLE, Execution, read_executions
from tests.tritons.install import TritonInstall

CHECKOUT = Path(__file__).parents[2]
READY_SECONDS = 60.0  # 1.6 s when nothing else runs
STOP_SECONDS = 10.0
ANSWER_SECONDS = 30.0
SHARED_MEMORY = Path("/dev/shm")


class TritonRefused(Exception):
    """Triton answered a call with an error; `status` is the HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Ports:
    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002


class TritonServer:
    """An async context manager: ready inside, gone after. What it did is added to `install.inferences` when
    it stops.

    On 127.0.0.1, where everything else is too, it takes free ports; on an address of its own Triton's usual
    ones."""

    stop_seconds = STOP_SECONDS
    """What an orderly end may take."""

    def __init__(
        self,
        install: TritonInstall,
        repository: Path | str,
        folder: Path,
        *,
        address: str = "127.0.0.1",
        ports: Ports | None = None,
        arguments: Sequence[str] = (),
        summaries: bool = True,
        environment: Mapping[str, str] | None = None,
        limit: Callable[[], None] | None = None,
    ) -> None:
        """`repository` is a folder, or the URL of one. `folder` takes the log and the ground truth. `arguments` come
        last, so they override the usual ones; `environment` is added to the usual one; `limit` is
        `LocalProcess.start`'s."""
        self.address = address
        self.ports = ports or (Ports(*free_ports(3)) if address == "127.0.0.1" else Ports())
        self.folder = folder
        self.ground_truth = folder / "ground-truth"
        self.url = f"http://{address}:{self.ports.http}"
        self.metrics_url = f"http://{address}:{self.ports.metrics}/metrics"
        self._install = install
        self._repository = repository
        self._arguments = arguments
        self._summaries = summaries
        self._more_environment = environment or {}
        self._limit = limit
        self._shared_memory = f"triton-ops-{uuid.uuid4().hex[:12]}"
        self._process: LocalProcess | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            # Triton waits for open connections when it stops, so none is kept.
            connector=aiohttp.TCPConnector(force_close=True),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
        )
        try:
            await self.start()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.stop()
        finally:
            await self._http.close()

    async def start(self) -> None:
        """Returns when the server is ready, or, with models that failed to load, when it has tried them
        all."""
        process = await self.launch()
        await process.wait_until(self._is_serving, seconds=READY_SECONDS)

    async def launch(self) -> LocalProcess:
        """Starts the program and does not wait for it."""
        self.ground_truth.mkdir(parents=True, exist_ok=True)
        self._process = await LocalProcess.start(
            f"tritonserver {self.address}:{self.ports.http}",
            self._command(),
            log=self.log,
            environment=self._environment(),
            limit=self._limit,
        )
        return self._process

    async def stop(self) -> None:
        """Counts the inferences, then ends the server; a frozen or hung one is killed. Without effect when it
        is stopped."""
        if self._process is None:
            return
        # A server that cannot say what it did counts as none.
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, TritonRefused):
            self._install.inferences += sum((await self.success_counts()).values())
        process, self._process = self._process, None
        try:
            await process.stop(seconds=self.stop_seconds)
        finally:
            self._remove_shared_memory()

    async def restart(self) -> None:
        """The same server anew: its counters start at zero, its log and ground truth go on."""
        await self.stop()
        await self.start()

    def pause(self) -> None:
        """Freezes it (SIGSTOP): the sockets stay open and nothing answers.

        The Python backend's stub goes on. Frozen together, the server can wake before a stub that holds their common lock, and
        then ends itself with boost's lock_exception, a crash that no test here is about."""
        self._running().freeze()

    def resume(self) -> None:
        self._running().thaw()

    def kill(self) -> None:
        """Ends it as a crash would. `stop` or `restart` clean up after it."""
        self._running().signal(signal.SIGKILL)

    def release(self) -> None:
        """Lets the `hanging` model's requests return, now and from now on."""
        (self.ground_truth / "release").touch()

    async def infer(self, model: str, value: float = 0.0) -> float:
        """The model's OUTPUT; INPUT is `value`. `TritonRefused` on an error answer."""
        answer = await self.call("POST", f"/v2/models/{model}/infer", infer_body(model, value))
        return float(answer["outputs"][0]["data"][0])

    async def load(self, model: str, *, configuration: str | None = None) -> None:
        """Needs `--model-control-mode=explicit`; `configuration` is JSON that replaces the file's."""
        parameters = {"parameters": {"config": configuration}} if configuration else {}
        await self.call("POST", f"/v2/repository/models/{model}/load", parameters)

    async def unload(self, model: str) -> None:
        """Returns before the memory is freed; the index says UNLOADING until then."""
        await self.call("POST", f"/v2/repository/models/{model}/unload", {})

    async def index(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.call("POST", "/v2/repository/index", {})
        return found

    async def metrics(self) -> str:
        async with self._http.get(self.metrics_url) as answer:
            return await answer.text()

    async def success_counts(self) -> dict[str, int]:
        """Successful requests per `model/version` since the model was loaded, by Triton's own statistics."""
        statistics = await self.call("GET", "/v2/models/stats", seconds=2.0)
        return {
            f"{model['name']}/{model['version']}": int(model["inference_stats"]["success"]["count"])
            for model in statistics["model_stats"]
        }

    def executions(self) -> list[Execution]:
        """What its models really executed, also those of before a restart."""
        return read_executions(self.ground_truth)

    @property
    def log(self) -> Path:
        return self.folder / "tritonserver.log"

    async def call(self, method: str, path: str, body: Any = None, *, seconds: float = ANSWER_SECONDS) -> Any:
        """The JSON that Triton's HTTP API answers, None for an empty answer."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._http.request(method, self.url + path, json=body, timeout=timeout) as answer:
            if answer.status != 200:
                raise TritonRefused(
                    f"{method} {path}: {answer.status} {(await answer.text())[:500]}", answer.status
                )
            return await answer.json(content_type=None) if await answer.read() else None

    async def _is_serving(self) -> bool:
        try:
            async with self._http.get(f"{self.url}/v2/health/ready") as answer:
                if answer.status == 200:
                    return True
            return bool(rows := await self.index()) and all(_is_settled(row) for row in rows)
        except (aiohttp.ClientError, TimeoutError, TritonRefused):
            return False

    def _remove_shared_memory(self) -> None:
        for region in SHARED_MEMORY.glob(f"{self._shared_memory}*"):
            region.unlink(missing_ok=True)

    def _running(self) -> LocalProcess:
        if self._process is None:
            raise RuntimeError(f"tritonserver {self.address} is not started")
        return self._process

    def _command(self) -> list[str]:
        return [
            str(self._install.server),
            f"--model-repository={self._repository}",
            f"--backend-directory={self._install.backends}",
            f"--backend-config=python,shm-region-prefix-name={self._shared_memory}",
            *(f"--{name}-address={self.address}" for name in ("http", "grpc", "metrics")),
            f"--http-port={self.ports.http}",
            f"--grpc-port={self.ports.grpc}",
            f"--metrics-port={self.ports.metrics}",
            "--metrics-interval-ms=500",
            f"--metrics-config=summary_latencies={str(self._summaries).lower()}",
            "--exit-on-error=false",
            "--exit-timeout-secs=5",
            *self._arguments,
        ]

    def _environment(self) -> dict[str, str]:
        return self._install.environment | {
            FOLDER_VARIABLE: str(self.ground_truth),
            "PYTHONPATH": str(CHECKOUT),
            **self._more_environment,
        }


def infer_body(model: str, value: float) -> dict[str, Any]:
    """The body of `POST /v2/models/{model}/infer`."""
    shape = [1, 1] if model.startswith("batching") else [1]
    return {"inputs": [{"name": "INPUT", "datatype": "FP32", "shape": shape, "data": [value]}]}


def _is_settled(row: dict[str, Any]) -> bool:
    return row.get("state") == "READY" or (row.get("state") == "UNAVAILABLE" and bool(row.get("reason")))
