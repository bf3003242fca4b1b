"""Every failure that a test can start. Those that need file systems of their own are in `make accuracy`: they want the right to
mount, and /dev/fuse."""

import pytest

from tests.loadfailures.backends import BACKENDS
from tests.loadfailures.collisions import COLLISIONS
from tests.loadfailures.configurations import CONFIGURATIONS
from tests.loadfailures.ensembles import ENSEMBLES
from tests.loadfailures.healthy_servers import HEALTHY_SERVERS
from tests.loadfailures.hosts import HOSTS
from tests.loadfailures.python_models import PYTHON_MODELS
from tests.loadfailures.repositories import REPOSITORIES
from tests.loadfailures.servers import SERVERS
from tests.loadfailures.stores import STORES
from tests.loadfailures.warm_ups import WARM_UPS

EVERY = (
    *REPOSITORIES,
    *CONFIGURATIONS,
    *PYTHON_MODELS,
    *WARM_UPS,
    *BACKENDS,
    *ENSEMBLES,
    *SERVERS,
    *STORES,
    *HOSTS,
    *COLLISIONS,
    *HEALTHY_SERVERS,
)
MOUNTED = tuple(failure for failure in EVERY if failure.disks or failure.dead_mount)
FAILURES = tuple(failure for failure in EVERY if failure not in MOUNTED)
FAILURES_AND_MOUNTED = (
    *FAILURES,
    *(pytest.param(failure, marks=pytest.mark.accuracy) for failure in MOUNTED),
)
