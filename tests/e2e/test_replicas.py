"""Two replicas while everything around them changes: no GET fails but those that a killed replica takes with it.

Their own CAs are replaced (they live a minute here), the request-header CA and kube-apiserver's client certificate change, the
API server restarts, and one replica is killed. A GET that fails because the API server itself is away is not counted."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import trustme

from tests.controlplane.build_tools import ensure_tools
from tests.controlplane.certificates import FRONT_PROXY
from tests.controlplane.control_plane import ControlPlane
from tests.controlplane.kube_client import ApiRefused
from tests.e2e.balancer import Balancer
from tests.e2e.daemon import Daemon
from tests.e2e.fleet import deployment, example_hpa, rules_with_window
from tests.local_process import eventually, free_ports
from tests.tritons.install import TritonInstall
from tests.tritons.repository import lay_out
from tests.tritons.server import TritonServer

NAMESPACE = "default"
PATH = (
    f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{NAMESPACE}/triton_inference_concurrency"
    "?labelSelector=workload%3Dtriton"
)
ASK_SECONDS = 0.5
AT_ONCE = 4
REMOVAL_SECONDS = 5.0
"""From a replica's death until no connection goes to it any more: the probe's second, and what was under way."""


@dataclass
class Asker:
    """Asks through kube-apiserver as the HPA does, several times a second; `failures` are counted ones, by moment."""

    control_plane: ControlPlane
    asked: int = 0
    failures: list[tuple[float, str]] = field(default_factory=list)
    excuse: bool = False

    async def run(self) -> None:
        """Several at a time: one would keep to one connection, and so to one replica."""
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(self._ask())

    async def _ask(self) -> None:
        while True:
            began, excused = time.monotonic(), self.excuse
            try:
                answer = await self.control_plane.api.call("GET", PATH)
                assert len(answer["items"]) == 1
            except (ApiRefused, aiohttp.ClientError, OSError) as error:
                if not (excused or self.excuse):
                    self.failures.append((began, str(error)))
            self.asked += 1
            await asyncio.sleep(ASK_SECONDS)

    @asynccontextmanager
    async def excused(self, seconds: float = 0.0) -> AsyncIterator[None]:
        """A GET that is under way inside, or within so many seconds after, may fail for a known cause."""
        self.excuse = True
        yield
        await asyncio.sleep(seconds)
        self.excuse = False


@dataclass
class Pair:
    control_plane: ControlPlane
    replicas: tuple[Daemon, Daemon]
    balancer: Balancer
    asker: Asker

    def logged(self, event: str) -> list[int]:
        """How often each replica has logged the event until now."""
        return [replica.log.read_text().count(json.dumps(event)) for replica in self.replicas]

    async def until_logged(self, event: str, before: list[int], *, seconds: float = 90.0) -> None:
        """Returns once each replica has logged the event more often than `before`."""

        async def reached() -> bool:
            return all(now > then for now, then in zip(self.logged(event), before, strict=True))

        await eventually(reached, seconds=seconds)

    async def until_cas_are_replaced(self) -> None:
        await self.until_logged("own CA replaced", self.logged("own CA replaced"))

    async def change_front_proxy(self) -> None:
        """kube-apiserver trusts and publishes another request-header CA beside the old, then shows itself with a certificate
        of it; it reads both files again by itself."""
        certificates = self.control_plane.certificates
        before, successor = self.logged("front proxy trusted"), trustme.CA()
        ca = certificates.request_header_ca
        ca.write_bytes(ca.read_bytes() + successor.cert_pem.bytes())
        await self.until_logged("front proxy trusted", before)
        new = certificates.front_proxy(signer=successor)
        for file in (new.certificate, new.key):
            shown = file.with_name(f"front-proxy-{FRONT_PROXY}{file.suffix}")
            shown.write_bytes(file.read_bytes())

    async def restart_api_server(self) -> None:
        async with self.asker.excused():
            await self.control_plane.restart_api_server()
            await self.control_plane.wait_for_external_metrics(seconds=90)
            await self._answered()

    async def _answered(self) -> None:
        """The API server may still hold what it knew of the APIService before it stopped."""

        async def answers() -> bool:
            try:
                await self.control_plane.api.call("GET", PATH)
            except (ApiRefused, aiohttp.ClientError, OSError):
                return False
            return True

        await eventually(answers, seconds=60)

    async def kill_one(self) -> None:
        victim = self.replicas[1]
        async with self.asker.excused(REMOVAL_SECONDS):
            await victim.kill()
        assert self.balancer.ready == {self.replicas[0].port}

    async def start_it_again(self) -> None:
        await self.replicas[1].start()
        await self.replicas[1].until_ready()

    async def start_it_again_while_the_api_server_is_away(self) -> None:
        """It says what it waits for, and needs no other start."""
        async with self.asker.excused():
            async with self.control_plane.without_api_server():
                await self.replicas[1].start()
                said = await self.replicas[1].readyz()
                while "Connection refused" not in said:
                    await asyncio.sleep(0.1)
                    said = await self.replicas[1].readyz()
                assert re.search(
                    r"(?m)^\[-\]front-proxy-ca failed: .*cannot be read: .*Connection refused", said
                )
                assert "[-]ca-bundle failed: " in said
            await self.replicas[1].until_ready()
            await self.control_plane.wait_for_external_metrics(seconds=90)
            await self._answered()


@asynccontextmanager
async def two_replicas(install: TritonInstall, folder: Path) -> AsyncIterator[Pair]:
    """A control plane of their own, which may be changed; one real Triton; an HPA that asks each second."""
    async with ControlPlane(ensure_tools(), folder / "control-plane") as control_plane:
        repository = lay_out(folder / "repository", "fast")
        async with TritonServer(install, repository, folder / "triton") as triton:
            await triton.infer("fast", 1.0)
            target = {
                "namespace": NAMESPACE,
                "pod": "triton-0",
                "workload": "triton",
                "metrics_url": triton.metrics_url,
                "http_url": triton.url,
            }
            config = {
                "targets": {"static": [target]},
                "scrape": {"interval": "1s", "timeout": "800ms"},
            }
            folders = [folder / f"replica-{number}" for number in range(2)]
            for each in folders:
                each.mkdir()
            rules = rules_with_window(folder / "rules")
            one, other = (
                Daemon(control_plane, each, config, rules=rules, program="tests.e2e.short_lived")
                for each in folders
            )
            [port] = free_ports(1)
            await control_plane.install_external_metrics(port)
            endpoints = [(replica.port, f"{replica.plain_url}/readyz") for replica in (one, other)]
            async with one, other, Balancer(port, endpoints) as balancer:
                for replica in (one, other):
                    await replica.until_ready()
                await control_plane.wait_for_external_metrics(seconds=60)
                await control_plane.api.apply([deployment(NAMESPACE), example_hpa(NAMESPACE, "4")])
                await eventually(lambda: _has_decided(control_plane), seconds=60)
                asker = Asker(control_plane)
                asking = asyncio.create_task(asker.run())
                yield Pair(control_plane, (one, other), balancer, asker)
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asking


@pytest.mark.timeout(600)
async def test_no_get_fails_while_certificates_the_front_proxy_and_the_api_server_change(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    async with two_replicas(triton_install, tmp_path) as pair:
        began = await pair.control_plane.hpa_syncs()
        await asyncio.gather(pair.until_cas_are_replaced(), pair.change_front_proxy())
        quiet = await pair.control_plane.hpa_syncs()
        assert _failed(quiet) == _failed(began), (began, quiet)
        await pair.restart_api_server()
        await pair.kill_one()
        await pair.start_it_again_while_the_api_server_is_away()
        _check(pair, at_least=100)
        assert quiet["none"] > began.get("none", 0), "the HPA decided in between"


@pytest.mark.accuracy
@pytest.mark.timeout(1800)
async def test_ten_minutes_of_all_that(triton_install: TritonInstall, tmp_path: Path) -> None:
    """Each round: both CAs are replaced, the front proxy changes, one replica is killed and comes back; every third round
    the API server restarts."""
    async with two_replicas(triton_install, tmp_path) as pair:
        end, rounds = time.monotonic() + 600, 0
        began = await pair.control_plane.hpa_syncs()
        while time.monotonic() < end:
            before = await pair.control_plane.hpa_syncs()
            await asyncio.gather(pair.until_cas_are_replaced(), pair.change_front_proxy())
            after = await pair.control_plane.hpa_syncs()
            assert _failed(after) == _failed(before), (before, after)
            if rounds % 3 == 0:
                await pair.restart_api_server()
            await pair.kill_one()
            await pair.start_it_again()
            rounds += 1
            syncs = (await pair.control_plane.hpa_syncs())["none"] - began["none"]
            print(
                f"round {rounds}: {pair.asker.asked} asked, failures {pair.asker.failures}; HPA syncs {syncs}"
            )
        _check(pair, at_least=1500)
        assert syncs >= 300, "an HPA syncs each second here, but for the API server's restarts"


def _check(pair: Pair, *, at_least: int) -> None:
    assert pair.asker.failures == []
    assert pair.asker.asked >= at_least
    assert all(pair.balancer.connections.values()), "both replicas were asked"


async def _has_decided(control_plane: ControlPlane) -> bool:
    return (await control_plane.hpa_syncs()).get("none", 0) > 0


def _failed(syncs: dict[str, int]) -> int:
    return sum(count for error, count in syncs.items() if error != "none")
