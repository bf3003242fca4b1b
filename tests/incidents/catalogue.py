"""Every incident that can be run."""

from tests.incidents.autoscaled import AUTOSCALED
from tests.incidents.batches import BATCHES
from tests.incidents.loads import LOADS
from tests.incidents.mixes import MIXES
from tests.incidents.models_slow import MODELS_SLOW
from tests.incidents.no_faults import NO_FAULTS
from tests.incidents.nodes import NODES
from tests.incidents.paths import PATHS
from tests.incidents.queues import QUEUES

INCIDENTS = (
    *QUEUES,
    *BATCHES,
    *MODELS_SLOW,
    *LOADS,
    *NODES,
    *MIXES,
    *PATHS,
    *NO_FAULTS,
    *AUTOSCALED,
)
