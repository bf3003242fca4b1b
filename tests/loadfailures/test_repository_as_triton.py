"""A real Triton and `--repository` on the same folders: what one refuses the other refuses, and what one takes the other takes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from telemetry.rules_dir import rules_dir
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Cause, Failure
from tests.loadfailures.layouts import COMPLETE, IDLE, TENSORS, config
from tests.loadfailures.run_failure import run_failure
from tests.tritons.install import TritonInstall
from triage.repository.backends import load_backends
from triage.repository.bad_versions import bad_version_entry
from triage.repository.reader import RepositoryReader
from triage.signatures import load_signatures

Files = Mapping[str, str]
CPU = "instance_group [{ kind: KIND_CPU }]"
IO = 'name: "INPUT" data_type: TYPE_FP32'
OUT = 'output [{ name: "OUTPUT" data_type: TYPE_FP32 dims: [ 1 ] }]'


def _tensors(into: str, batch: int = 0) -> str:
    return f'backend: "python"\nmax_batch_size: {batch}\ninput [{{ {IO} {into} }}]\n{OUT}\n{CPU}\n'


def _sequence(controls: str, more: str = "") -> str:
    return config(f"sequence_batching {{ {controls} }}\n{more}", batch=4)


def _start(values: str, name: str = "START") -> str:
    return f'control_input [{{ name: "{name}" control [{{ kind: CONTROL_SEQUENCE_START {values} }}] }}]'


def _ensemble(steps: str, more: str = "") -> str:
    return f'platform: "ensemble"\n{TENSORS}ensemble_scheduling {{ {steps} }}\n{more}\n'


def _step(
    into: str = "INPUT", out: str = "OUTPUT", name: str = 'model_name: "part" model_version: -1'
) -> str:
    given = f'input_map {{ key: "INPUT" value: "{into}" }}' if into else ""
    given += f' output_map {{ key: "OUTPUT" value: "{out}" }}' if out else ""
    return f"step [{{ {name} {given} }}]"


REFUSED: Mapping[str, str] = {
    "scalar-twice": config("max_batch_size: 2", batch=1),
    "number-in-quotes": config().replace("max_batch_size: 0", 'max_batch_size: "0"'),
    "number-with-a-point": config().replace("max_batch_size: 0", "max_batch_size: 0.0"),
    "number-too-large": config().replace("max_batch_size: 0", "max_batch_size: 3000000000"),
    "text-after-the-end": config("}"),
    "string-not-closed": config('name: "string-not-closed'),
    "field-of-nobody": config("max_queue: 3"),
    "block-not-closed": config("dynamic_batching {"),
    "batch-below-zero": config(batch=-2),
    "another-name": config('name: "somebody"'),
    "preferred-zero": config("dynamic_batching { preferred_batch_size: [ 0 ] }", batch=4),
    "preferred-without-batching": config("dynamic_batching { preferred_batch_size: [ 2 ] }"),
    "priority-without-default": config("dynamic_batching { priority_levels: 2 }", batch=4),
    "priority-policy-of-no-level": config(
        "dynamic_batching { priority_levels: 2 default_priority_level: 1"
        " priority_queue_policy { key: 3 value { } } }",
        batch=4,
    ),
    "order-with-priorities": config(
        "dynamic_batching { preserve_ordering: true priority_levels: 2 default_priority_level: 1 }", batch=4
    ),
    "sequence-with-cache": _sequence("", "response_cache { enable: true }"),
    "control-with-two-types": _sequence(_start("int32_false_true: [ 0, 1 ] fp32_false_true: [ 0, 1 ]")),
    "control-with-one-value": _sequence(_start("int32_false_true: [ 1 ]")),
    "control-without-a-name": _sequence(_start("int32_false_true: [ 0, 1 ]", name="")),
    "oldest-preferred-too-big": _sequence("oldest { preferred_batch_size: [ 8 ] }"),
    "decoupled-with-cache": config(
        "response_cache { enable: true }\nmodel_transaction_policy { decoupled: true }"
    ),
    "cpu-with-gpus": config(on="kind: KIND_CPU gpus: [ 0 ]"),
    "model-kind-with-gpus": config(on="kind: KIND_MODEL gpus: [ 0 ]"),
    "dimension-zero": _tensors("dims: [ 0 ]"),
    "dimension-below-minus-one": _tensors("dims: [ -2 ]"),
    "reshape-zero": _tensors("dims: [ 1 ] reshape { shape: [ 0 ] }"),
    "reshape-of-another-size": _tensors("dims: [ 4 ] reshape { shape: [ 3 ] }"),
    "reshape-to-nothing-without-batching": _tensors("dims: [ 1 ] reshape { shape: [ ] }"),
    "reshape-to-nothing-of-four": _tensors("dims: [ 4 ] reshape { shape: [ ] }", batch=4),
    "reshape-loses-the-variable": _tensors("dims: [ 4, -1 ] reshape { shape: [ 4 ] }"),
    "reshape-gains-a-variable": _tensors("dims: [ 4, -1 ] reshape { shape: [ -1, 4, -1 ] }"),
    "reshape-of-other-parts": _tensors("dims: [ 2, -1, 3 ] reshape { shape: [ 3, -1, 2 ] }"),
    "platform-of-another-backend": config(backend='backend: "onnxruntime" platform: "tensorrt_plan"'),
    "platform-of-nobody": config(backend='platform: "onnx"'),
    "ensemble-with-a-backend": config(backend='backend: "python" platform: "ensemble"'),
    "ensemble-without-scheduling": f'platform: "ensemble"\n{TENSORS}',
    "scheduling-without-ensemble": f'backend: "python"\n{TENSORS}ensemble_scheduling {{ {_step()} }}\n',
    "ensemble-with-instances": _ensemble(_step(), CPU),
    "ensemble-with-optimization": _ensemble(_step(), "optimization { }"),
    "ensemble-with-warm-up": _ensemble(_step(), 'model_warmup [{ name: "x" batch_size: 1 }]'),
    "ensemble-without-steps": _ensemble(""),
    "step-without-a-model": _ensemble(_step(name="")),
    "step-without-inputs": _ensemble(_step(into="")),
    "step-without-outputs": _ensemble(_step(out="")),
    "step-of-itself": _ensemble(_step(name='model_name: "step-of-itself" model_version: -1')),
    "tensor-written-twice": _ensemble(f"{_step()} {_step()}"),
    "ensemble-input-unused": _ensemble(_step(into="OTHER")),
    "ensemble-output-unwritten": _ensemble(_step(out="OTHER")),
    "tensor-unused": _ensemble(f"{_step()} {_step(out='NOBODY')}"),
    "step-of-an-absent-version": _ensemble(_step(name='model_name: "part" model_version: 7')),
    "keeps-no-version": config("version_policy { latest { num_versions: 0 } }"),
    "keeps-an-absent-version": config("version_policy { specific { versions: [ 9 ] } }"),
    "specific-names-none": config("version_policy { specific { } }"),
}
"""Configurations by the model that has one."""

TAKEN: Mapping[str, str] = {
    "part": config(),
    "comments-and-semicolons": config("# a comment\ndynamic_batching { }; ", batch=4),
    "single-quotes": config("name: 'single-quotes'"),
    "strings-in-pieces": config('name: "strings-in" "-pieces"'),
    "angle-brackets": config("dynamic_batching < preferred_batch_size: [ 2 ] >", batch=4),
    "hexadecimal": config().replace("max_batch_size: 0", "max_batch_size: 0x0"),
    "field-with-a-colon-before-its-block": config("dynamic_batching: { }", batch=4),
    "lists-one-by-one": config(
        "dynamic_batching { preferred_batch_size: 2 preferred_batch_size: 4 }", batch=4
    ),
    "bool-as-a-number": config("model_transaction_policy { decoupled: 1 }"),
    "bool-as-a-letter": config("model_transaction_policy { decoupled: t }"),
    "policy-without-a-choice": config("version_policy { }"),
    "policy-all": config("version_policy { all { } }"),
    "policy-with-one-of-two": config("version_policy { specific { versions: [ 9, 1 ] } }"),
    "reshape-of-the-same-size": _tensors("dims: [ 2, -1, 6 ] reshape { shape: [ 2, -1, 2, 3 ] }"),
    "reshape-to-nothing-with-batching": _tensors("dims: [ 1 ] reshape { shape: [ ] }", batch=4),
    "warm-up-of-a-batch": config("parameters { key: 'a' value: { string_value: '\\303\\251' } }"),
    "pipeline": _ensemble(_step()),
    "empty-configuration": "",
}
OTHERS: Mapping[str, tuple[Files, bool]] = {
    "version-with-leading-zero": ({"config.pbtxt": config(), "01/model.py": IDLE}, False),
    "version-zero": ({"config.pbtxt": config(), "0/model.py": IDLE}, True),
    "file-named-otherwise": (
        {"config.pbtxt": config('default_model_filename: "m.py"'), "1/m.py": IDLE},
        True,
    ),
    "two-versions": ({"config.pbtxt": config(), "1/model.py": "broken(", "2/model.py": IDLE}, True),
    "pointer-for-code": (
        {
            "config.pbtxt": config(),
            "1/model.py": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 2\n",
        },
        False,
    ),
    "page-for-code": ({"config.pbtxt": config(), "1/model.py": "<html><body>404</body></html>\n"}, False),
    "bad-version-passed-over": (
        {
            "config.pbtxt": config("version_policy { specific { versions: [ 1 ] } }"),
            "1/model.py": IDLE,
            "2/model.py": "broken(",
        },
        True,
    ),
    "backend-untold": ({"config.pbtxt": TENSORS, "1/weights.bin": "w"}, False),
}
"""Files of a model, and whether it loads."""


def _models() -> Iterator[tuple[str, Files, bool]]:
    for taken, configurations in ((False, REFUSED), (True, TAKEN)):
        for name, text in configurations.items():
            version = {"1/model.py": IDLE} if 'platform: "ensemble"' not in text else {"1/.keep": ""}
            yield name, {"config.pbtxt": text, **version}, taken
    for name, (files, taken) in OTHERS.items():
        yield name, files, taken


async def test_what_triton_takes_is_taken_and_what_it_refuses_is_refused(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """Also with bad_versions.yaml in the root, of which Triton takes no notice."""
    expected = {name: taken for name, _, taken in _models()}
    files = {f"models/{name}/{path}": text for name, files, _ in _models() for path, text in files.items()}
    files["models/bad_versions.yaml"] = bad_version_entry("bad-version-passed-over", 2, "it is broken")
    mixed = Failure("mixed", "Many models.", Cause(NOT_A_LOAD_FAILURE, None), files, arguments=COMPLETE)
    async with run_failure(triton_install, mixed, tmp_path / "mixed") as left:
        assert isinstance(left.index, list)
        ready = {row["name"] for row in left.index if row.get("state") == "READY"}
        assert {name: name in ready for name in expected} == expected, left.log.read_text()[-4000:]
        refused = _refused(tmp_path / "mixed/models")
        assert {name: name not in refused for name in expected} == expected, refused


def _refused(repository: Path) -> dict[str, list[str]]:
    """The findings that are more than hints, by model; and the whole was read."""
    signatures = load_signatures(rules_dir() / "signatures")
    view = RepositoryReader(repository, load_backends(rules_dir()), until=1e12).read()
    assert view.unread == ()
    found: dict[str, list[str]] = {}
    for problem in view.problems:
        match = next(m for m in signatures.match(problem.text) if m.signature.origin == "repository")
        if match.signature.role != "hint":
            found.setdefault(problem.model, []).append(problem.text)
    return found
