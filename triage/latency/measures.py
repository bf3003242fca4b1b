"""Measures: rows of `rules/measures/*.yaml`, each a family of one source read in one way over time."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from telemetry.located_yaml import InvalidFileError, Problem, parse_located, read_text

Source = Literal["triton", "platform", "gateway"]
Kind = Literal["rate", "mean", "peak", "least", "last", "present", "quantile", "histogram", "expression"]
"""rate: of a counter, a second. mean, peak, least: of a gauge, over the window. last: a gauge as it stands. present: 1 where
there was a sample in the window. quantile: of a summary, as it stands. histogram: a quantile of the buckets' rates.
expression: PromQL with `$window` and the target's names."""
Pool = Literal["sum", "mean", "max", "min"]
PLACES = ("namespace", "pods", "own", "workload", "services", "nodes", "hpa", "model")
"""What a scope may name of the target. `own` is narrower than `pods` where only the workload's name is known: names as Kubernetes
makes them for that workload, and not those of another whose name begins the same."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Family = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=200)]
Label = Annotated[str, Field(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=100)]
Scale = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_PLACE = re.compile(r"\{([a-z]*)\}")
_VARIABLE = re.compile(r"\$(\w+)")
_CLASHING = ("pod", "namespace", "container", "node", "service")
"""Labels that Prometheus gives its targets in Kubernetes."""


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Over(_Row):
    """What a reading is divided by: another family, or the same with other matchers, read and pooled the same way."""

    family: Family
    where: Mapping[Label, str] = {}


class Top(_Row):
    """How many series there may be at most: those with the largest peaks, so many of each `by`."""

    most: Annotated[int, Field(ge=1, le=50)]
    by: tuple[Label, ...] = ()


class Held(_Row):
    """Only what the target's pods held at some time of the range, by a family that has a series for each holder of a thing."""

    family: Family
    by: tuple[Label, ...] = Field(min_length=1)
    """The labels, by the families' names, that a thing has in both."""
    scope: Mapping[Label, str]


class Alternative(_Row):
    """One way to read a measure."""

    family: Family
    kind: Kind
    exporter: Annotated[str, Field(pattern=r"^[a-z][a-z-]*$", max_length=40)] = ""
    """Of whose GPUs: a cluster may have one on some nodes and another on others. Of each the first way that has series counts, for
    the GPUs that none before it tells of."""
    quantile: Annotated[str, Field(pattern=r"^0\.\d+$")] | None = None
    scale: Scale = 1.0
    pool: Pool | None = None
    """How its series become one, where that is not the measure's own way."""
    plus: tuple[Family, ...] = ()
    """Families whose readings are added, where there are any."""
    where: Mapping[Label, str] = {}
    """Regular expressions that labels must match; with a leading `!`, must not."""
    scope: Mapping[Label, str] = {}
    """Label to what of the target it holds, such as `{pods}`; labels by our names where `labels` has them."""
    labels: Mapping[Label, Label | Literal[""] | tuple[Label, ...]] = {}
    """Our name of a label to the family's, where they differ; empty: it has none; several: an answer has one of them."""
    over: Over | None = None
    zero: bool = False
    """Zero where the family has series of the target and none that matches `where`: it never happened."""
    but: Mapping[Label, str] = {}
    """As `scope`, of what is left out: the series whose labels are all these."""
    top: Top | None = None
    below: Scale | None = None
    """Samples of this size and above are how the exporter writes that it knows nothing, and are none."""
    bits: Mapping[Name, Annotated[int, Field(ge=0, le=40)]] = {}
    """The value is a mask: a series for each of these bits, 0 or 1, with its name as our label `reason`."""
    held: Held | None = None
    clash: bool = False
    """Try it also with the labels' `exported_` names: without honor_labels the exporter's own come first."""
    expr: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind in ("quantile", "histogram")) != (self.quantile is not None):
            raise ValueError("'quantile' belongs to kinds quantile and histogram, and they need it")
        if (self.kind == "expression") != bool(self.expr):
            raise ValueError("'expr' belongs to kind expression, and it needs one")
        beside = ["scope", "where", "over", "plus", "clash", "zero", "but", "top", "below", "bits", "held"]
        if self.expr and self.model_fields_set & set(beside):
            raise ValueError(f"an 'expr' says it all: no {', '.join(beside[:-1])} or {beside[-1]} beside it")
        if self.bits and self.kind != "last":
            raise ValueError("'bits' belongs to kind last")
        if self.over and self.kind not in ("rate", "mean", "last"):
            raise ValueError("'over' belongs to kinds rate, mean and last")
        held = self.held.scope.values() if self.held else ()
        scopes = " ".join((*self.scope.values(), *self.but.values(), *held))
        for place in (*_PLACE.findall(scopes), *_VARIABLE.findall(self.expr)):
            if place not in (*PLACES, "window", "span"):
                raise ValueError(f"the target has no {place!r}; it has {', '.join(PLACES)}")
        for pattern in (*self.where.values(), *(self.over.where.values() if self.over else ())):
            _compiles(pattern)
        return self

    def variants(self) -> "Iterator[Alternative]":
        """Itself, and where labels may clash, the same by the labels' exported names: all of them, and the namespace's alone, since
        each label is renamed for itself and some jobs give their targets a namespace and no pod (`kubernetes-service-endpoints` of
        the charts prometheus-community/prometheus)."""
        yield self
        if self.clash:
            held = self.held.scope if self.held else {}
            names = {ours: self.labels.get(ours, ours) for ours in {**self.scope, **held, **self.labels}}
            exported = {ours: f"exported_{name}" for ours, name in names.items() if name in _CLASHING}
            yield self.model_copy(update={"labels": {**self.labels, **exported}})
            spaces = {ours: name for ours, name in exported.items() if name == "exported_namespace"}
            if spaces and spaces != exported:
                yield self.model_copy(update={"labels": {**self.labels, **spaces}})


