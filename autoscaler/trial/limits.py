"""What a model's configuration allows: how many requests one Triton computes at once."""

from dataclasses import dataclass

from telemetry.model_config import ModelFacts


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """`instances` of the model in one Triton, 0 where it has none of its own, as an ensemble. `batch`: inferences that one
    execution takes from several requests; 1 where nothing batches them. `delay_seconds` that the batcher waits on purpose."""

    instances: int
    batch: int = 1
    delay_seconds: float = 0.0
    decoupled: bool = False

    def slots(self, inferences_per_request: float = 1.0) -> int:
        """Requests that are computed at once, when each asks for so many inferences; 0 for an ensemble."""
        return self.instances * max(1, int(self.batch / max(1.0, inferences_per_request)))

    def __str__(self) -> str:
        instances = f"{self.instances} instance{'' if self.instances == 1 else 's'}"
        return f"{instances} of batch {self.batch}" if self.batch > 1 else instances


def limits_of(facts: ModelFacts) -> ModelLimits:
    return ModelLimits(facts.instances or 0, facts.batch, (facts.queue_delay_us or 0) / 1e6, facts.decoupled)
