from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.gpu_agent.fake_kubelet import FakeKubelet


@pytest.fixture
async def kubelet(tmp_path: Path) -> AsyncIterator[FakeKubelet]:
    async with FakeKubelet(tmp_path / "kubelet.sock") as running:
        yield running