class Measure(_Row):
    """A row: how it is named, what it means, and the ways to read it, best first. One way stands in the row itself."""

    measure: Name
    unit: Annotated[str, Field(min_length=1)]
    by: tuple[Label, ...]
    says: Annotated[str, Field(min_length=1)]
    any_of: tuple[Alternative, ...] = ()
    family: Family | None = None
    kind: Kind | None = None
    quantile: str | None = None
    scale: Scale = 1.0
    pool: Pool = "sum"
    """How series of several pods become one, also after they were read."""
    where: Mapping[Label, str] = {}
    remedy: str = ""
    """What somebody can do to have it, where no source has."""

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.any_of:
            if self.family or self.kind or self.quantile or self.where or self.scale != 1.0:
                raise ValueError("give either 'family' and 'kind', or 'any_of'")
        elif self.family is None or self.kind is None:
            raise ValueError("needs 'family' and 'kind', or 'any_of'")
        else:
            try:
                self._own()
            except ValidationError as error:  # as if it were said of the row itself
                raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
        return self

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        """Each with how it pools."""
        ways = self.any_of or (self._own(),)
        return tuple(way.model_copy(update={"pool": way.pool or self.pool}) for way in ways)

    @property
    def prompt(self) -> bool:
        """Whether a value is a high quantile or the peak of its window, and so moves as soon as a few requests of it have."""
        return all(
            way.kind == "peak" or (way.quantile is not None and float(way.quantile) >= 0.9)
            for way in self.alternatives
        )

    def _own(self) -> Alternative:
        return Alternative.model_validate(
            {
                "family": self.family,
                "kind": self.kind,
                "quantile": self.quantile,
                "scale": self.scale,
                "pool": self.pool,
                "where": self.where,
            }
        )


class MeasureFile(_Row):
    """One file of measures of one source."""

    source: Source
    measures: tuple[Measure, ...]


Measures = Mapping[Source, Sequence[Measure]]


def read_measures(folder: Path) -> Measures:
    """All measures in `rules/measures/`, by source, in the files' order. Raises InvalidFileError with every mistake."""
    return parse_measures({str(path): read_text(path) for path in sorted(folder.glob("*.yaml"))}, str(folder))


def parse_measures(texts: Mapping[str, str], where: str) -> Measures:
    """All measures in these texts, by file name. Raises InvalidFileError with every mistake; `where` is told if there is none."""
    problems: list[Problem] = []
    found: dict[Source, list[Measure]] = {}
    seen: dict[str, str] = {}
    if not texts:
        raise InvalidFileError([Problem(where, 1, 1, "no file of measures here")])
    for file, text in texts.items():
        try:
            read = parse_located(MeasureFile, text, file)
        except InvalidFileError as error:
            problems += error.problems
            continue
        for measure in read.measures:
            name = measure.measure
            if name in seen:
                line, column = _place(text, name)
                said = f"{name!r} is also in {seen[name]}; a measure has one row"
                problems.append(Problem(file, line, column, said))
            seen[name] = Path(file).name
        found.setdefault(read.source, []).extend(read.measures)
    if problems:
        raise InvalidFileError(problems)
    return found


def _place(text: str, name: str) -> tuple[int, int]:
    """Where the last row of that name stands; lines and columns count from 1."""
    place = max((m.start(1) for m in re.finditer(rf"measure: ({re.escape(name)})\b", text)), default=0)
    return text.count("\n", 0, place) + 1, place - text.rfind("\n", 0, place)


def _compiles(pattern: str) -> None:
    try:
        re.compile(pattern.removeprefix("!"))
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
