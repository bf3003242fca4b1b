"""From a request to a snapshot: which sources to ask, and ask them."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import aiohttp
import msgspec

from telemetry.kubernetes_api import KubernetesError
from telemetry.prometheus import PrometheusAccess, PrometheusSource
from triage.cluster_access import ClusterAccess
from triage.collect import Found, Question, SoFar, collect
from triage.evidence import Asked, Missing, PodList, Snapshot
from triage.latency.measures import Measure
from triage.log_excerpt import WORTH
from triage.probes.cluster import cluster_questions
from triage.probes.log_file import log_questions
from triage.probes.pod import pod_questions
from triage.probes.pod_gpus import PROBE as GPUS
from triage.probes.pod_gpus import PodGpus
from triage.probes.repository_folder import repository_questions
from triage.probes.triton_url import triton_questions
from triage.repository.access import RunAs
from triage.repository.backends import Backends
from triage.rules import Rules
from triage.seal import Seal, printable

CONNECTING_SHARE = 0.6
"""Of the budget, for credentials and the list of pods: plug-ins take seconds, and the pods are still to be asked about."""

_OF_ROLLOUT = ("rollouts", "placements", "canary")


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given on the command line; at least one of log, triton, target and repository."""

    log: str | None = None
    triton: str | None = None
    target: str = ""
    selector: bool = False
    """The target is a label selector, whatever it looks like."""
    namespace: str = ""
    """Empty: the context's own."""
    kubeconfig: str | None = None
    context: str | None = None
    repository: str | None = None
    """A model repository's folder, which needs `backends`."""
    backends: Backends | None = None
    run_as: RunAs | None = None
    """Whom the server runs as, as far as the repository's modes are concerned."""
    prometheus: str = ""
    """A Prometheus that may know the pods' GPUs, which needs `measures` of the platform; it is asked of a target's pods alone."""
    access: PrometheusAccess = field(default_factory=PrometheusAccess)
    measures: Sequence[Measure] = ()
    through_api: bool = True
    """Where no address of Triton is given, its pods are asked through the API server, which takes the rights to pods/proxy."""


async def look(
    sources: Sources,
    model: str,
    rules: Rules,
    make_seal: Callable[[], Seal],
    so_far: SoFar | None = None,
) -> Snapshot:
    """Everything that the sources show, within the tree's budget; a source that cannot be asked is missing evidence."""
    timeout = aiohttp.ClientTimeout(total=None)  # each question has its own deadline
    probes = rules.tree.probes
    async with AsyncExitStack() as resources:
        session = await resources.enter_async_context(aiohttp.ClientSession(timeout=timeout, trust_env=False))
        questions: list[Question] = []
        if sources.log and "log" in probes:
            known = rules.signatures
            questions += log_questions(
                sources.log,
                known.tells_failure,
                probes["log"].deadline,
                worth_a_look=known.skimmer(WORTH),
            )
        if sources.triton:
            questions += triton_questions(sources.triton, session, model=model)
        if sources.repository and sources.backends and "repository" in probes:
            deadline = probes["repository"].deadline
            questions += repository_questions(sources.repository, sources.backends, deadline, sources.run_as)
        access = ClusterAccess(sources.namespace, sources.kubeconfig, sources.context, resources)
        gpus: PodGpus | None = None
        if sources.prometheus and sources.target and GPUS in probes:
            source = PrometheusSource(sources.prometheus, sources.access)
            await resources.enter_async_context(source)
            gpus = PodGpus(source, sources.measures)
        if sources.target:
            questions.append(_pods(access, sources, rules, model, gpus))
        # As in the evidence, so that a model's name is the same in both.
        asked = Asked(tree=rules.tree.tree, target=printable(sources.target), model=printable(model))
        patience = max([one.patience or 0.0 for one in questions if one.probe == "log"], default=0.0)
        snapshot = await collect(questions, asked, rules.tree, make_seal, patience=patience, so_far=so_far)
        asked = msgspec.structs.replace(
            asked,
            namespace=printable(access.namespace),
            kubeconfig=printable(sources.kubeconfig or "") if sources.target else "",
            context=printable(sources.context or "") if sources.target else "",
        )
        return msgspec.structs.replace(snapshot, asked=asked)


def _pods(
    access: ClusterAccess, sources: Sources, rules: Rules, model: str, gpus: PodGpus | None
) -> Question:
    async def ask(seal: Seal) -> Found:
        try:
            client = await access.connect()
        except KubernetesError as error:
            remedy = "pass --kubeconfig and --context, or give --log FILE"
            return Found(Missing("unreachable", str(error), remedy))
        (pods,) = pod_questions(
            client,
            access.namespace,
            sources.target,
            rules.signatures,
            access.kubectl,
            selector=sources.selector,
            exchange=client if sources.through_api and not sources.triton else None,
            model=model,
            gpus=gpus,
        )
        rollout = cluster_questions(
            client, access.namespace, sources.target, access.kubectl, selector=sources.selector
        )
        found = await pods.ask(seal)
        if not isinstance(found.facts, PodList):
            return found
        return Found(found.facts, [*found.then, *(each for each in rollout if each.probe in _OF_ROLLOUT)])

    patience = rules.tree.budget * CONNECTING_SHARE
    return access.pods_question(
        sources.target, ask, selector=sources.selector, as_probe=("pods", "pod"), patience=patience
    )
