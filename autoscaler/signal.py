"""A signal's row: what it means, what it is made of, and how it is pooled. Rows are files in `rules/signals/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from telemetry.durations import Seconds
from telemetry.located_yaml import InvalidFileError, Problem, read_located
from telemetry.window import FAILURE, PENDING, SUCCESS, Families

Family = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$")]


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Term(_Row):
    """Families summed, read one way, times a scale into the signal's unit."""

    families: tuple[Family, ...] = Field(min_length=1)
    read: Literal["rate", "mean"]
    """rate: counter increase a second over the window; mean: a gauge averaged over the window's samples."""
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    optional: tuple[Family, ...] = ()
    """Families of `families` that older or idle servers do not show, and whose absence means none of it happened."""

    @model_validator(mode="after")
    def _optional_is_known(self) -> Self:
        for family in self.optional:
            if family not in self.families:
                raise ValueError(f"optional family {family!r} is not one of families")
        return self


class Total(_Row):
    """The sum of its terms over pods and models: what an `averageValue` target divides."""

    kind: Literal["total"]
    terms: tuple[Term, ...] = Field(min_length=1)


class Ratio(_Row):
    """A ratio of sums, never a mean of ratios."""

    kind: Literal["ratio_of_rates", "ratio_of_gauges"]
    numerator: tuple[Family, ...] = Field(min_length=1)
    denominator: tuple[Family, ...] = Field(min_length=1)
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Quantile(_Row):
    """A quantile of the pods' own summaries. They cannot be pooled, so the answer is their maximum, an upper bound, with the
    minimum as the lower bound beside it."""

    kind: Literal["quantile"]
    family: Family
    quantile: Annotated[str, BeforeValidator(str)]
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class HpaTarget(_Row):
    """Which HPA target type is stable for the signal, and why."""

    target: Literal["AverageValue", "Value", "none"]
    why: str = Field(min_length=1)


class Signal(_Row):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=63)
    unit: str = Field(min_length=1)
    meaning: str = Field(min_length=1)
    formula: Annotated[Total | Ratio | Quantile, Field(discriminator="kind")]
    window: Seconds
    idle: float | None = Field(ge=0, allow_inf_nan=False)
    """Value when every target answered and nothing happened; null where there is no such thing."""
    scope: Literal["model", "gpu"] = "model"
    ensembles: Literal["parts", "own", "both"] = "parts"
    """Where an ensemble is selected: pool its composing models, or its own series; both only where pooling is a maximum."""
    decoupled: Literal["value", "no_data"]
    """Whether the families see a decoupled model's work."""
    stalled: Literal["value", "no_data"]
    """Whether the signal still says something while requests wait and none completes for a whole window."""
    hpa: HpaTarget
    remedies: Mapping[Family, str] = Field(default_factory=dict)
    """What to do when a family is absent."""
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _remedies_are_for_own_families(self) -> Self:
        for family in self.remedies:
            if family not in self.families():
                raise ValueError(f"remedies: {family!r} is not a family of this signal's formula")
        return self

    def reads_counters(self) -> bool:
        """Whether a part of the formula moves only when a request completes."""
        match self.formula:
            case Total(terms=terms):
                return any(term.read == "rate" for term in terms)
            case Ratio(kind=kind):
                return kind == "ratio_of_rates"
            case Quantile():
                return False

    def families(self) -> frozenset[str]:
        match self.formula:
            case Total(terms=terms):
                return frozenset(family for term in terms for family in term.families)
            case Ratio(numerator=numerator, denominator=denominator):
                return frozenset(numerator + denominator)
            case Quantile(family=family):
                return frozenset({family})


def load_signals(folder: Path) -> Mapping[str, Signal]:
    """Every row of the folder by name. Raises InvalidFileError with the mistakes of all files."""
    signals: dict[str, Signal] = {}
    problems: list[Problem] = []
    files = sorted(folder.glob("*.yaml"))
    if not files:
        problems.append(Problem(str(folder), 1, 1, "no signal rows here: expected at least one *.yaml"))
    for file in files:
        try:
            signal = read_located(Signal, file)
        except InvalidFileError as error:
            problems += error.problems
            continue
        if file.stem != signal.name:
            problems.append(
                Problem(
                    str(file), 1, 1, f"signal {signal.name!r} belongs in {signal.name}.yaml, one row a file"
                )
            )
        signals.setdefault(signal.name, signal)
    if problems:
        raise InvalidFileError(problems)
    return signals


def needed_families(signals: Mapping[str, Signal]) -> Families:
    """What to keep of a page for these signals, and for telling idle from hung."""
    counters, gauges, quantiles = {SUCCESS, FAILURE}, {PENDING}, set[tuple[str, str]]()
    for signal in signals.values():
        match signal.formula:
            case Total(terms=terms):
                for term in terms:
                    (counters if term.read == "rate" else gauges).update(term.families)
            case Ratio(kind="ratio_of_rates"):
                counters |= signal.families()
            case Ratio():
                gauges |= signal.families()
            case Quantile(family=family, quantile=quantile):
                quantiles.add((family, quantile))
    return Families(frozenset(counters), frozenset(gauges), frozenset(quantiles))


def describe(signal: Signal) -> dict[str, Any]:
    """The row as a person or a program reads it (`triton-autoscaler signals`)."""
    return signal.model_dump(mode="json")
