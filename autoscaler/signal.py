"""A signal's row: what it means, what it is made of, and how it is pooled. Rows are files in `rules/signals/`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from autoscaler.families import Buckets, Family, QuantileLabel, WholeFamily
from autoscaler.gpu_formula import GpuDevices
from telemetry.durations import Seconds
from telemetry.located_yaml import InvalidFileError, Problem, read_located, read_text
from telemetry.statistics import FAMILIES as STATISTICS
from telemetry.window import FAILURE, PENDING, QUEUE, SUCCESS, Families

Kind = Literal["counter", "gauge", "summary", "histogram"]
_ALWAYS: Final[Mapping[str, Kind]] = {SUCCESS: "counter", FAILURE: "counter", PENDING: "gauge"}
"""Read of every page, for telling idle from hung."""

INSTANCE_SECONDS: Final = "configuration:instance_seconds"
"""Stands in a formula for the seconds of the window times the model's instances: its configuration says how many there are."""


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
        if self.read == "rate":
            _refuse_labels(self.families)
        return self


def _refuse_labels(families: Iterable[str]) -> None:
    for family in families:
        if "{" in family:
            told = "a counter is read with all its series; only a gauge can be read by a label"
            raise ValueError(f"{family!r}: {told}")


class Total(_Row):
    """The sum of its terms over pods and models: what an `averageValue` target divides."""

    kind: Literal["total"]
    terms: tuple[Term, ...] = Field(min_length=1)


class Ratio(_Row):
    """A ratio of sums, never a mean of ratios."""

    kind: Literal["ratio_of_rates", "ratio_of_gauges"]
    numerator: tuple[Family, ...] = Field(min_length=1)
    denominator: tuple[Family, ...] = Field(min_length=1)
    optional: tuple[Family, ...] = ()
    """Families whose absence means none of it happened."""
    queue_delay: Literal["counted", "subtracted"] = "counted"
    """Of the time in the queue: with the delay for which a model's batcher is told to wait, or without."""
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _optional_is_known(self) -> Self:
        for family in self.optional:
            if family not in (*self.numerator, *self.denominator):
                raise ValueError(f"optional family {family!r} is neither in numerator nor in denominator")
        rates = self.kind == "ratio_of_rates"
        if rates:
            _refuse_labels((*self.numerator, *self.denominator))
        shown = rates and QUEUE in self.numerator and QUEUE not in self.optional
        if self.queue_delay == "subtracted" and not shown:
            raise ValueError(
                f"queue_delay: subtracted needs kind: ratio_of_rates with {QUEUE} in the numerator, and not optional"
            )
        return self


class Mean(_Row):
    """A gauge's mean over pods and models, each one as much: for shares of what is of one size everywhere."""

    kind: Literal["mean_of_gauge"]
    family: Family
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Quantile(_Row):
    """A quantile of all requests, out of each row's summary or histogram, pooled by how many requests each finished: an estimate
    between a lower and an upper bound (autoscaler/pooled_quantile.py)."""

    kind: Literal["quantile"]
    quantile: float = Field(gt=0, lt=1)
    summary: WholeFamily
    summary_quantiles: tuple[QuantileLabel, ...] = Field(min_length=1)
    """Of the summary, as it shows them; `quantile` must be among them, for a bound above."""
    summary_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    histogram: Buckets
    """The name of its buckets."""
    histogram_scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _quantile_is_shown(self) -> Self:
        if self.quantile not in map(float, self.summary_quantiles):
            raise ValueError(f"summary_quantiles must hold the quantile {self.quantile:g} itself")
        return self


class Pods(_Row):
    """How many pods stand so: a count of what Kubernetes says, for which no page is read."""

    kind: Literal["pods"]
    state: Literal["pending", "loading"]
    """pending: on no node yet; loading: on a node and not ready."""


class GatewayRate(_Row):
    """Requests a second at the gateways in front of a workload; their families are in rules/gateways."""

    kind: Literal["gateway_rate"]


class GatewayQuantile(_Row):
    """A quantile of how long requests took at the gateways, out of one histogram of them all."""

    kind: Literal["gateway_quantile"]
    quantile: float = Field(gt=0, lt=1)


class HpaTarget(_Row):
    """Which HPA target type is stable for the signal, and why."""

    target: Literal["AverageValue", "Value", "none"]
    why: str = Field(min_length=1)


