"""Parts of proofs: what the users waited, and what Triton and the models counted, against the calm before."""

from tests.incidents.evidence import Check, Evidence, Phase

SUCCESS = "nv_inference_request_success"
FAILURE = "nv_inference_request_failure"
REQUEST, QUEUE = "nv_inference_request_duration_us", "nv_inference_queue_duration_us"
INFER = "nv_inference_compute_infer_duration_us"
PENDING = "nv_inference_pending_request_count"


def p99_rose(evidence: Evidence, factor: float = 2.0, **wanted: object) -> Check:
    """The users' p99, against that of the same users before."""
    before = evidence.latency_ms(evidence.baseline, 0.99, **wanted)
    during = evidence.latency_ms(evidence.incident, 0.99, **wanted)
    return at_least(
        f"the users' p99 rose from {before:.0f} to {during:.0f} ms: times", during / before, factor
    )


def p99_did_not_rise(evidence: Evidence, factor: float = 1.5) -> Check:
    before, during = (evidence.latency_ms(phase, 0.99) for phase in (evidence.baseline, evidence.incident))
    return at_most(
        f"the users' p99 went from {before:.0f} to {during:.0f} ms: times", during / before, factor
    )


def at_least(says: str, measured: float, least: float) -> Check:
    return Check(f"{says} (at least {least:g})", measured, measured >= least)


def at_most(says: str, measured: float, most: float) -> Check:
    return Check(f"{says} (at most {most:g})", measured, measured <= most)


def per_request_ms(evidence: Evidence, family: str, phase: Phase, *, of: str = "*", **labels: str) -> float:
    """Triton's own mean time of a request; NaN without one."""
    count = evidence.increase(SUCCESS, phase, of=of, **labels)
    return evidence.increase(family, phase, of=of, **labels) / count / 1000 if count else float("nan")


def queue_rose(evidence: Evidence, least_ms: float, **labels: str) -> Check:
    before, during = (
        per_request_ms(evidence, QUEUE, phase, **labels) for phase in (evidence.baseline, evidence.incident)
    )
    return at_least("more time in the queue per request, ms", during - before, least_ms)


def infer_rose(evidence: Evidence, least_ms: float, *, of: str = "*", **labels: str) -> Check:
    before, during = (
        per_request_ms(evidence, INFER, phase, of=of, **labels)
        for phase in (evidence.baseline, evidence.incident)
    )
    return at_least(f"more time in the model per request{_where(of)}, ms", during - before, least_ms)


def infer_stayed(evidence: Evidence, most_ms: float, *, of: str = "*", **labels: str) -> Check:
    before, during = (
        per_request_ms(evidence, INFER, phase, of=of, **labels)
        for phase in (evidence.baseline, evidence.incident)
    )
    return at_most(f"more time in the model per request{_where(of)}, ms", during - before, most_ms)


def triton_stayed(evidence: Evidence, most_ms: float) -> Check:
    before, during = (
        per_request_ms(evidence, REQUEST, phase) for phase in (evidence.baseline, evidence.incident)
    )
    return at_most("more time in Triton per request, ms", during - before, most_ms)


def _where(of: str) -> str:
    return "" if of == "*" else f" on {of}"


def new_pods_first(evidence: Evidence) -> float:
    """When the first request was sent that a new pod answered: before that nobody feels it."""
    pods = {answer.pod for answer in evidence.sent(evidence.baseline)} | {""}
    return min(answer.due for answer in evidence.sent(evidence.incident) if answer.pod not in pods)
