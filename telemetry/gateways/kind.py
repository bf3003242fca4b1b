"""A kind of gateway: which families tell its requests, and which labels say for whom they were. Kinds are files in
`rules/gateways/`; the configuration may name families and labels otherwise."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self

import re2
from pydantic import BaseModel, ConfigDict, Field, model_validator

from telemetry.located_yaml import InvalidFileError, Problem, read_located
from telemetry.re2_words import said_by_re2

MATCHER: Final = r'\s*[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"\s*'
_MATCHERS: Final = rf"^(?:{MATCHER}(?:,{MATCHER})*)?$"

Family = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")]
Matchers = Annotated[str, Field(pattern=_MATCHERS)]
TargetPatterns = Annotated[Mapping[Label, str], Field(min_length=1)]
"""By label a regular expression in which {namespace} and {service} stand for the workload's; all must match whole."""


class GatewayKind(BaseModel):
    """Families and labels of one kind of gateway."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    presence: Family
    """A gauge that each instance shows always, by which it is known to have been scraped."""
    instances: Matchers = ""
    """Which of the series of `presence` are gateways."""
    requests: Family
    """Counter of requests."""
    matchers: Matchers = ""
    """Which of the series of `requests` and `buckets` count."""
    code: Label
    """The label of `requests` that tells the response's code."""
    buckets: Family
    """Histogram of durations."""
    milliseconds: float = Field(gt=0, allow_inf_nan=False)
    """What a bucket's bound of 1 is."""
    knows: Family | None = None
    """Shown from the start for each target that the gateway knows; None: a target has series from its first request on."""
    active: Family | None = None
    """Gauge of requests that wait for the target now; None: the gateway does not tell."""
    targets: tuple[TargetPatterns, ...] = Field(min_length=1)
    """Ways in which the labels name the target; any of them."""
    scope: str = Field(min_length=1)
    """Whose wait the durations are, for documents."""
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _patterns_are_regular_expressions(self) -> Self:
        for patterns in self.targets:
            check_patterns(patterns)
        return self


def check_patterns(patterns: Mapping[str, str]) -> None:
    """Raises ValueError where one could not name a target."""
    for label, pattern in patterns.items():
        try:
            compile_pattern(target_pattern(pattern, "a", "b"))
        except re2.error as error:
            raise ValueError(
                f"{label}: {pattern!r} is no regular expression of Prometheus: {said_by_re2(error)}"
            ) from None
    if not any("{service}" in pattern for pattern in patterns.values()):
        raise ValueError(
            "no label names the target: {service} must stand in one of the patterns, and be replaced by its name"
        )


def target_pattern(pattern: str, namespace: str, service: str) -> str:
    """The regular expression for one target."""
    named = pattern.replace("{namespace}", re.escape(namespace))
    return named.replace("{service}", re.escape(service))


def compile_pattern(pattern: str) -> Any:
    """As Prometheus reads it: Go's syntax is RE2's. Raises `re2.error`."""
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def load_gateways(folder: Path) -> Mapping[str, GatewayKind]:
    """Every kind of the folder by name. Raises InvalidFileError with the mistakes of all files."""
    kinds: dict[str, GatewayKind] = {}
    problems: list[Problem] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            kind = read_located(GatewayKind, file)
        except InvalidFileError as error:
            problems += error.problems
            continue
        if file.stem != kind.kind:
            problems.append(Problem(str(file), 1, 1, f"kind {kind.kind!r} belongs in {kind.kind}.yaml"))
        kinds[kind.kind] = kind
    if problems:
        raise InvalidFileError(problems)
    return kinds
