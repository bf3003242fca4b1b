"""What Triton refuses about a configuration that parses, in its own words. Pure.

After triton-inference-server/core: src/model_config_utils.cc, ValidateModelConfig and what it calls, ValidateIOShape,
ValidateInstanceGroup. Only what holds whatever the backend completes and whatever the node has."""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

from triage.repository.layout import ENSEMBLE, Loaded

_PAIRS = {
    "tensorrt": ("tensorrt_plan",),
    "onnxruntime": ("onnxruntime_onnx",),
}
"""Platforms of the backends that have one in every release (src/backend_config.cc, GetBackendTypeFromPlatform)."""


def refusals(config: Any, folder: str, loaded: Loaded) -> Iterator[str]:
    """Each reason for which Triton refuses it, whatever else is true. `folder`: the model's name in the repository."""
    name = config.name or folder
    if name != folder:
        yield f"unexpected directory name '{folder}' for model '{name}', directory name must equal model name"
    yield from _backend(config, name, loaded)
    yield from _batching(config, name)
    if config.HasField("sequence_batching"):
        yield from _sequences(config, name)
    if config.response_cache.enable and config.model_transaction_policy.decoupled:
        yield f"Response Cache does not currently support model {name} with 'decoupled' transaction policy"
    if config.HasField("ensemble_scheduling"):
        yield from _ensemble(config, name)
    else:
        yield from _groups(config, name)
    if config.version_policy.WhichOneof("policy_choice") == "latest" and not (
        config.version_policy.latest.num_versions
    ):
        yield f"the version policy of model '{name}' keeps the latest 0 versions"
    for kind in ("input", "output"):
        for io in getattr(config, kind):
            for said in _tensor(io, config.max_batch_size):
                yield f"model {kind} '{io.name}' {said} for {name}"


def doubts(config: Any) -> Iterator[str]:
    """What is refused unless the backend or auto_complete_config completes it."""
    for kind in ("input", "output"):
        for io in getattr(config, kind):
            if io.name and not io.dims:
                yield f"model {kind} '{io.name}' must specify 'dims'"
            if io.name and not io.data_type:
                yield f"model {kind} '{io.name}' must specify 'data_type'"


def _backend(config: Any, name: str, loaded: Loaded) -> Iterator[str]:
    if not loaded.backend:
        if config.platform:
            yield f"unexpected platform type '{config.platform}' for {name}"
        elif config.default_model_filename:
            yield f"unexpected platform type '' for {name}"
        else:
            yield f"Could not determine backend for model '{name}' with no backend in model configuration"
    elif config.platform == ENSEMBLE and config.backend:
        yield f"Ensemble model '{name}' must have platform type '{ENSEMBLE}' and empty backend type"
    elif config.platform and config.platform not in _PAIRS.get(config.backend, (config.platform,)):
        yield f"unexpected 'platform' and 'backend' pair, got:{config.platform}, {config.backend}"
    if config.HasField("ensemble_scheduling") and config.platform != ENSEMBLE:
        yield f"ensemble scheduling cannot be set for model '{name}' whose platform is not {ENSEMBLE}"
    if config.platform == ENSEMBLE and not config.HasField("ensemble_scheduling"):
        yield f"ensemble scheduling must be set for ensemble {name} whose platform is {ENSEMBLE}"


def _batching(config: Any, name: str) -> Iterator[str]:
    if config.max_batch_size < 0:
        yield f"'max_batch_size' must be non-negative value for {name}"
        return
    if not config.HasField("dynamic_batching"):
        return
    batching = config.dynamic_batching
    for size in batching.preferred_batch_size:
        if size <= 0:
            yield f"dynamic batching preferred size must be positive for {name}"
        elif size > config.max_batch_size:
            yield f"dynamic batching preferred size must be <= max batch size for {name}"
    levels = batching.priority_levels
    if levels and not 1 <= batching.default_priority_level <= levels:
        yield f"default priority level must be in range [1, {levels}] for {name}"
    for level in batching.priority_queue_policy if levels else ():
        if not 1 <= level <= levels:
            yield f"priority queue policy must have priority level in range [1, {levels}] for {name}"
    if batching.preserve_ordering and levels > 1:
        yield f"Only one priority level is allowed when 'preserve_ordering' is true for {name}"


def _sequences(config: Any, name: str) -> Iterator[str]:
    batcher = config.sequence_batching
    if config.response_cache.enable:
        yield f"Response Cache does not currently support model {name} with sequence batching scheduler"
    seen: set[str] = set()
    for tensor in batcher.control_input:
        if not tensor.name:
            yield f"sequence batching control tensor must have a name for {name}"
        elif tensor.name in seen:
            yield f"sequence batching control tensor '{tensor.name}' is specified for multiple control kinds for {name}"
        seen.add(tensor.name)
        for control in tensor.control:
            kind = control.Kind.Name(control.kind) if control.kind in control.Kind.values() else ""
            given = [
                len(values)
                for values in (control.int32_false_true, control.fp32_false_true, control.bool_false_true)
                if values
            ]
            if kind not in ("CONTROL_SEQUENCE_START", "CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_READY"):
                continue
            if not given:
                yield (
                    "sequence batching must specify either 'int32_false_true', 'fp32_false_true' or "
                    f"'bool_false_true' for {kind} for {name}"
                )
            elif len(given) > 1:
                yield (
                    "sequence batching specifies more than one from 'int32_false_true', 'fp32_false_true' and "
                    f"'bool_false_true' for {kind} for {name}"
                )
            elif given != [2]:
                yield f"sequence batching control must have exactly 2 entries for {kind} for {name}"
    for size in batcher.oldest.preferred_batch_size:
        if size <= 0:
            yield f"sequence batching preferred batch size must be positive for {name}"
        elif size > config.max_batch_size:
            yield f"sequence batching preferred batch size must be <= max batch size for {name}"


