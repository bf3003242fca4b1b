"""Pods of a cluster: which ones, their state, events and logs, as the API server tells them, and what else tells of them. Only GETs
and Triton's index, which is a POST; no Secrets, no exec."""

import shlex
import time

from telemetry.kubernetes_api import KubernetesApi, KubernetesError
from telemetry.pod_events import read_events
from telemetry.pod_lookup import find_pods
from telemetry.pod_reader import read_pod
from telemetry.pods import Pod
from telemetry.workloads import ascend
from triage.collect import Found, Question
from triage.evidence import EventView, Missing, PodEvents, PodList
from triage.pod_view import pod_view, utc
from triage.probes.cluster_facts import missing
from triage.probes.container_logs import INSTEAD, container_log_questions
from triage.probes.pod_gpus import PodGpus
from triage.probes.pod_surroundings import surroundings_questions
from triage.probes.pod_triton import Exchange, pod_triton_questions
from triage.seal import Seal
from triage.signatures import Signatures

MOST_PODS = 5
"""Pods looked at: replicas of one workload fail alike, and each costs the API server several reads."""


def pod_questions(
    api: KubernetesApi,
    namespace: str,
    target: str,
    signatures: Signatures,
    kubectl: str = "kubectl",
    *,
    selector: bool = False,
    exchange: Exchange | None = None,
    model: str = "",
    gpus: PodGpus | None = None,
) -> list[Question]:
    """`target` is `pod/NAME`, `deploy/NAME` and so on, or a label selector; unready pods are looked at first. `kubectl` begins
    the commands that ask the same by hand, with the context if it is not the current one. `exchange` is the way to the pods' own
    ports through the API server; None where Triton is asked by its address, or not at all. `model` is followed before others.
    `gpus` asks a Prometheus about the pods' GPUs."""
    listing = _Pods(api, namespace, signatures, kubectl, exchange, model, gpus)
    return [listing.listing(target, selector or is_selector(target))]


def get_command(kubectl: str, namespace: str, target: str, *, selector: bool) -> str:
    """Lists the same pods, or the workload, by hand; in the context's namespace if none is given."""
    words = f"-l {shlex.quote(target)}" if selector else shlex.quote(target)
    # A selector alone names no kind.
    kind = "pods " if selector else ""
    return f"{kubectl}{f' -n {shlex.quote(namespace)}' if namespace else ''} get {kind}{words}"


class _Pods:
    def __init__(
        self,
        api: KubernetesApi,
        namespace: str,
        signatures: Signatures,
        kubectl: str,
        exchange: Exchange | None,
        model: str,
        gpus: PodGpus | None,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._signatures = signatures
        self._context = kubectl
        self._kubectl = f"{kubectl} -n {shlex.quote(namespace)}"
        self._exchange = exchange
        self._model = model
        self._gpus = gpus

    def listing(self, target: str, selector: bool) -> Question:
        async def ask(seal: Seal) -> Found:
            try:
                pods = await find_pods(self._api, self._namespace, target, selector=selector)
            except KubernetesError as error:
                return Found(missing(error, INSTEAD))
            if not pods:
                detail = f"{target} has no pods in namespace {self._namespace}"
                return Found(Missing("not_found", detail, "check the name, the selector and -n"))
            unready = [pod for pod in pods if not _is_ready(pod)]
            # An evicted pod stays for days, and tells nothing of the one that took its place.
            chosen = sorted(unready or pods, key=lambda pod: (_has_ended(pod), pod.metadata.name))[:MOST_PODS]
            names = tuple(pod.metadata.name for pod in chosen)
            listed = PodList(
                tuple(pod.metadata.name for pod in pods), tuple(pod.metadata.name for pod in unready), names
            )
            return Found(listed, [question for pod in chosen for question in self._about(pod)])

        return Question(
            id="pods",
            probe="pod",
            source=f"pods of {target}",
            query=f"{target} in namespace {self._namespace}",
            command=get_command(self._context, self._namespace, target, selector=selector),
            ask=ask,
        )

    def _about(self, pod: Pod) -> list[Question]:
        name, uid = pod.metadata.name, pod.metadata.uid
        workload = ascend(pod.metadata, {}).workload

        async def details(seal: Seal) -> Found:
            try:
                found = await read_pod(self._api, self._namespace, name)
            except KubernetesError as error:
                return Found(missing(error, INSTEAD))
            view = pod_view(found, f"{workload.kind.lower()}/{workload.name}" if workload else "")
            more = list(container_log_questions(self._api, view, self._signatures, self._context))
            if self._exchange is not None:
                more += pod_triton_questions(self._exchange, view, self._context, self._model)
            if self._gpus is not None:
                more += self._gpus.questions(view, time.time())
            return Found(view, [*more, *surroundings_questions(self._api, view, self._context)])

        async def events(seal: Seal) -> Found:
            try:
                found = await read_events(self._api, self._namespace, uid)
            except KubernetesError as error:
                return Found(missing(error, INSTEAD))
            if not found:
                detail = "the cluster has no events of this pod: none were made, or they are over an hour old"
                return Found(Missing("expired", detail, "look in the event archive, if there is one"))
            return Found(
                PodEvents(tuple(EventView(utc(e.last_at), e.reason, e.message, e.count) for e in found))
            )

        where = f"/api/v1/namespaces/{self._namespace}"
        return [
            Question(
                id=f"events:{name}",
                probe="events",
                source=f"events of pod {name}",
                query=f"GET {where}/events?fieldSelector=involvedObject.uid={uid}",
                command=f"{self._kubectl} get events --field-selector involvedObject.uid={uid}",
                ask=events,
                subject=name,
            ),
            Question(
                id=f"pod:{name}",
                probe="pod",
                source=f"pod {name}",
                query=f"GET {where}/pods/{name}",
                command=f"{self._kubectl} get pod {name} -o yaml",
                ask=details,
                subject=name,
            ),
        ]


def is_selector(target: str) -> bool:
    """As `find_pods` tells them apart."""
    return not set("=!,() \t").isdisjoint(target)


def _is_ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions or ())


def _has_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")
