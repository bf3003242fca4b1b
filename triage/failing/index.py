"""Which models a pod's Triton has, asked through the API server's pod proxy: a small POST, where a log may be megabytes."""

import asyncio

from triage.collect import Found, Question
from triage.evidence import Missing
from triage.failing.triton_pod import TritonPod
from triage.probes.pod_triton import Exchange, ProxiedPort
from triage.probes.triton_questions import TritonQuestions


class PodIndexes:
    """Questions after pods' repository indexes. What is forbidden in a namespace is asked there once, and not of each pod."""

    def __init__(self, api: Exchange, kubectl: str) -> None:
        self._api = api
        self._kubectl = kubectl
        self._first: dict[str, asyncio.Lock] = {}
        self._allowed: set[str] = set()
        self._forbidden: dict[str, Missing] = {}

    def question(self, pod: TritonPod) -> Question:
        way = ProxiedPort(self._api, pod.namespace, pod.name, pod.http_port, self._kubectl)
        questions = TritonQuestions(way, pod.name, "", f":{pod.name}")

        async def ask() -> Found:
            # What its failing models answer one by one is asked for its whole report.
            return Found((await self._ask(pod.namespace, way, questions)).facts)

        return questions.index(ask)

    async def _ask(self, namespace: str, way: ProxiedPort, questions: TritonQuestions) -> Found:
        if namespace not in self._allowed:
            async with self._first.setdefault(namespace, asyncio.Lock()):
                if known := self._forbidden.get(namespace):
                    return Found(known)
                if namespace not in self._allowed:
                    return await self._first_of(namespace, way, questions)
        return await questions.read_index()

    async def _first_of(self, namespace: str, way: ProxiedPort, questions: TritonQuestions) -> Found:
        found = await questions.read_index()
        if not way.denied:
            self._allowed.add(namespace)
            return found
        missing = self._forbidden[namespace] = Missing("forbidden", way.denied, _GRANT)
        return Found(missing)


_GRANT = (
    "kubectl create role triton-triage-index -n NAMESPACE --verb=create --resource=pods/proxy, and a rolebinding of it to you;"
    " whoever has it may also load and unload models"
)
