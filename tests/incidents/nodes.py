"""The processor that a pod runs on is not all its own."""

from tests.incidents.evidence import Check, Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.proofs import INFER, at_least, at_most, infer_rose, p99_rose, per_request_ms
from tests.incidents.traffic import Stream
from tests.incidents.world import World

BURNING = Model(instances=1, parameters={"burns": "yes"})
QUOTA_CORES = 0.12


async def _limit(world: World, _: float) -> None:
    for name, server in world.pods.items():
        if server.group is not None:
            server.group.limit_cpu(QUOTA_CORES)
            world.note(f"{name} may use {QUOTA_CORES:g} cores")


def _throttled(evidence: Evidence) -> list[Check]:
    def share(phase: Phase) -> float:
        periods, throttled = (evidence.platform(count, phase) for count in ("periods", "throttled_periods"))
        return throttled / periods if periods else 0.0

    return [
        p99_rose(evidence, 2),
        infer_rose(evidence, 15),
        at_most("share of throttled periods before", share(evidence.baseline), 0.05),
        at_least("share of throttled periods", share(evidence.incident), 0.15),
    ]


CPU_THROTTLING = RealIncident(
    id="cpu-throttling",
    label="cpu_throttling",
    about="The pods get a processor limit of 0.12 cores, enforced by the kernel: a request needs 50 ms, a period has 12.",
    models=(BURNING,),
    calm=(Stream(3, work_ms=50),),
    act=_limit,
    needs_control_groups=True,
    proof=_throttled,
)


async def _neighbour(world: World, seconds: float) -> None:
    await world.start_hogs(16, core=0)


def _noisy(evidence: Evidence) -> list[Check]:
    quiet = next(pod for pod in evidence.pods() if _node(evidence, pod) == "node-b")
    noisy = next(pod for pod in evidence.pods() if _node(evidence, pod) == "node-a")
    return [
        p99_rose(evidence, 1.5),
        infer_rose(evidence, 15, of=noisy),
        at_least(
            "what the pod with neighbours lost beyond the other, ms in the model per request",
            _more(evidence, noisy) - _more(evidence, quiet),
            10,
        ),
        at_most(
            "processor time of the pod with neighbours, cores",
            evidence.platform("cpu_seconds", evidence.incident, of=noisy) / evidence.incident.seconds,
            0.5,
        ),
    ]


def _more(evidence: Evidence, pod: str) -> float:
    before, during = (
        per_request_ms(evidence, INFER, phase, of=pod) for phase in (evidence.baseline, evidence.incident)
    )
    return during - before


def _node(evidence: Evidence, pod: str) -> str:
    line = (evidence.folder / "platform" / f"{pod}.jsonl").read_text()
    return "node-a" if '"node": "node-a"' in line else "node-b"


NOISY_NEIGHBOUR = RealIncident(
    id="noisy-neighbour",
    label="noisy_neighbour",
    about="Sixteen other programs want the core that stands for node-a; the pod on the other core is well.",
    models=(BURNING,),
    pods=(Pod("node-a", core=0), Pod("node-b", core=1)),
    # Less than its fair share in all, and each request longer than the credit of one that slept.
    calm=(Stream(3, work_ms=60),),
    act=_neighbour,
    proof=_noisy,
)

NODES = (CPU_THROTTLING, NOISY_NEIGHBOUR)
