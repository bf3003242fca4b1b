"""Who held a GPU's memory when a load found too little: nobody, so that the model does not fit an empty GPU; others; or what the
same server had loaded before. By what was measured then, else by the pod's own page now; where neither tells, it says so. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from telemetry.gpu_resources import gpus_of as count_gpus
from triage.case import Case
from triage.case_gpus import gpu_ranges, gpus_of
from triage.chart_scale import clock
from triage.gpu_then import SCRAPE_SECONDS, Load, Then, failed_in, time_of_line
from triage.gpus import Device, gib
from triage.log_time import seconds_of
from triage.overlap import loading_beside
from triage.pod_roles import triton_containers
from triage.wording import count, names

EMPTY_BYTES = float(2**30)
"""So much a process takes before it has a model: its CUDA context and its libraries' kernels, 300 MB, and more than 1000 MB before
CUDA 11.7 (pytorch/pytorch#107667)."""
_SOON_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Held:
    """`by` empty: the model does not fit; unknown: the evidence does not tell."""

    by: Literal["empty", "others", "own", "unknown"]
    said: str
    evidence: tuple[str, ...]
    device: str = ""
    amount: str = ""
    """Such as `71.2 of 79.6 GiB of GPU 1 of node n1`."""
    who: str = ""
    """The pods of others, or the models of the same server."""


def who_held(case: Case, model: str) -> Held | None:
    """None: nothing is known of the memory of the pod's GPUs."""
    held = gpus_of(case)
    devices = [device for device in held if device.memory]
    if not devices:
        return None
    beside, blind = _beside(case, model), _blind(case, held)
    if not gpu_ranges(case):
        return _by_the_page(case, model, devices, beside, blind)
    load = Load.of(case, model)
    views = [Then.of(case, device, load) for device in devices]
    views.sort(key=lambda view: -1.0 if view.at_load is None else view.at_load / view.total, reverse=True)
    told = [_judged(case, model, view, views, beside, load) for view in views]
    if len({one.by for one in told}) == 1 and (not blind or told[0].by == "unknown"):
        return told[0]
    known = [view.amount(view.at_load) for view in views if view.at_load is not None]
    lacks = f"how much it was of {names(blind)}" if blind else "on which of them it ran out"
    said = f"when the load of {model} began, {names(known)} were in use; {lacks} is not known"
    return Held("unknown", said, tuple(dict.fromkeys(one for held in told for one in held.evidence)))


def _blind(case: Case, held: Sequence[Device]) -> list[str]:
    """Those of the pod's GPUs of whose memory nobody tells: it may have run out on them."""
    tritons = triton_containers(case.pod) if case.pod else ()
    given = sum(count_gpus({**container.requests, **container.limits}) for container in tritons)
    untold = [count(given - len(held), "more GPU")] if given > len(held) else []
    return [device.name for device in held if not device.memory] + untold


def _judged(
    case: Case, model: str, full: Then, views: Sequence[Then], beside: str | None, load: Load
) -> Held:
    if full.at_load is None:
        return _not_measured(case, full, load)
    began = f"when the load of {model} began, {full.amount(full.at_load)} were in use"
    if full.at_load <= EMPTY_BYTES:
        return _of_empty(case, model, full, views, beside, load, began)
    return _of_filled(case, model, full, beside, load, began)


def _unknown(full: Then, said: str) -> Held:
    return Held("unknown", said, full.evidence, full.device.name)


def _not_measured(case: Case, full: Then, load: Load) -> Held:
    """How full it was when the load began."""
    now, until, before = full.device.memory, full.device.memory_until, full.before_server
    when = "are in use now" if until is None else f"were in use at {clock(until)} UTC, when it was last told"
    said = f"{full.amount(now[0] if now else 0.0)} {when}; how much it was when the load began is not known"
    if before is not None and before > EMPTY_BYTES:
        who = _who(full, full.others_before(case, load))
        said += f"; before this server began it was {gib(before)} GiB, by {who}"
    return _unknown(full, said)


def _of_empty(
    case: Case, model: str, full: Then, views: Sequence[Then], beside: str | None, load: Load, began: str
) -> Held:
    """The fullest of them had nothing in it: who may have taken memory since?"""
    if unmeasured := [view.device.name for view in views if view.at_load is None]:
        return _unknown(full, f"{began}; how much it was of {names(unmeasured)} is not known")
    if others := full.others(case, load):
        return _unknown(full, f"{began}; {names(others)} may have taken more since: it is shared")
    if beside is None:
        said = f"{began}; whether other models loaded at the same time, the log does not show"
        return _unknown(full, said)
    amount = full.amount(full.at_load or 0.0)
    if beside:
        return Held("own", f"{began}, and {beside}", full.evidence, full.device.name, amount, beside)
    shown_until = min(view.measured_at for view in views) - SCRAPE_SECONDS
    loaded = _others_loaded(case, model)
    if late := [name for name, at in loaded.items() if at is None or at > shown_until]:
        said = f"{began} when it was last measured; {names(late)} may have been loaded since"
        return _unknown(full, said)
    said = f"{began}, and nothing else was loading: {model} does not fit the empty GPU"
    return Held("empty", said, full.evidence, full.device.name, amount)


def _of_filled(case: Case, model: str, full: Then, beside: str | None, load: Load, began: str) -> Held:
    """By whom: what was there before the server began is others', what came since its own, where nobody else came or went."""
    others, before, then = full.others(case, load), full.before_server, full.at_load or 0.0
    if before is None:
        whose = f"how much of it is of {names(others)}" if others else "whose it was"
        said = f"{began}; {whose} is not known, for nothing was measured just before the server began"
        return _unknown(full, said)
    gone = full.gone(case, load)
    if before > EMPTY_BYTES and (gone or before - then > EMPTY_BYTES):
        said = f"{began}; before this server began it was {gib(before)} GiB"
        said += f", when {names(gone)} still held it" if gone else ", and somebody let go of it since"
        return _unknown(full, f"{said}: whose it was is not known")
    if before > EMPTY_BYTES and before >= then - before:
        who = _who(full, full.others_before(case, load))
        said = f"before this server began, {full.amount(before)} were in use: by {who}"
        return Held("others", said, full.evidence, full.device.name, full.amount(before), who)
    since = f"{began}, {gib(then - before)} GiB of it since the server began"
    if others:
        return _unknown(full, f"{since}: by what it loaded or by {names(others)}; it is shared")
    loaded = names(list(_others_loaded(case, model))) or beside or "what this server had begun before"
    said = f"{since}: by {loaded}"
    if before > EMPTY_BYTES:
        said += f"; {gib(before)} GiB were others'"
    return Held("own", said, full.evidence, full.device.name, full.amount(then), loaded)


def _who(full: Then, others: Sequence[str]) -> str:
    if others:
        return names(others)
    if full.device.watched:
        return "a process of no pod (left behind, or outside of Kubernetes)"
    return "somebody whom no exporter names"


def _others_loaded(case: Case, model: str) -> dict[str, float | None]:
    """Other models of the same server that did not begin to load after the failure, and when each was loaded; None: not known."""
    reading = next((reading for reading in case.logs if failed_in(reading, model)), None)
    attempts = reading.log.attempts if reading else {}
    failed = (attempts[model].ended or attempts[model].latest) if model in attempts else 0
    found: dict[str, float | None] = {}
    for name in sorted({m.name for m in case.models.values() if m.loaded} - {model}):
        other = attempts.get(name)
        if not (other and failed and other.began and other.began > failed):
            found[name] = time_of_line(reading, other.ended) if reading and other else None
    return found


def _by_the_page(
    case: Case, model: str, devices: Sequence[Device], beside: str | None, blind: Sequence[str]
) -> Held:
    fullest = max(devices, key=lambda d: d.memory[0] / d.memory[1] if d.memory and d.memory[1] else 0.0)
    used, total = fullest.memory or (0.0, 0.0)
    evidence = tuple(dict.fromkeys(fullest.evidence))
    amount = f"{gib(used)} of {gib(total)} GiB of {fullest.name}"
    own = [m.name for m in case.models.values() if m.loaded and m.name != model]
    if used <= EMPTY_BYTES and not (own or blind) and beside == "" and _read_soon_after(case, model):
        said = f"after the failure {amount} are in use, and nothing else was loading: {model} does not fit the empty GPU"
        return Held("empty", said, evidence, fullest.name, amount)
    said = f"{amount} are in use now; how much it was when the load began, and whose, a page of now does not tell"
    return Held("unknown", said, evidence, fullest.name)


def _read_soon_after(case: Case, model: str) -> bool:
    """Whether the pages were read within minutes of the failure: later on, who held the memory then may have gone."""
    reading = next((reading for reading in case.logs if failed_in(reading, model)), None)
    failed = time_of_line(reading, reading.log.attempts[model].ended) if reading else None
    read = [seconds_of(evidence.fetched_at) for evidence in case.of_probe("gpu_memory")]
    return failed is not None and all(at is not None and at - failed <= _SOON_SECONDS for at in read)


def _beside(case: Case, model: str) -> str | None:
    """As `loading_beside`, of the log in which the load failed."""
    found = [loading_beside(reading, model) for reading in case.logs if failed_in(reading, model)]
    return next((said for said in found if said is not None), None)
