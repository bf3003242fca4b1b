import pytest

from tests.deploy.build_tools import ensure_helm
from tests.deploy.helm import Helm


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The real Helm; no other cluster's configuration reaches it."""
    return Helm(ensure_helm(), tmp_path_factory.mktemp("helm"))
