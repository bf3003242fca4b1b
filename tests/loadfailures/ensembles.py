"""Ensembles that are wrong themselves, or that only wait for a child."""

from tests.loadfailures.failure import Cause, Failure, Files, Row, load_refused, poll_failed
from tests.loadfailures.layouts import COMPLETE, TENSORS, config, model
from tests.loadfailures.python_models import RAISED, RAISES

NOT_AVAILABLE = "ensemble pipeline contains models that are not available or ambiguous: {}"
NO_VERSION_LOADED = "ensemble 'pipeline' depends on 'classify' which has no loaded version"

PREPARE = ("prepare", "INPUT", "INPUT", "OUTPUT", "ready")
CLASSIFY = ("classify", "INPUT", "ready", "OUTPUT", "OUTPUT")


def _pipeline(
    *steps: tuple[str, str, str, str, str], child_version: int = -1, version_directory: str = "1/"
) -> Files:
    """An ensemble of (model, its input, the tensor mapped to it, its output, the tensor it is mapped to)."""
    lines = ",\n".join(
        f'{{ model_name: "{name}" model_version: {child_version}'
        f' input_map {{ key: "{into}" value: "{source}" }} output_map {{ key: "{out}" value: "{target}" }} }}'
        for name, into, source, out, target in steps
    )
    configuration = f'platform: "ensemble"\n{TENSORS}ensemble_scheduling {{ step [\n{lines}\n] }}\n'
    return model("pipeline", None, configuration, {version_directory: ""} if version_directory else {})


def _ensemble(label: str, log: str, *secondary: str) -> Cause:
    """The index has an ensemble that was refused by its name only."""
    return Cause(label, "pipeline", log, None, Row.NAME_ONLY, secondary)


def _failure(
    id: str,
    broken: str,
    cause: Cause,
    *files: Files,
    also: tuple[Cause, ...] = (),
    healthy: tuple[str, ...] = ("prepare",),
    more: tuple[str, ...] = (),
) -> Failure:
    together = {path: content for part in files for path, content in part.items()}
    return Failure(id, broken, cause, together, also=also, healthy=healthy, arguments=(*COMPLETE, *more))


CHILDREN = {**model("prepare"), **model("classify")}
BOTH = ("prepare", "classify")

ENSEMBLES = (
    _failure(
        "ensemble-child-raises",
        "A child's initialize() raises.",
        load_refused("model_code", "classify", RAISED, "dependency_model"),
        _pipeline(PREPARE, CLASSIFY),
        model("prepare"),
        model("classify", RAISES),
        also=(_ensemble("dependency_model", NO_VERSION_LOADED),),
    ),
    _failure(
        "ensemble-child-raises-in-explicit-mode",
        "The ensemble alone is asked for, and a child's initialize() raises.",
        load_refused("model_code", "classify", RAISED, "dependency_model"),
        _pipeline(PREPARE, CLASSIFY),
        model("prepare"),
        model("classify", RAISES),
        also=(_ensemble("dependency_model", NO_VERSION_LOADED),),
        more=("--model-control-mode=explicit", "--load-model=pipeline"),
    ),
    _failure(
        "ensemble-child-of-a-broken-config",
        "A child's configuration is refused.",
        poll_failed(
            "model_config", "classify", "'max_batch_size' must be non-negative value", "dependency_model"
        ),
        _pipeline(PREPARE, CLASSIFY),
        model("prepare"),
        model("classify", configuration=config(batch=-1)),
        also=(_ensemble("dependency_model", NOT_AVAILABLE.format("classify")),),
    ),
    _failure(
        "ensemble-child-absent",
        "A child was not copied into the repository.",
        _ensemble("dependency_model", NOT_AVAILABLE.format("classify"), "repository_layout", "model_config"),
        _pipeline(PREPARE, CLASSIFY),
        model("prepare"),
    ),
    _failure(
        "ensemble-names-a-child-wrongly",
        "A step misspells the name of a child that is there.",
        _ensemble("model_config", NOT_AVAILABLE.format("clasify"), "dependency_model"),
        _pipeline(PREPARE, ("clasify", *CLASSIFY[1:])),
        CHILDREN,
        healthy=BOTH,
    ),
    _failure(
        "ensemble-wants-an-absent-version",
        "The ensemble asks for version 2 of children that have version 1.",
        _ensemble(
            "model_config", "whose required version 2 is not loaded", "dependency_model", "repository_layout"
        ),
        _pipeline(PREPARE, CLASSIFY, child_version=2),
        CHILDREN,
        healthy=BOTH,
    ),
    _failure(
        "ensemble-leaves-the-version-unset",
        "A step names no version, which reads as version 0 and not as the latest.",
        _ensemble("model_config", "whose required version 0 is not loaded", "dependency_model"),
        {
            path: text.replace("model_version: -1", "") if isinstance(text, str) else text
            for path, text in _pipeline(PREPARE, CLASSIFY).items()
        },
        CHILDREN,
        healthy=BOTH,
    ),
    _failure(
        "ensemble-with-a-warm-up",
        "The ensemble has a warm-up of its own, which only its children may have.",
        poll_failed(
            "model_config",
            "pipeline",
            "model_warmup can not be specified for ensemble 'pipeline'",
            "warmup_failure",
        ),
        {
            path: f'{text}model_warmup [{{ name: "first" batch_size: 1 }}]\n'
            if isinstance(text, str) and text
            else text
            for path, text in _pipeline(PREPARE, CLASSIFY).items()
        },
        CHILDREN,
        healthy=BOTH,
    ),
    _failure(
        "ensemble-maps-an-unknown-output",
        "A step maps an output that its model does not have.",
        _ensemble("model_config", "mapped from non-existing output RESULT in model prepare"),
        _pipeline((*PREPARE[:3], "RESULT", "ready"), CLASSIFY),
        CHILDREN,
        healthy=BOTH,
    ),
    _failure(
        "ensemble-of-two-types",
        "One child's output has another type than the next child's input.",
        _ensemble("model_config", "inconsistent data type: TYPE_FP32 is inferred from model prepare"),
        _pipeline(PREPARE, CLASSIFY),
        model("prepare"),
        model("classify", configuration=config().replace("TYPE_FP32", "TYPE_INT64")),
        healthy=BOTH,
    ),
    _failure(
        "ensemble-tensor-that-nobody-writes",
        "A step reads a tensor whose name is misspelt.",
        poll_failed("model_config", "pipeline", "output 'OUTPUT' for ensemble 'pipeline' is not written"),
        _pipeline(PREPARE, ("classify", "INPUT", "raedy", "OUTPUT", "OUTPUT")),
        CHILDREN,
        healthy=BOTH,
    ),
    _failure(
        "ensemble-in-a-circle",
        "The ensemble is a step of itself.",
        _ensemble("model_config", "circular dependency between ensembles: pipeline"),
        _pipeline(PREPARE, ("pipeline", *CLASSIFY[1:])),
        model("prepare"),
    ),
    _failure(
        "ensemble-without-a-version-directory",
        "The ensemble has no version directory, which it needs although nothing is in it.",
        Cause(
            "repository_layout",
            "pipeline",
            "failed to load model 'pipeline': at least one version must be available under the version policy",
            None,
            Row.ABSENT,
        ),
        _pipeline(PREPARE, CLASSIFY, version_directory=""),
        CHILDREN,
        healthy=BOTH,
    ),
)
