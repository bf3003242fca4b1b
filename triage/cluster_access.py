"""A cluster as the flags name it: connected to only when it is first asked, so that a slow credential plug-in holds up no other
source."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from telemetry.kube_client import KubernetesClient, default_namespace
from telemetry.late_import import import_late
from triage.collect import Found, Question
from triage.probes.pod import get_command, is_selector
from triage.seal import Seal


class ClusterAccess:
    def __init__(
        self, namespace: str, kubeconfig: str | None, context: str | None, resources: AsyncExitStack
    ) -> None:
        """An empty namespace becomes the context's own once there is a connection."""
        self.namespace = namespace
        self._kubeconfig = kubeconfig
        self._context = context
        self._resources = resources

    @property
    def kubectl(self) -> str:
        """With the flags that were given: the same question to another cluster would be another question."""
        flags = (("--kubeconfig", self._kubeconfig), ("--context", self._context))
        given = (f" {flag} {shlex.quote(value)}" for flag, value in flags if value)
        return "".join(("kubectl", *given))

    async def connect(self) -> KubernetesClient:
        """Closed with the resources. Raises KubernetesError."""
        for module in ("kubernetes.aio.client", "kubernetes.aio.config"):  # 0.7 s, in which others go on
            await asyncio.to_thread(import_late, module)
        client = KubernetesClient(kubeconfig=self._kubeconfig, context=self._context)
        await self._resources.enter_async_context(client)
        self.namespace = self.namespace or await default_namespace(self._kubeconfig, self._context)
        return client

    def pods_question(
        self,
        target: str,
        ask: Callable[[Seal], Awaitable[Found]],
        *,
        selector: bool,
        as_probe: tuple[str, str],
        patience: float,
    ) -> Question:
        """The question after a target's pods, which connects; `as_probe` is its id and its probe."""
        command = get_command(self.kubectl, self.namespace, target, selector=selector or is_selector(target))
        where = f"namespace {self.namespace}" if self.namespace else "the context's namespace"
        id, probe = as_probe
        return Question(
            id=id,
            probe=probe,
            source=f"pods of {target}",
            query=f"{target} in {where}",
            command=command,
            ask=ask,
            on_timeout=f"does `{command}` answer? the credential plug-in or the API server is slow",
            patience=patience,
        )
