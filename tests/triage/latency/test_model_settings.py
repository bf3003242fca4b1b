"""What is read of a configuration as Triton gives it: its own answers, shortened."""

import json
from typing import Any

import pytest

from triage.latency.facts import ModelSettings
from triage.latency.model_settings import parse_model_settings


def settings(**config: Any) -> ModelSettings:
    return parse_model_settings(json.dumps({"name": "m", "backend": "python", **config}).encode())


def group(kind: str = "KIND_CPU", count: int = 1, **more: Any) -> dict[str, Any]:
    return {"name": "m_0", "kind": kind, "count": count, "gpus": [], "passive": False, **more}


def test_a_model_without_a_batcher_has_tritons_defaults() -> None:
    found = settings(max_batch_size=0, instance_group=[group()], model_warmup=[])
    assert found == ModelSettings("m", "python", instances=1, instance_kinds=("KIND_CPU",))


def test_a_dynamic_batcher_with_priorities_a_policy_and_a_rate_limit() -> None:
    found = settings(
        max_batch_size=8,
        dynamic_batching={
            "preferred_batch_size": [4, 8],
            "max_queue_delay_microseconds": 5000,
            "preserve_ordering": False,
            "priority_levels": 2,
            "default_priority_level": 1,
            "default_queue_policy": {
                "timeout_action": "DELAY",
                "default_timeout_microseconds": 300000,
                "allow_timeout_override": False,
                "max_queue_size": 7,
            },
            "priority_queue_policy": {"1": {"default_timeout_microseconds": 900000, "max_queue_size": 9}},
        },
        instance_group=[
            group(count=2, rate_limiter={"resources": [{"name": "R", "count": 1}], "priority": 2})
        ],
        model_warmup=[{"name": "w", "batch_size": 1}],
        response_cache={"enable": True},
    )
    assert found == ModelSettings(
        "m",
        "python",
        max_batch_size=8,
        instances=2,
        instance_kinds=("KIND_CPU",),
        dynamic_batching=True,
        preferred_batch_sizes=(4, 8),
        max_queue_delay_ms=5.0,
        priority_levels=2,
        default_priority=1,
        max_queue_size=7,
        queue_timeout_ms=300.0,
        queue_timeout_action="DELAY",
        response_cache=True,
        warm_up=True,
        rate_limited=True,
    )


def test_where_the_default_policy_sets_nothing_the_largest_of_the_priorities_holds() -> None:
    policies = {
        "1": {"timeout_action": "REJECT", "default_timeout_microseconds": 1000, "max_queue_size": 9},
        "2": {"timeout_action": "DELAY", "default_timeout_microseconds": 2000, "max_queue_size": 4},
    }
    found = settings(dynamic_batching={"default_queue_policy": {}, "priority_queue_policy": policies})
    assert (found.max_queue_size, found.queue_timeout_ms, found.queue_timeout_action) == (9, 2.0, "DELAY")
    assert settings(dynamic_batching={}).queue_timeout_action == ""


def test_sequences_with_the_oldest_strategy_have_a_batcher_of_their_own() -> None:
    found = settings(
        sequence_batching={
            "oldest": {
                "max_candidate_sequences": 4,
                "preferred_batch_size": [4],
                "max_queue_delay_microseconds": 100,
                "preserve_ordering": True,
            },
            "max_sequence_idle_microseconds": 5000000,
        }
    )
    assert (found.sequence_batching, found.dynamic_batching) == (True, False)
    assert (found.max_candidate_sequences, found.max_sequence_idle_ms) == (4, 5000.0)
    assert (found.max_queue_delay_ms, found.preferred_batch_sizes, found.preserve_ordering) == (
        0.1,
        (4,),
        True,
    )


def test_an_ensemble_is_its_parts_and_has_no_instances() -> None:
    steps = [{"model_name": name, "model_version": -1} for name in ("resize", "classify", "resize")]
    found = parse_model_settings(
        json.dumps(
            {
                "name": "e",
                "platform": "ensemble",
                "backend": "",
                "ensemble_scheduling": {"step": steps},
                "instance_group": [],
            }
        ).encode()
    )
    assert found == ModelSettings("e", "ensemble", parts=("resize", "classify"))


@pytest.mark.parametrize(
    ("groups", "instances"),
    [
        ([group("KIND_GPU", 2, gpus=[0, 1, 3])], 6),
        ([group("KIND_GPU", 2)], 2),
        ([group("KIND_CPU", 2, gpus=[0, 1])], 2),
        ([group("KIND_GPU", 1, gpus=[0]), group("KIND_CPU", 3)], 4),
        ([group("KIND_GPU", 1, gpus=[0]), group("KIND_GPU", 1, gpus=[0], passive=True)], 1),
        ([], None),
    ],
)
def test_instances_are_those_of_all_groups_on_each_of_their_gpus(
    groups: list[Any], instances: int | None
) -> None:
    assert settings(instance_group=groups).instances == instances


def test_answers_after_execute_returned_are_told_and_64_bit_numbers_may_be_texts() -> None:
    assert settings(model_transaction_policy={"decoupled": True}).decoupled
    assert settings(dynamic_batching={"max_queue_delay_microseconds": "5000"}).max_queue_delay_ms == 5.0


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"name": 1}', b'{"name": "\xff"}', b"[" * 100_000]
)
def test_what_is_no_configuration_is_an_error_that_says_so(body: bytes) -> None:
    with pytest.raises(ValueError, match="not a model configuration"):
        parse_model_settings(body)
