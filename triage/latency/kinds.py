"""The kinds of test that a tree of latency may ask, as they are written in `rules/trees/p99.yaml`; what they answer is in
`answers.py`."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from telemetry.durations import Seconds

Of = Literal["model", "others", "all"]
"""The model in question, the other models of the same servers, or everything. What has no model label is everything's."""
By = Literal["pod", "node", "version", "model", "revision", "gpu"]
ChangeKind = Literal[
    "rollout",
    "repository",
    "load",
    "unload",
    "scale",
    "restart",
    "node",
    "readiness",
    "backend_death",
    "out_of_memory",
]


class _Test(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Answered(_Test):
    """Did any of these probes answer?"""

    kind: Literal["answered"]
    probes: tuple[str, ...] = Field(min_length=1)


class Shift(_Test):
    """Did the quantity move between before and during? `flat` is yes where it surely did not move either way."""

    kind: Literal["shift"]
    quantity: str
    to: Literal["up", "down", "flat"]
    ratio: float = Field(default=1.3, gt=1)
    least: float = Field(default=0.0, ge=0)
    """In the quantity's unit: a smaller difference is none."""
    of: Of = "model"


class Level(_Test):
    """Does the quantity stand over or under a value?"""

    kind: Literal["level"]
    quantity: str
    stat: Literal["median", "max", "min"] = "median"
    over: float | None = None
    under: float | None = None
    when: Literal["before", "during", "ever"] = "during"
    of: Of = "model"

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.over is None) == (self.under is None):
            raise ValueError("give either 'over' or 'under'")
        return self


class Part(_Test):
    """Has the quantity at least this share of the increase of the time per request?"""

    kind: Literal["part"]
    quantity: str
    over: float = Field(gt=0, le=1)


class Split(_Test):
    """Did some groups move and others not (`some`), or all (`all`)?"""

    kind: Literal["split"]
    quantity: str
    by: By
    moved: Literal["some", "all"]
    to: Literal["up", "down"] = "up"
    ratio: float = Field(default=1.5, gt=1)
    least: float = Field(default=0.0, ge=0)


class Skew(_Test):
    """Does the largest group stand over this multiple of the median group, while it lasts?"""

    kind: Literal["skew"]
    quantity: str
    by: By
    over: float = Field(gt=1)


class Change(_Test):
    """Was something of this kind changed at most so long before the onset?"""

    kind: Literal["change"]
    what: tuple[ChangeKind, ...] = Field(min_length=1)
    within: Seconds


class Setting(_Test):
    """Does the model's configuration set this field of `ModelSettings`?"""

    kind: Literal["setting"]
    field: Literal[
        "dynamic_batching",
        "max_queue_delay_ms",
        "max_queue_size",
        "queue_timeout_ms",
        "preserve_ordering",
        "priority_levels",
        "sequence_batching",
        "response_cache",
        "parts",
        "decoupled",
    ]


class Predicate(_Test):
    """A question that needs more than the others can say: a function of this name in `predicates.py`."""

    kind: Literal["predicate"]
    name: str


LatencyTests = Answered | Shift | Level | Part | Split | Skew | Change | Setting | Predicate
