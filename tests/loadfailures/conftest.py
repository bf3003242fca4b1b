import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.loadfailures.failure import Failure
from tests.loadfailures.failures import EVERY, MOUNTED
from tests.loadfailures.outcomes import Outcomes, start
from tests.tritons.install import TritonInstall


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def outcomes(
    request: pytest.FixtureRequest, triton_install: TritonInstall, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Outcomes]:
    """Of every failure that a test of this folder asks for, begun when the first one does."""
    here = [
        item
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path.parent == Path(__file__).parent
    ]
    every = any("every_outcome" in item.fixturenames for item in here)
    given = [item.callspec.params["failure"] for item in here if "failure" in item.fixturenames]
    asked = {failure.id for failure in given if isinstance(failure, Failure)}
    wanted = [f for f in EVERY if (every and f not in MOUNTED) or f.id in asked]
    tasks = start(wanted, triton_install, tmp_path_factory.mktemp("load-failures"))
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.fixture(scope="session")
def every_outcome(outcomes: Outcomes) -> Outcomes:
    """Of every failure that needs no mount, whichever tests were chosen."""
    return outcomes
