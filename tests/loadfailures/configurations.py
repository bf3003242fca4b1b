"""config.pbtxt files that do not parse, or that disagree with Triton, the model or the node."""

from collections.abc import Mapping

from tests.loadfailures.failure import Cause, Failure, Row, load_refused, poll_failed
from tests.loadfailures.layouts import COMPLETE, IDLE, config, initialize, model

NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}


def _scorer(
    id: str,
    broken: str,
    cause: Cause,
    configuration: str,
    code: str = IDLE,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
) -> Failure:
    return Failure(
        id,
        broken,
        cause,
        model("scorer", code, configuration),
        arguments=arguments,
        environment=environment or {},
    )


def _unparsed(problem: str) -> Cause:
    return poll_failed("model_config", "scorer", "", log=problem)


def _not_polled(problem: str) -> Cause:
    return poll_failed("model_config", "scorer", problem)


def _refused(reason: str, *secondary: str, label: str = "model_config", log_as: str | None = None) -> Cause:
    return load_refused(label, "scorer", reason, *secondary, log=log_as)


def _completing(statement: str) -> str:
    """A model.py that completes its own configuration."""
    return (
        IDLE
        + f"\n    @staticmethod\n    def auto_complete_config(config):\n        {statement}\n        return config\n"
    )


NOT_PARSED = (
    _scorer(
        "config-bracket-missing",
        "A bracket is not closed.",
        _unparsed('Error parsing text-format inference.ModelConfig: 3:55: Expected ",", found "}".'),
        config().replace("dims: [ 1 ] }]", "dims: [ 1 }]", 1),
    ),
    _scorer(
        "config-unknown-field",
        "A field's name is misspelt.",
        _unparsed('has no field named "max_batchsize"'),
        config().replace("max_batch_size", "max_batchsize"),
    ),
    _scorer(
        "config-unknown-data-type",
        "The data type is numpy's name, not Triton's.",
        _unparsed('Unknown enumeration value of "TYPE_FLOAT32" for field "data_type"'),
        config().replace("TYPE_FP32", "TYPE_FLOAT32"),
    ),
    _scorer(
        "config-in-json",
        "config.pbtxt was written as JSON.",
        _unparsed("1:1: Expected identifier, got: {"),
        '{"backend": "python", "max_batch_size": 0}\n',
    ),
    _scorer(
        "config-two-schedulers",
        "The configuration asks for dynamic and for sequence batching.",
        _unparsed('Field "sequence_batching" is specified along with field "dynamic_batching"'),
        config("dynamic_batching {}\nsequence_batching {}", batch=4),
    ),
)

CONTRADICTIONS = (
    _scorer(
        "config-of-another-name",
        "The configuration's name differs from the folder's.",
        _not_polled("unexpected directory name 'scorer' for model 'scorer-v2'"),
        config('name: "scorer-v2"'),
    ),
    _scorer(
        "config-batch-negative",
        "max_batch_size is -1.",
        _not_polled("'max_batch_size' must be non-negative value for scorer"),
        config(batch=-1),
    ),
    _scorer(
        "config-preferred-batch-too-big",
        "A preferred batch is bigger than the biggest batch.",
        _not_polled("dynamic batching preferred size must be <= max batch size for scorer"),
        config("dynamic_batching { preferred_batch_size: [ 16 ] }", batch=8),
    ),
    _scorer(
        "config-sequence-control-without-values",
        "A sequence control says no values for false and true.",
        _not_polled("sequence batching must specify either 'int32_false_true'"),
        config(
            'sequence_batching { control_input [{ name: "START" control [{ kind: CONTROL_SEQUENCE_START }] }] }',
            batch=4,
        ),
    ),
    _scorer(
        "config-cache-of-a-decoupled-model",
        "The response cache is on for a decoupled model.",
        _not_polled(
            "Response Cache does not currently support model scorer with 'decoupled' transaction policy"
        ),
        config("response_cache { enable: true }\nmodel_transaction_policy { decoupled: true }"),
    ),
    _scorer(
        "config-keeps-no-version",
        "The version policy keeps the latest zero versions.",
        Cause(
            "model_config",
            "scorer",
            "failed to load model 'scorer': at least one version must be available under the version policy",
            None,
            Row.ABSENT,
            ("repository_layout",),
        ),
        config("version_policy { latest { num_versions: 0 } }"),
    ),
    _scorer(
        "config-dimension-zero",
        "An input has a dimension of 0.",
        _refused("Invalid argument: model input 'INPUT' dimension must be integer >= 1, or -1"),
        config().replace("dims: [ 1 ]", "dims: [ 0 ]"),
    ),
    _scorer(
        "config-without-dims",
        "An output has no dims.",
        _not_polled("model output 'OUTPUT' must specify 'dims' for scorer"),
        config().replace('"OUTPUT" data_type: TYPE_FP32 dims: [ 1 ]', '"OUTPUT" data_type: TYPE_FP32'),
        IDLE,
        *COMPLETE,
    ),
    _scorer(
        "config-reshape-of-another-size",
        "An input's reshape has another number of elements.",
        _not_polled("model input 'INPUT' has different size for dims and reshape for scorer"),
        config().replace("dims: [ 1 ]", "dims: [ 4 ] reshape { shape: [ 3 ] }", 1),
        IDLE,
        *COMPLETE,
    ),
)