class Signal(_Row):
    name: str = Field(pattern=r"^[a-z][a-z0-9_:]*$", max_length=63)
    unit: str = Field(min_length=1)
    meaning: str = Field(min_length=1)
    formula: Annotated[
        Total | Ratio | Mean | Quantile | Pods | GpuDevices | GatewayRate | GatewayQuantile,
        Field(discriminator="kind"),
    ]
    window: Seconds
    idle: float | None = Field(ge=0, allow_inf_nan=False)
    """Value when every target answered and nothing happened; null where there is no such thing."""
    scope: Literal["model", "gpu"] = "model"
    ensembles: Literal["parts", "own", "outer"] = "parts"
    """Where an ensemble is selected: pool its composing models, or its own series; beside its parts `own` gives way to them and
    `outer` stands for them."""
    decoupled: Literal["value", "no_data", "histogram"]
    """Whether the families see a decoupled model's work; histogram: only the formula's histogram does."""
    stalled: Literal["value", "no_data"]
    """Whether the signal still says something while requests wait and none completes for a whole window."""
    hpa: HpaTarget
    remedies: Mapping[Family, str] = Field(default_factory=dict)
    """What to do when a family is absent."""
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _only_a_quantile_has_a_histogram(self) -> Self:
        if self.decoupled == "histogram" and not isinstance(self.formula, Quantile):
            raise ValueError("decoupled: histogram needs a formula of kind quantile")
        return self

    @model_validator(mode="after")
    def _devices_are_no_model_s(self) -> Self:
        if isinstance(self.formula, GpuDevices) and (self.scope, self.idle) != ("gpu", None):
            raise ValueError("a formula of kind gpu_devices needs scope: gpu and idle: null")
        return self

    @model_validator(mode="after")
    def _instance_seconds_are_divided_by(self) -> Self:
        if INSTANCE_SECONDS in self.families():
            raise ValueError(f"{INSTANCE_SECONDS} can only stand in the denominator of a ratio_of_rates")
        return self

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
            case Mean() | Quantile() | Pods() | GpuDevices() | GatewayRate() | GatewayQuantile():
                return False

    def families(self) -> frozenset[str]:
        return frozenset(family for family, _ in self.readings())

    def readings(self) -> Iterator[tuple[str, Kind]]:
        """What the formula reads of a page, and as what."""
        match self.formula:
            case Total(terms=terms):
                for term in terms:
                    kind: Kind = "counter" if term.read == "rate" else "gauge"
                    yield from ((family, kind) for family in term.families)
            case Ratio(kind="ratio_of_rates", numerator=numerator, denominator=denominator):
                below = [family for family in denominator if family != INSTANCE_SECONDS]
                yield from ((family, "counter") for family in (*numerator, *below))
            case Ratio(numerator=numerator, denominator=denominator):
                yield from ((family, "gauge") for family in (*numerator, *denominator))
            case Mean(family=family):
                yield family, "gauge"
            case Quantile(summary=summary, histogram=histogram):
                yield summary, "summary"
                yield histogram, "histogram"
            case GpuDevices() as devices:
                yield from ((family, "gauge") for family in devices.families())
            case Pods() | GatewayRate() | GatewayQuantile():
                pass


def row_file(signal: str) -> str:
    """The file of this signal's row; no file system forbids its name."""
    return f"{signal.replace(':', '_')}.yaml"


def load_signals(folder: Path) -> Mapping[str, Signal]:
    """Every row of the folder by name. Raises InvalidFileError with the mistakes of all files."""
    signals: dict[str, Signal] = {}
    problems: list[Problem] = []
    kinds: dict[str, Kind] = {**_ALWAYS, **dict.fromkeys(STATISTICS, "counter")}
    files = sorted(folder.glob("*.yaml"))
    if not files:
        problems.append(Problem(str(folder), 1, 1, "no signal rows here: expected at least one *.yaml"))
    for file in files:
        try:
            signal = read_located(Signal, file)
        except InvalidFileError as error:
            problems += error.problems
            continue
        if file.name != row_file(signal.name):
            told = f"signal {signal.name!r} belongs in {row_file(signal.name)}, one row a file"
            problems.append(Problem(str(file), 1, 1, told))
        problems += _contradictions(signal, kinds, file)
        signals.setdefault(signal.name, signal)
    if problems:
        raise InvalidFileError(problems)
    return signals


def _contradictions(signal: Signal, kinds: dict[str, Kind], file: Path) -> Iterator[Problem]:
    """Families that the row reads as another kind than `kinds`, to which it adds. What a page shows of a family is kept as one
    kind, and whoever reads the other would miss it."""
    for name, kind in signal.readings():
        family = name.partition("{")[0]
        known = kinds.setdefault(family, kind)
        if known != kind:
            told = f"{family} is read as a {kind} here, and is a {known} for Triton or another row: a family is of one kind"
            yield _problem_at(family, file, told)


def _problem_at(family: str, file: Path, told: str) -> Problem:
    """Where the formula names the family."""
    text = read_text(file)
    found = re.search(rf"^formula:[\s\S]*?(?<![\w:])({family})(?![\w:])", text, re.MULTILINE)
    before = text[: found.start(1)] if found else ""
    line = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1)
    return Problem(str(file), line + 1, column + 1, told, text.split("\n")[line])


def needed_families(signals: Mapping[str, Signal]) -> Families:
    """What to keep of a page for these signals, and for telling idle from hung."""
    readings = {*_ALWAYS.items(), *(reading for signal in signals.values() for reading in signal.readings())}
    formulas = [signal.formula for signal in signals.values()]

    def of(kind: Kind) -> frozenset[str]:
        return frozenset(family for family, read in readings if read == kind)

    quantiles = frozenset(
        (formula.summary, quantile)
        for formula in formulas
        if isinstance(formula, Quantile)
        for quantile in formula.summary_quantiles
    )
    return Families(of("counter"), of("gauge"), quantiles, of("histogram"))


def describe(signal: Signal) -> dict[str, Any]:
    """The row as a person or a program reads it (`triton-autoscaler signals`)."""
    return signal.model_dump(mode="json")
