"""Who is asked changes: another model of the same servers gets the work, and the hardware has no more to give."""

from dataclasses import replace

from tests.incidents.evidence import Check, Evidence, Phase
from tests.incidents.incident import RealIncident
from tests.incidents.models import Model
from tests.incidents.pod_server import Pod
from tests.incidents.proofs import SUCCESS, at_least, at_most, infer_rose, p99_rose
from tests.incidents.traffic import Stream

BURNS = {"burns": "yes"}
RANKER = Stream(12, work_ms=25)
CAPTIONS = Stream(1, work_ms=60, kind="captions", model="captioner")


def _mixed(evidence: Evidence) -> list[Check]:
    def answered(phase: Phase, model: str) -> float:
        return evidence.increase(SUCCESS, phase, model=model) / phase.seconds

    before, during = evidence.baseline, evidence.incident
    busy = [evidence.platform("cpu_seconds", during, of=pod) / during.seconds for pod in evidence.pods()]
    return [
        p99_rose(evidence, 1.5, kind="user"),
        infer_rose(evidence, 8, model="ranker"),
        at_most("requests/s of the ranker", answered(during, "ranker"), 1.2 * answered(before, "ranker")),
        at_least(
            "requests/s of the captioner", answered(during, "captioner"), 5 * answered(before, "captioner")
        ),
        at_least("processor time of the idlest pod, of one core", min(busy), 0.7),
    ]


MODEL_MIX = RealIncident(
    id="model-mix",
    label="model_mix",
    about="Each pod has one core for two models; one is asked for twenty times as much, and the other computes longer.",
    models=(Model(instances=2, parameters=BURNS), Model("captioner", instances=4, parameters=BURNS)),
    pods=(Pod("node-a", core=0), Pod("node-b", core=1)),
    calm=(RANKER, CAPTIONS),
    during=(RANKER, replace(CAPTIONS, per_second=20)),
    page_names="ranker",
    proof=_mixed,
)

MIXES = (MODEL_MIX,)