THE_NODE = (
    _scorer(
        "config-gpu-where-none-is",
        "The instance group asks for a GPU; the server sees none.",
        _refused(
            "Invalid argument: instance group scorer_0 of model scorer has kind KIND_GPU but no GPUs are available",
            "model_config",
            label="runtime_version",
        ),
        config(on="kind: KIND_GPU"),
        IDLE,
        environment=NO_GPU,
    ),
    _scorer(
        "config-gpu-index-where-none-is",
        "The instance group names GPU 0; the server sees none.",
        _refused(
            "Invalid argument: instance group scorer_0 of model scorer specifies invalid or unsupported gpu id 0",
            "model_config",
            label="runtime_version",
        ),
        config(on="kind: KIND_GPU gpus: [ 0 ]"),
        IDLE,
        environment=NO_GPU,
    ),
    _scorer(
        "config-cpu-with-gpus",
        "A CPU instance group names GPUs.",
        _refused(
            "Invalid argument: instance group scorer_0 of model scorer has kind KIND_CPU but specifies one or more GPUs"
        ),
        config(on="kind: KIND_CPU gpus: [ 0 ]"),
    ),
    _scorer(
        "config-wants-more-than-the-server-has",
        "The model needs four of a rate-limited resource; the server has two.",
        _refused(
            'Invalid argument: Resource count for "R" is limited to 2',
            log_as='Resource count for \\"R\\" is limited to 2',
        ),
        config(on='kind: KIND_CPU rate_limiter { resources [{ name: "R" count: 4 }] }'),
        IDLE,
        *COMPLETE,
        "--rate-limit=execution_count",
        "--rate-limit-resource=R:2",
    ),
    _scorer(
        "shared-memory-too-small",
        "The Python backend asks for more shared memory than there is.",
        _refused("Internal: Unable to initialize shared memory key", label="host_resources"),
        config(),
        IDLE,
        "--backend-config=python,shm-default-byte-size=17592186044416",
    ),
    _scorer(
        "shared-memory-size-with-a-unit",
        "The server's shared memory size is given as `64M`, which reads as 64 bytes.",
        _refused("Invalid argument: shm-default-byte-size can't be smaller than 4 MiBs"),
        config(),
        IDLE,
        "--backend-config=python,shm-default-byte-size=64M",
    ),
)

THE_MODEL = (
    _scorer(
        "auto-complete-of-other-dims",
        "config.pbtxt and the model's own auto_complete_config disagree about an input's dims.",
        _refused("Internal: ValueError: model 'scorer', tensor 'INPUT': the model expects dims [2]"),
        config(),
        _completing("config.add_input({'name': 'INPUT', 'data_type': 'TYPE_FP32', 'dims': [2]})"),
    ),
    _scorer(
        "auto-complete-of-another-type",
        "config.pbtxt and the model's own auto_complete_config disagree about an input's type.",
        _refused(
            "Internal: ValueError: unable to load model 'scorer', configuration expects datatype TYPE_FP32"
        ),
        config(),
        _completing("config.add_input({'name': 'INPUT', 'data_type': 'TYPE_INT64', 'dims': [1]})"),
    ),
    _scorer(
        "auto-complete-of-a-smaller-batch",
        "config.pbtxt allows a bigger batch than the model's own auto_complete_config.",
        _refused("Internal: ValueError: configuration specified max_batch_size 16"),
        config(batch=16),
        _completing("config.set_max_batch_size(8)"),
    ),
    _scorer(
        "auto-complete-raises",
        "auto_complete_config raises an exception of its own.",
        _refused("Internal: ValueError: the model card has no schema", label="model_code"),
        'backend: "python"\n',
        _completing('raise ValueError("the model card has no schema")'),
    ),
    _scorer(
        "auto-complete-returns-nothing",
        "auto_complete_config forgets to return the configuration.",
        _refused(
            "Internal: auto_complete_config function in model 'scorer' must return a valid",
            label="model_code",
        ),
        config(),
        _completing("return None"),
    ),
    _scorer(
        "parameter-missing",
        "initialize() reads a parameter that config.pbtxt does not set.",
        _refused("Internal: KeyError: 'top_k'", "model_config", label="model_code"),
        config(),
        initialize('self.k = json.loads(args["model_config"])["parameters"]["top_k"]'),
        *COMPLETE,
    ),
)

CONFIGURATIONS = (*NOT_PARSED, *CONTRADICTIONS, *THE_NODE, *THE_MODEL)
