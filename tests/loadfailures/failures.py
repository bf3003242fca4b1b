"""Every failure that a test can start."""

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

FAILURES = (
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
