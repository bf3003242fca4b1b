"""Why requests wait: busy instances, the batcher's own rules, bursts, the shape of the traffic. Pure."""

from triage.answers import Answer
from triage.latency.incident import Incident
from triage.latency.number import amount
from triage.latency.points import halves, mean
from triage.latency.predicates.computing import computes_slower

_BUSY = 0.85
"""Of all instances: in a queue with random arrivals the wait is then six times the service (M/M/1: rho / (1 - rho))."""
_IDLE = 0.6
_NEARLY_ALWAYS = 0.8
"""Of the points."""
_GPU_IDLE = 0.4
_BURSTY = 5.0
"""Times the wait of independent arrivals: half the sum of both squared variations in Kingman's formula (1961), 1 for those."""
_LOST_WAKEUP_MS = (400.0, 650.0)
"""The batcher looks again by itself after 500 ms (triton-inference-server/core:src/dynamic_batch_scheduler.cc,
default_wait_microseconds), and the tail is what that adds to a request."""


def instances_busy(incident: Incident) -> Answer:
    """Are all instances busy all the time?"""
    share, because, evidence = busy(incident)
    if share is None:
        return Answer("unknown", because, evidence)
    return Answer("yes" if share >= _BUSY else "no", because, evidence)


def instances_idle(incident: Incident) -> Answer:
    share, because, evidence = busy(incident)
    if share is None:
        return Answer("unknown", because, evidence)
    return Answer("yes" if share < _IDLE else "no", because, evidence)


