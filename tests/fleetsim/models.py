"""What a model of a simulated server is: its scheduling, and how long it takes."""

from dataclasses import dataclass

from triage.latency.facts import ModelSettings


@dataclass(frozen=True, slots=True)
class Service:
    """The time of one execution: lognormal around `base_ms + per_item_ms * items`, times the heaviest request's weight."""

    base_ms: float
    per_item_ms: float = 0.0
    sigma: float = 0.2
    input_ms: float = 0.2
    output_ms: float = 0.1
    cpu_threads: float = 0.2
    """Cores that an execution keeps busy while it runs; 0.2 where a GPU does the work."""
    gpu_share: float = 0.7
    """Share of its time in which a kernel runs."""

    def mean_ms(self, items: float = 1) -> float:
        return self.base_ms + self.per_item_ms * items + self.input_ms + self.output_ms


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    service: Service
    version: str = "1"
    instances: int = 1
    max_batch_size: int = 0
    dynamic_batching: bool = False
    preferred: tuple[int, ...] = ()
    max_queue_delay_ms: float = 0.0
    preserve_ordering: bool = False
    priority_levels: int = 0
    max_queue_size: int = 0
    queue_timeout_ms: float = 0.0
    timeout_delays: bool = False
    """The action of the timeout is DELAY, not REJECT."""
    sequence_slots: int = 0
    sequence_idle_seconds: float = 0.0
    cache_entries: int = 0
    """Of the response cache; 0: none."""
    parts: tuple[str, ...] = ()
    """The models of an ensemble's steps, one after the other."""
    llm_tokens: int = 0
    """Tokens that the KV cache of a decoupled language model holds; 0: another kind of model."""
    cold_executions: int = 0
    """First executions of each instance that are slower."""
    cold_factor: float = 1.0
    shapes: tuple[int, ...] = ()
    """Batch sizes that are already built; empty: every size is."""
    build_seconds: float = 0.0
    lost_wakeups: float = 0.0
    """Share of an instance's ends with waiting requests, under a queue policy, after which nobody wakes the batcher."""
    drift: float = 0.0
    """Share of queue timeouts at which the batcher takes an idle instance for a busy one, for good."""

    def capacity(self) -> float:
        """Requests a second that one server can do, each of one item; of an ensemble nothing is known here."""
        batch = self.max_batch_size if self.dynamic_batching else 1
        return self.instances * batch / self.service.mean_ms(batch) * 1000

    def settings(self) -> ModelSettings:
        """What its configuration says."""
        return ModelSettings(
            model=self.name,
            backend="" if self.parts else "vllm" if self.llm_tokens else "python",
            max_batch_size=self.max_batch_size,
            instances=None if self.parts else self.instances,
            instance_kinds=()
            if self.parts
            else ("KIND_CPU" if self.service.cpu_threads >= 1 else "KIND_GPU",),
            dynamic_batching=self.dynamic_batching,
            preferred_batch_sizes=self.preferred,
            max_queue_delay_ms=self.max_queue_delay_ms,
            preserve_ordering=self.preserve_ordering,
            priority_levels=self.priority_levels,
            default_priority=self.priority_levels,
            max_queue_size=self.max_queue_size,
            queue_timeout_ms=self.queue_timeout_ms,
            queue_timeout_action=("DELAY" if self.timeout_delays else "REJECT")
            if self.queue_timeout_ms
            else "",
            sequence_batching=bool(self.sequence_slots),
            max_sequence_idle_ms=self.sequence_idle_seconds * 1000,
            max_candidate_sequences=self.sequence_slots,
            parts=self.parts,
            response_cache=bool(self.cache_entries),
            decoupled=bool(self.llm_tokens),
        )


class Request:
    """One request on its way through a server. `done` is told the HTTP status; None where nobody waits any more."""

    __slots__ = (
        "bytes",
        "caller",
        "client",
        "done",
        "ends",
        "entered",
        "items",
        "key",
        "model",
        "priority",
        "sequence",
        "started",
        "times",
        "tokens",
        "weight",
    )

    def __init__(self, model: str) -> None:
        self.model = model
        self.weight = 1.0
        self.items = 1
        self.priority = 0
        self.bytes = 2000.0
        self.caller = ""
        self.client = 0
        self.key = 0
        self.tokens = 0
        self.sequence = 0
        self.ends = False
        """It is the last of its sequence."""
        self.entered = 0.0
        self.started = 0.0
        self.times: tuple[float, float, float] | None = None
        """Milliseconds of input, infer and output, once it is computed."""
        self.done: object = None

    def again(self) -> "Request":
        """The same request anew, for another try."""
        other = Request(self.model)
        other.weight, other.items, other.priority, other.bytes = (
            self.weight,
            self.items,
            self.priority,
            self.bytes,
        )
        other.caller = self.caller
        other.client, other.key, other.tokens = self.client, self.key, self.tokens
        other.sequence, other.ends = self.sequence, self.ends
        return other
