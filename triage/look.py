"""From a request to a snapshot: which sources to ask, and ask them."""

import asyncio
import shlex
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module

import aiohttp
import msgspec

from telemetry.kube_client import KubernetesClient, default_namespace
from telemetry.kubernetes_api import KubernetesError
from triage.collect import Found, Question, collect
from triage.evidence import Asked, Missing, Snapshot
from triage.probes.log_file import log_questions
from triage.probes.pod import get_command, is_selector, pod_questions
from triage.probes.triton_url import triton_questions
from triage.rules import Rules
from triage.seal import Seal, printable

CONNECTING_SHARE = 0.6
"""Of the budget, for credentials and the list of pods: plug-ins take seconds, and the pods are still to be asked about."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What was given on the command line; at least one of log, triton and target."""

    log: str | None = None
    triton: str | None = None
    target: str = ""
    selector: bool = False
    """The target is a label selector, whatever it looks like."""
    namespace: str = ""
    """Empty: the context's own."""
    kubeconfig: str | None = None
    context: str | None = None


async def look(sources: Sources, model: str, rules: Rules, make_seal: Callable[[], Seal]) -> Snapshot:
    """Everything that the sources show, within the tree's budget; a source that cannot be asked is missing evidence."""
    timeout = aiohttp.ClientTimeout(total=None)  # each question has its own deadline
    probes = rules.tree.probes
    async with AsyncExitStack() as resources:
        session = await resources.enter_async_context(aiohttp.ClientSession(timeout=timeout, trust_env=False))
        questions: list[Question] = []
        if sources.log and "log" in probes:
            questions += log_questions(sources.log, rules.signatures, probes["log"].deadline)
        if sources.triton:
            questions += triton_questions(sources.triton, session, model=model)
        cluster = _Cluster(sources, rules, resources)
        if sources.target:
            questions.append(cluster.question())
        # As in the evidence, so that a model's name is the same in both.
        asked = Asked(tree=rules.tree.tree, target=printable(sources.target), model=printable(model))
        snapshot = await collect(questions, asked, rules.tree, make_seal)
        asked = msgspec.structs.replace(asked, namespace=printable(cluster.namespace))
        return msgspec.structs.replace(snapshot, asked=asked)


class _Cluster:
    """Connects when it is asked: a credential plug-in that takes its time holds up no other source."""

    def __init__(self, sources: Sources, rules: Rules, resources: AsyncExitStack) -> None:
        self.namespace = sources.namespace
        self._sources = sources
        self._rules = rules
        self._resources = resources

    def question(self) -> Question:
        target, namespace = self._sources.target, self.namespace
        selector = self._sources.selector or is_selector(target)
        command = get_command(self._kubectl, namespace, target, selector=selector)
        where = f"namespace {namespace}" if namespace else "the context's namespace"
        return Question(
            id="pods",
            probe="pod",
            source=f"pods of {target}",
            query=f"{target} in {where}",
            command=command,
            ask=self._ask,
            on_timeout=f"does `{command}` answer? the credential plug-in or the API server is slow",
            patience=self._rules.tree.budget * CONNECTING_SHARE,
        )

    async def _ask(self, seal: Seal) -> Found:
        kubeconfig, context = self._sources.kubeconfig, self._sources.context
        for module in ("kubernetes.aio.client", "kubernetes.aio.config"):  # 0.7 s, in which others go on
            await asyncio.to_thread(import_module, module)
        client = KubernetesClient(kubeconfig=kubeconfig, context=context)
        try:
            await self._resources.enter_async_context(client)
            self.namespace = self.namespace or await default_namespace(kubeconfig, context)
        except KubernetesError as error:
            remedy = "pass --kubeconfig and --context, or give --log FILE"
            return Found(Missing("unreachable", str(error), remedy))
        target, signatures = self._sources.target, self._rules.signatures
        (pods,) = pod_questions(
            client, self.namespace, target, signatures, self._kubectl, selector=self._sources.selector
        )
        return await pods.ask(seal)

    @property
    def _kubectl(self) -> str:
        """With the flags that were given: the same question to another cluster would be another question."""
        flags = (("--kubeconfig", self._sources.kubeconfig), ("--context", self._sources.context))
        given = (f" {flag} {shlex.quote(value)}" for flag, value in flags if value)
        return "".join(("kubectl", *given))
