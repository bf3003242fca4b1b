"""From a request to a snapshot: which sources to ask, and ask them."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp

from telemetry.kube_client import KubernetesClient, default_namespace
from telemetry.kubernetes_api import KubernetesError
from triage.collect import Found, Question, collect
from triage.evidence import Asked, Missing, Snapshot
from triage.probes.log_file import log_questions
from triage.probes.pod import pod_questions
from triage.probes.triton_url import triton_questions
from triage.report import Rules
from triage.seal import Seal


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given on the command line; at least one of log, triton and target."""

    log: str | None = None
    triton: str | None = None
    target: str = ""
    namespace: str = ""
    """Empty: the context's own."""
    kubeconfig: str | None = None
    context: str | None = None


async def look(sources: Sources, model: str, rules: Rules, make_seal: Callable[[], Seal]) -> Snapshot:
    """Everything that the sources show, within the tree's budget; a source that cannot be asked is missing evidence."""
    timeout = aiohttp.ClientTimeout(total=None)  # each question has its own deadline
    namespace = sources.namespace
    async with AsyncExitStack() as resources:
        session = await resources.enter_async_context(aiohttp.ClientSession(timeout=timeout, trust_env=False))
        questions: list[Question] = []
        if sources.log:
            questions += log_questions(sources.log, rules.signatures, rules.tree.probes["log"].deadline)
        if sources.triton:
            questions += triton_questions(sources.triton, session)
        if sources.target:
            client = KubernetesClient(kubeconfig=sources.kubeconfig, context=sources.context)
            try:
                await resources.enter_async_context(client)
                namespace = namespace or await default_namespace(sources.kubeconfig, sources.context)
                questions += pod_questions(client, namespace, sources.target, rules.signatures)
            except KubernetesError as error:
                questions.append(_no_cluster(sources.target, error))
        asked = Asked(tree=rules.tree.tree, target=sources.target, namespace=namespace, model=model)
        return await collect(questions, asked, rules.tree, make_seal)


def _no_cluster(target: str, error: KubernetesError) -> Question:
    async def ask(seal: Seal) -> Found:
        return Found(
            Missing("unreachable", str(error), "pass --kubeconfig and --context, or give --log FILE")
        )

    return Question("pods", "pod", f"pods of {target}", target, "kubectl config current-context", ask)
