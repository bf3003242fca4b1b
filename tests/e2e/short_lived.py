"""`triton-autoscaler` whose own CA lives a minute instead of a year: all else is the program itself.

kube-apiserver judges the certificates by its own clock, so a replacement that came late would be seen as a failed GET."""

from collections.abc import Callable
from datetime import datetime, timedelta

import autoscaler.api.certificates as certificates
import autoscaler.serve
from autoscaler.api.authority import OwnAuthority
from autoscaler.api.publish import ServiceRef
from autoscaler.cli import main
from telemetry.kubernetes_api import KubernetesApi

CA_LIFE = timedelta(seconds=60)
SERVING_LIFE = timedelta(seconds=45)


class ShortLivedAuthority(OwnAuthority):
    def __init__(self, api: KubernetesApi, service: ServiceRef, now: Callable[[], datetime]) -> None:
        super().__init__(api, service, now, recheck_seconds=2.0, settle=timedelta(seconds=4))


if __name__ == "__main__":
    certificates.CA_LIFE, certificates.SERVING_LIFE = CA_LIFE, SERVING_LIFE
    vars(autoscaler.serve)["OwnAuthority"] = ShortLivedAuthority
    main(prog_name="triton-autoscaler")