def busy(incident: Incident) -> tuple[float | None, str, tuple[str, ...]]:
    """The share of the instances' time in which they compute, while it lasts; with why, and by what. A batch of eight that takes
    100 ms adds 800 ms to the duration counters, so these are divided by the requests of an execution. Pods come and go, so each
    step has its own number of them."""
    settings = incident.settings.get(incident.model)
    computing = incident.read("computing")
    if computing.trace is None or not incident.values(computing, "during"):
        return None, computing.missing or "what is computed was not measured", computing.evidence
    if settings is None or not settings.instances or settings.parts:
        because = incident.missing("settings") or "how many instances the model has is not known"
        return None, because, computing.evidence
    pods = incident.pods_by_step()
    share_of = [
        value / requests_of_an_execution(incident) / (settings.instances * max(1, count))
        for value, count in incident.paired(computing, pods, "during")
    ]
    if not share_of:
        return None, "how many pods computed is not known", computing.evidence
    share = sorted(share_of)[len(share_of) // 2]
    many = max(1, len(incident.pods()))
    shown = f"{settings.instances} instance{'s' if settings.instances != 1 else ''} in {many} pod{'s' if many != 1 else ''}"
    evidence = (*computing.evidence, *incident.settings_ids(incident.model))
    return share, f"{shown} were busy {min(share, 1):.0%} of the time", evidence


def requests_of_an_execution(incident: Incident) -> float:
    """At least 1; 1 where it is not known."""
    executions, done = incident.movement("executions").during, incident.movement("throughput").during
    return max(1.0, done / executions) if executions and done else 1.0


def hardware_idle(incident: Incident) -> Answer:
    """The instances are busy, and what they run on is not: the GPU of a model that runs on one, else the CPU of each busy
    instance."""
    settings = incident.settings.get(incident.model)
    if settings is None:
        return Answer(
            "unknown", incident.missing("settings") or "whether the model runs on a GPU is not known"
        )
    if any("GPU" in kind for kind in settings.instance_kinds):
        for name in ("gpu_sm_busy", "gpu_busy"):
            reading = incident.read(name)
            values = sorted(incident.values(reading, "during"))
            if values:
                value = values[len(values) // 2]
                said = f"{incident.quantities[name].says}: {amount(value, 'share')}"
                return Answer("yes" if value < _GPU_IDLE else "no", said, reading.evidence)
        return Answer("unknown", "no source tells how busy the GPU is")
    host = _host_busy(incident)
    if host is None or host[0] >= _IDLE:
        said = (
            "no source tells how busy the host's CPU is"
            if host is None
            else f"{host[0]:.0%} of the host's CPU is in use"
        )
        return Answer("unknown" if host is None else "no", said, host[1] if host else ())
    used, computing = incident.movement("cpu_used"), incident.movement("computing")
    if used.during is None or not computing.during:
        return Answer("unknown", used.missing or computing.missing)
    if computes_slower(incident).value == "yes":
        slower = incident.movement("infer")
        return Answer("no", f"computing slows under the load: {slower.from_to}", slower.evidence)
    each = used.during / max(1.0, computing.during / requests_of_an_execution(incident))
    said = f"an instance that computes uses {each:.2g} CPU cores"
    return Answer("yes" if each < 0.5 else "no", said, used.evidence + computing.evidence)


def _host_busy(incident: Incident) -> tuple[float, tuple[str, ...]] | None:
    """An instance that gets little CPU may be starved: only where the host has some to spare does it not want more."""
    for name in ("node_cpu", "host_cpu"):
        reading = incident.read(name, "all")
        values = sorted(incident.values(reading, "during"))
        if values:
            return values[len(values) // 2], reading.evidence
    return None


def queueing_grew(incident: Incident) -> Answer:
    """Time in the queue is a good part of what was added, in the mean or in the tail."""
    share, queue = incident.part("queue")
    if share is not None and share > 0.3:
        said = f"{queue.quantity.says} is {share:.0%} of the increase: {queue.from_to}"
        return Answer("yes", said, queue.evidence)
    tail, whole = incident.movement("queue_tail"), incident.movement("p99")
    if tail.up(1.5, 1.0) == "yes" and whole.known and tail.difference > 0.2 * whole.difference:
        return Answer("yes", f"{tail.quantity.says}: {tail.from_to}", tail.evidence)
    if share is None and not queue.known:
        return Answer("unknown", queue.missing or "nothing is known of the increase", queue.evidence)
    said = f"{queue.quantity.says}: {queue.from_to}"
    return Answer("no", said if share is None else f"{said}, {share:.0%} of the increase", queue.evidence)


def queue_matters(incident: Incident) -> Answer:
    """Much of a request's time in Triton is time in the queue."""
    queue, whole = incident.movement("queue"), incident.movement("latency")
    if queue.during is None or not whole.during:
        return Answer("unknown", queue.missing or whole.missing, queue.evidence)
    share = queue.during / whole.during
    said = f"{share:.0%} of a request's time in Triton is in the queue"
    return Answer("yes" if share > 0.3 else "no", said, queue.evidence + whole.evidence)


def queue_is_the_delay(incident: Incident) -> Answer:
    """The median request waits about as long as the batcher is told to wait for others."""
    settings = incident.settings.get(incident.model)
    if settings is None:
        return Answer("unknown", incident.missing("settings") or "the configuration was not read")
    evidence = incident.settings_ids(incident.model)
    if not settings.max_queue_delay_ms:
        return Answer("no", f"{incident.model} has no queue delay", evidence)
    delay = settings.max_queue_delay_ms
    for name in ("queue_median", "queue"):
        now = incident.movement(name).during
        if now is not None:
            fits = 0.6 * delay <= now <= 1.25 * delay
            said = f"{incident.quantities[name].says} is {amount(now, 'ms')}, and the batcher may wait {amount(delay, 'ms')}"
            return Answer("yes" if fits else "no", said, evidence + incident.read(name).evidence)
    return Answer("unknown", incident.read("queue").missing, evidence)


def half_second_tail(incident: Incident) -> Answer:
    """The tail in the queue stands half a second above the median: the wait after which the batcher looks again by itself."""
    tail, middle = incident.movement("queue_tail"), incident.movement("queue_median")
    if tail.during is None or middle.during is None:
        return Answer("unknown", tail.missing or middle.missing)
    low, high = _LOST_WAKEUP_MS
    said = f"{tail.quantity.says} is {amount(tail.during, 'ms')}, the median {amount(middle.during, 'ms')}"
    excess = tail.during - middle.during
    return Answer("yes" if low <= excess <= high else "no", said, tail.evidence + middle.evidence)


def bursts(incident: Incident) -> Answer:
    """Requests wait several times as long as independent arrivals would at this load: they come together."""
    share, because, evidence = busy(incident)
    queue, infer = incident.movement("queue"), incident.movement("compute")
    if share is not None and 0 < share < 1 and queue.during is not None and infer.during:
        instances = incident.settings[incident.model].instances or 1
        variation = queue.during / _wait_of_random_arrivals(share, instances, infer.during)
        said = f"{because}, and requests wait {variation:.3g} times what independent arrivals would there"
        return Answer("yes" if variation >= _BURSTY else "no", said, evidence + queue.evidence)
    return Answer("unknown", queue.missing or because, evidence)


def _wait_of_random_arrivals(share: float, instances: int, service_ms: float) -> float:
    """Mean wait in ms of independent arrivals at so many instances that are busy for this share of the time (Sakasegawa, 1977: an
    approximation of the M/M/c queue)."""
    return float(
        max(share ** ((2 * (instances + 1)) ** 0.5 - 1) / (1 - share) / instances * service_ms, 0.05)
    )


def two_speeds(incident: Incident) -> Answer:
    """Most requests wait little beside those that wait longest."""
    tail, middle = incident.movement("queue_tail"), incident.movement("queue_median")
    if tail.during is None or middle.during is None:
        return Answer("unknown", tail.missing or middle.missing)
    said = f"in the queue: 99th percentile {amount(tail.during, 'ms')}, median {amount(middle.during, 'ms')}"
    many = tail.during > 5 * max(middle.during, 0.2)
    return Answer("yes" if many else "no", said, tail.evidence + middle.evidence)


def queue_policy(incident: Incident) -> Answer:
    """The dynamic batcher of a model with a queue limit or timeout does not prefetch (triton-inference-server/core:
    src/dynamic_batch_scheduler.cc)."""
    settings = incident.settings.get(incident.model)
    if settings is None:
        return Answer("unknown", incident.missing("settings") or "the configuration was not read")
    evidence = incident.settings_ids(incident.model)
    if settings.dynamic_batching and (settings.max_queue_size or settings.queue_timeout_ms):
        limits = f"at most {settings.max_queue_size} waiting" if settings.max_queue_size else "a timeout"
        return Answer("yes", f"the queue of {incident.model} has {limits}", evidence)
    return Answer("no", f"the queue of {incident.model} has no limit and no timeout", evidence)


def queue_full(incident: Incident) -> Answer:
    """What waits stands at the limit that the model's configuration sets."""
    settings = incident.settings.get(incident.model)
    if settings is None:
        return Answer("unknown", incident.missing("settings") or "the configuration was not read")
    evidence = incident.settings_ids(incident.model)
    if not settings.max_queue_size:
        return Answer("no", f"the queue of {incident.model} has no limit", evidence)
    peak = incident.read("waiting_peak") if incident.read("waiting_peak").trace else incident.read("waiting")
    values = sorted(incident.values(peak, "during"))
    if not values:
        return Answer("unknown", peak.missing or "what waits was not measured", evidence)
    most, limit = values[-1 - len(values) // 10], settings.max_queue_size * max(1, len(incident.pods()))
    said = f"{most:.3g} requests wait, and the queues take {limit}"
    return Answer("yes" if most >= 0.7 * limit else "no", said, evidence + peak.evidence)


def drifts(incident: Incident) -> Answer:
    """What waits climbs and climbs, while less and less is executed; or requests wait at every look while instances stand idle; or
    it has come to its end, where more wait than all instances could take at once, these have room, and less than half of what was
    is executed (server#8870: the count of idle instances has sunk so low that hardly one gets work)."""
    beside = waits_beside_idle(incident)
    if beside.value == "yes":
        return beside
    waiting, done = incident.read("waiting"), incident.read("executions")
    now, work = incident.values(waiting, "during"), incident.values(done, "during")
    if len(now) < 6 or len(work) < 6:
        return Answer("unknown", waiting.missing or done.missing or "too few points since it began")
    (first, second), (earlier, later) = halves(now), halves(work)
    said = f"waiting {first:.3g} then {second:.3g}; executions {earlier:.3g}/s then {later:.3g}/s"
    drifted = second > max(1.0, 1.5 * first) and later < 0.9 * earlier
    usual, settings = incident.movement("executions").before, incident.settings.get(incident.model)
    share, shown, _ = busy(incident)
    if not drifted and usual and share is not None and settings is not None and settings.instances:
        at_once = settings.instances * max(1, len(incident.pods())) * max(1, settings.max_batch_size)
        drifted = later < 0.5 * usual and second > at_once and share < 0.5
        said = f"{said}, {usual:.3g}/s before; {shown}"
    if not drifted and beside.value == "unknown":
        return Answer("unknown", beside.because, beside.evidence)
    return Answer("yes" if drifted else "no", said, waiting.evidence + done.evidence)


def waits_beside_idle(incident: Incident) -> Answer:
    """Requests wait nearly always, and instances are idle for a good part of the time. A scheduler that leaves no instance idle
    beside a request cannot show that: something waits only while all are busy, so for no larger share of the time than they are
    (Kleinrock, Queueing Systems, volume 2, 1976, section 3.2: work conservation)."""
    least = incident.read("waiting_least")
    values = incident.values(least, "during")
    share, because, evidence = busy(incident)
    if len(values) < 6 or share is None:
        return Answer("unknown", least.missing or because, least.evidence)
    always = sum(value >= 1 for value in values) / len(values)
    said = f"{because}, and in {always:.0%} of the points requests waited at every scrape"
    return Answer(
        "yes" if share < _IDLE and always >= _NEARLY_ALWAYS else "no", said, least.evidence + evidence
    )


def even_traffic(incident: Incident) -> Answer:
    """The requests that were added come more evenly than any crowd of independent callers would send them (whose counts vary by
    their square root), which is how a load generator sends."""
    traffic = incident.read("gateway_traffic")
    now = incident.values(traffic, "during")
    moved = incident.movement("gateway_traffic")
    if len(now) < 6 or not moved.known or not moved.before:
        return Answer(
            "unknown", traffic.missing or moved.missing or "too few points since it began", traffic.evidence
        )
    if (moved.during or 0) < 1.3 * moved.before:
        return Answer("no", f"{moved.quantity.says}: {moved.from_to}", traffic.evidence)
    first, second = halves(incident.values(incident.read("waiting", "all"), "during"))
    pods = max(1, len(incident.pods()))
    full = instances_busy(incident).value
    if second > max(2.0, 1.2 * first) or full == "yes" or (full == "unknown" and (first + second) / 2 > pods):
        # What a full server answers is even by itself, and gateways count what was answered.
        return Answer(
            "unknown",
            "the servers are full, so what is answered does not show how it comes",
            traffic.evidence,
        )
    # Two points apart, so that their windows do not overlap; and differences, so that a slow drift is no variation.
    apart = max(1, round(traffic.smear / traffic.trace.step)) if traffic.trace else 1
    steps = sorted(abs(late - early) for early, late in zip(now, now[apart:], strict=False))
    if len(steps) < 4:
        return Answer("unknown", "too few points since it began", traffic.evidence)
    seconds = traffic.smear or (traffic.trace.step if traffic.trace else 1.0)
    spread = 1.4826 * steps[len(steps) // 2] * seconds
    dispersion = spread**2 / 2 / max(mean(now) * seconds, 1e-9)
    said = f"{moved.quantity.says}: {moved.from_to}, varying by {dispersion:.2g} times what independent callers would"
    return Answer("yes" if dispersion < 0.5 else "no", said, traffic.evidence)
