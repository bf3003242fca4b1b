"""What the tests of the on-call service share: one fleet of real Tritons, and a strict Slack for each test."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.controlplane.control_plane import ControlPlane
from tests.oncall.fleet import NAMESPACE, Fleet, unready_fleet
from tests.slack.slack_api import SlackApi, slack_api
from tests.tritons.install import TritonInstall


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fleet(
    control_plane: ControlPlane, triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Fleet]:
    """Two pods that are not ready, since a model does not load."""
    folder = tmp_path_factory.mktemp("on-call-fleet")
    async with unready_fleet(control_plane, triton_install, NAMESPACE, folder) as tritons:
        yield Fleet(control_plane, tritons)


@pytest_asyncio.fixture(loop_scope="session")
async def slack() -> AsyncIterator[SlackApi]:
    async with slack_api() as api:
        yield api