def _groups(config: Any, name: str) -> Iterator[str]:
    for number, group in enumerate(config.instance_group):
        told = group.name or f"{name}_{number}"
        kind = group.Kind.Name(group.kind) if group.kind in group.Kind.values() else ""
        if kind in ("KIND_CPU", "KIND_MODEL") and group.gpus:
            yield f"instance group {told} of model {name} has kind {kind} but specifies one or more GPUs"


def _tensor(io: Any, max_batch_size: int) -> Iterator[str]:
    if any(dim < 1 and dim != -1 for dim in io.dims):
        yield "dimension must be integer >= 1, or -1 to indicate a variable-size dimension"
        return
    if not io.HasField("reshape") or not io.dims:
        return
    shape = io.reshape.shape
    if not shape and max_batch_size == 0:
        yield "cannot have empty reshape for non-batching model as scalar tensors are not supported"
    elif any(dim < 1 and dim != -1 for dim in shape):
        yield "reshape dimensions must be integer >= 1, or -1 to indicate a variable-size dimension"
    elif not shape:
        if _parts(io.dims) != [1]:
            yield "has different size for dims and reshape"
    elif len(dims := _parts(io.dims)) != len(reshaped := _parts(shape)):
        if len(dims) == 1 or len(reshaped) == 1:
            yield "has different size for dims and reshape"
        else:
            yield "has different number of variable-size dimensions for dims and reshape"
    elif dims != reshaped:
        yield "has different size for dims and reshape"


def _parts(dims: Sequence[int]) -> list[int]:
    """Elements of each run of dimensions between those of variable size."""
    runs: list[list[int]] = [[]]
    for dim in dims:
        if dim == -1:
            runs.append([])
        else:
            runs[-1].append(dim)
    return [prod(run) for run in runs]


def _ensemble(config: Any, name: str) -> Iterator[str]:
    if config.instance_group:
        yield f"instance group should not be specified for ensemble '{name}'"
    if config.HasField("optimization"):
        yield f"optimization should not be specified for ensemble '{name}'"
    if config.model_warmup:
        yield f"model_warmup can not be specified for ensemble '{name}'"
    steps = config.ensemble_scheduling.step
    if not steps:
        yield f"must specify 'step' for ensemble '{name}'"
        return
    for number, step in enumerate(steps):
        for field in ("model_name", "input_map", "output_map"):
            if not getattr(step, field):
                yield f"must specify '{field}' in step {number} of ensemble '{name}'"
                return
        if step.model_name == name:
            yield f"circular dependency between ensembles: {name}"
            return
    yield from _data_flow(config, name)


def _data_flow(config: Any, name: str) -> Iterator[str]:
    """Whether every tensor is written before it is read, and read once it is written."""
    writes = Counter(value for step in config.ensemble_scheduling.step for value in step.output_map.values())
    reads = {value for step in config.ensemble_scheduling.step for value in step.input_map.values()}
    for tensor in sorted(tensor for tensor, times in writes.items() if times > 1):
        yield f"ensemble tensor '{tensor}' can appear in an output map only once for ensemble '{name}'"
        return
    tensors = reads | set(writes)
    for io in config.input:
        if io.name not in tensors:
            yield f"ensemble input '{io.name}' for ensemble {name}' is not used"
            return
    ready = _ready(config)
    outputs = {io.name for io in config.output}
    for output in sorted(outputs):
        if output not in tensors:
            yield f"ensemble output '{output}' for ensemble {name}' is not used"
        elif output not in ready:
            yield f"output '{output}' for ensemble '{name}' is not written"
    for tensor in sorted(tensors - outputs):
        if tensor not in ready or tensor not in reads:
            yield f"ensemble tensor '{tensor}' is unused in ensemble '{name}'"


def _ready(config: Any) -> set[str]:
    """The tensors that are written if the ensemble's inputs are."""
    waits_for = [set(step.input_map.values()) for step in config.ensemble_scheduling.step]
    readers: dict[str, list[int]] = {}
    for number, tensors in enumerate(waits_for):
        for tensor in tensors:
            readers.setdefault(tensor, []).append(number)
    ready: set[str] = set()
    new = deque({io.name for io in config.input})
    for step, tensors in zip(config.ensemble_scheduling.step, waits_for, strict=True):
        if not tensors:
            new.extend(step.output_map.values())
    while new:
        if (tensor := new.popleft()) in ready:
            continue
        ready.add(tensor)
        for number in readers.get(tensor, ()):
            waits_for[number].discard(tensor)
            if not waits_for[number]:
                new.extend(config.ensemble_scheduling.step[number].output_map.values())
    return ready


def steps_of(config: Any) -> Iterable[tuple[int, str, int]]:
    """Number, model and version (-1: the latest) of each step of an ensemble."""
    for number, step in enumerate(config.ensemble_scheduling.step):
        yield number, step.model_name, step.model_version
