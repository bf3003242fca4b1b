"""How many GPUs a resource list of Kubernetes names. Pure."""

import re
from collections.abc import Mapping

_GPU = re.compile(r"nvidia\.com/(gpu(\..+)?|mig-.+)")
"""`gpu.shared` and the like are the device plugin's. Not HAMi's gpumem, gpumem-percentage and gpucores: megabytes and percent of a
GPU that is counted already (Project-HAMi/HAMi:charts/hami/values.yaml, resourceMem and those after it)."""


def gpus_of(resources: Mapping[str, str]) -> int:
    """Whole GPUs and MIG slices among quantities by resource."""
    return sum(int(n) for name, n in resources.items() if _GPU.fullmatch(name) and n.isdigit())
