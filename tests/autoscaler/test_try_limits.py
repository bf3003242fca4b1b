"""How many requests a model's configuration lets one Triton compute at once."""

import json

import pytest

from autoscaler.trial.limits import ModelLimits, limits_of
from telemetry.model_config import parse_model_config

CPU = [{"kind": "KIND_CPU", "count": 2}]


@pytest.mark.parametrize(
    ("config", "limits"),
    [
        ({"instance_group": CPU}, ModelLimits(2)),
        # Nothing batches requests: max_batch_size is then only how large one request may be.
        ({"instance_group": CPU, "max_batch_size": 8}, ModelLimits(2)),
        ({"instance_group": CPU, "max_batch_size": 8, "dynamic_batching": {}}, ModelLimits(2, 8)),
        (
            {
                "instance_group": CPU,
                "max_batch_size": 64,
                "dynamic_batching": {
                    "preferred_batch_size": [8, 16],
                    "max_queue_delay_microseconds": "5000",
                },
            },
            ModelLimits(2, 16, 0.005),
        ),
        (
            {"instance_group": CPU, "max_batch_size": 4, "sequence_batching": {"direct": {}}},
            ModelLimits(2, 4),
        ),
        ({"instance_group": [{"kind": "KIND_GPU", "count": 2, "gpus": [0, 1, 2]}]}, ModelLimits(6)),
        ({"instance_group": [*CPU, {"kind": "KIND_CPU", "count": 5, "passive": True}]}, ModelLimits(2)),
        ({"ensemble_scheduling": {"step": [{"model_name": "a"}]}}, ModelLimits(0)),
        (
            {"instance_group": CPU, "model_transaction_policy": {"decoupled": True}},
            ModelLimits(2, decoupled=True),
        ),
    ],
)
def test_limits(config: dict[str, object], limits: ModelLimits) -> None:
    assert limits_of(parse_model_config(json.dumps({"name": "m", **config}).encode())) == limits


def test_slots_are_instances_times_the_requests_of_a_batch() -> None:
    limits = ModelLimits(2, 8)
    assert [limits.slots(), limits.slots(3.0), limits.slots(100.0)] == [16, 4, 2]
    assert ModelLimits(0, 8).slots() == 0
