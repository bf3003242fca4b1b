"""Of each recorded incident its negative: another recorded one that looks the same in some quantity and has another cause.

The looks are quantities of rules/quantities.yaml that rose in both."""

from typing import NamedTuple


class Negative(NamedTuple):
    incident: str
    look: str


NEGATIVES = {
    "autoscaler-at-max": Negative("overload", "queue"),
    "autoscaler-blind": Negative("autoscaler-at-max", "queue"),
    "autoscaler-flapping": Negative("pods-pending", "queue"),
    "autoscaler-late": Negative("pods-pending", "queue"),
    "backend-process-dead": Negative("silent-errors", "gateway_errors"),
    "bad-node": Negative("slower-version", "infer"),
    "batch-delay": Negative("micro-bursts", "queue"),
    "batcher-counter-drift": Negative("too-few-instances", "queue"),
    "batcher-lost-wakeup": Negative("micro-bursts", "queue_tail"),
    "cache-cold": Negative("slower-version", "latency"),
    "cold-start": Negative("mixed-request-sizes", "infer_tail"),
    "cpu-throttling": Negative("bad-node", "infer"),
    "gateway-fault": Negative("http-connection-skew", "gap"),
    "hang": Negative("sticky-balancing", "waiting"),
    "http-connection-skew": Negative("preserve-ordering", "gap"),
    "load-blocks-http": Negative("http-connection-skew", "gap"),
    "load-test": Negative("overload", "gateway_traffic"),
    "memory-leak": Negative("slower-version", "infer"),
    "micro-bursts": Negative("batcher-lost-wakeup", "queue_tail"),
    "mixed-request-sizes": Negative("new-shape", "infer_tail"),
    "model-load-contention": Negative("bad-node", "infer"),
    "model-mix": Negative("noisy-neighbour", "infer"),
    "new-shape": Negative("mixed-request-sizes", "infer_tail"),
    "noisy-neighbour": Negative("bad-node", "infer"),
    "observer-effect": Negative("batch-delay", "queue"),
    "overload": Negative("load-test", "gateway_traffic"),
    "payload": Negative("gateway-fault", "gap"),
    "pipeline-bottleneck": Negative("slower-version", "latency"),
    "pipeline-bottleneck-bls": Negative("slower-version", "infer"),
    "pods-pending": Negative("autoscaler-late", "queue"),
    "preserve-ordering": Negative("http-connection-skew", "gap"),
    "priority-starvation": Negative("micro-bursts", "queue"),
    "readiness-flip": Negative("sticky-balancing", "queue"),
    "recovered": Negative("slower-version", "infer"),
    "retry-storm": Negative("overload", "queue"),
    "rollout": Negative("silent-errors", "gateway_errors"),
    "sequence-slots": Negative("too-few-instances", "queue"),
    "shed-load": Negative("silent-errors", "gateway_errors"),
    "silent-errors": Negative("shed-load", "gateway_errors"),
    "slower-version": Negative("bad-node", "infer"),
    "sticky-balancing": Negative("readiness-flip", "queue"),
    "too-few-instances": Negative("overload", "queue"),
    "usual-for-this-hour": Negative("overload", "gateway_traffic"),
}
"""`bad-alert-rule` is the negative of all: callers feel nothing of it."""
