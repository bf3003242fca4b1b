"""The statistics API's answer, and the difference of two: what happened between them.

`GET /v2/models/stats`: triton-inference-server/server:docs/protocol/extension_statistics.md. Its numbers begin again at zero when a
model is loaded, and count executions by their batch size, which no metric does."""

from collections.abc import Sequence

import msgspec

from telemetry.statistics import ModelRow, decode_statistics
from triage.latency.facts import Batch, ModelStatistics


def parse_statistics(body: bytes) -> tuple[ModelStatistics, ...]:
    """Each loaded model version's statistics since its load. Raises ValueError when it is not Triton's answer."""
    return tuple(_of_model(model) for model in decode_statistics(body))


def statistics_between(
    first: Sequence[ModelStatistics], second: Sequence[ModelStatistics]
) -> tuple[ModelStatistics, ...]:
    """What the models of the second look did since the first. A count that fell, or a model that was not there, began at zero in
    between: all that it has counted is new."""
    known = {(model.model, model.version): model for model in first}
    return tuple(_since(known.get((model.model, model.version)), model) for model in second)


def _of_model(model: ModelRow) -> ModelStatistics:
    return ModelStatistics(
        model=model.name,
        version=model.version,
        executions=model.execution_count,
        inferences=model.inference_count,
        failures=model.inference_stats.fail.count,
        failure_ms=_milliseconds(model.inference_stats.fail.ns),
        batches=tuple(
            Batch(
                size=row.batch_size,
                executions=row.compute_infer.count,
                input_ms=_milliseconds(row.compute_input.ns),
                infer_ms=_milliseconds(row.compute_infer.ns),
                output_ms=_milliseconds(row.compute_output.ns),
            )
            for row in sorted(model.batch_stats, key=lambda row: row.batch_size)
        ),
        last_inference=model.last_inference / 1000 if model.last_inference else None,
    )


def _since(before: ModelStatistics | None, now: ModelStatistics) -> ModelStatistics:
    if before is None or _begun_again(before, now):
        return now
    sizes = {batch.size: batch for batch in before.batches}
    batches = (_batch_since(sizes.get(batch.size), batch) for batch in now.batches)
    return msgspec.structs.replace(
        now,
        executions=now.executions - before.executions,
        inferences=now.inferences - before.inferences,
        failures=now.failures - before.failures,
        failure_ms=_rounded(now.failure_ms - before.failure_ms),
        batches=tuple(batch for batch in batches if batch.executions),
    )


def _begun_again(before: ModelStatistics, now: ModelStatistics) -> bool:
    counts = {batch.size: batch.executions for batch in now.batches}
    return (
        now.executions < before.executions
        or now.inferences < before.inferences
        or now.failures < before.failures
        or any(counts.get(batch.size, 0) < batch.executions for batch in before.batches)
    )


def _batch_since(before: Batch | None, now: Batch) -> Batch:
    if before is None:
        return now
    return Batch(
        size=now.size,
        executions=now.executions - before.executions,
        input_ms=_rounded(now.input_ms - before.input_ms),
        infer_ms=_rounded(now.infer_ms - before.infer_ms),
        output_ms=_rounded(now.output_ms - before.output_ms),
    )


def _milliseconds(nanoseconds: int) -> float:
    return _rounded(nanoseconds / 1e6)


def _rounded(milliseconds: float) -> float:
    """To the nanosecond that Triton counts, without the dust of a subtraction; below zero only dust falls."""
    return max(0.0, round(milliseconds, 6))
