"""Quantities: measures put together, as rows of `rules/quantities.yaml`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class Quantity(BaseModel):
    """(the sum of `sum` less the sum of `minus`) / the sum of `per`, at each step, times `scale`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: Name
    says: str = Field(min_length=1)
    """As in a sentence: `time in the queue per request`."""
    unit: str
    sum: tuple[Name, ...] = Field(min_length=1)
    minus: tuple[Name, ...] = ()
    per: tuple[Name, ...] = ()
    optional: tuple[Name, ...] = ()
    """Measures among them that are zero where the source has no such series, such as failures by reason."""
    only: Mapping[str, str] = {}
    """Label to value: of the measures in `sum`, only these series."""
    witness: Name | None = None
    """Its counters are made when the thing first happens: where this measure was taken and they are not there, it is zero."""
    scale: float = 1.0

    @property
    def measures(self) -> tuple[str, ...]:
        return (*self.sum, *self.minus, *self.per)


class QuantityFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    quantities: tuple[Quantity, ...] = Field(min_length=1)


class Quantities(dict[str, Quantity]):
    """By name. The rules of an older bundle may lack one that this version asks about: no source tells it then."""

    def __missing__(self, name: str) -> Quantity:
        return Quantity(quantity=name, says=name.replace("_", " "), unit="", sum=(name,))
