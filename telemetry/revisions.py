"""A workload's rollouts: which pod templates it had, in which order, what differs from each to the next, and when each was rolled
out.

A template that is returned to keeps its object and that object's creation time, and takes the next number (`deployment/undo` in
kubectl, and every tool that applies an old template again). So neither the creation time nor the order of creation tells when the
latest rollout was: `last_rolled_out` says what does."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from telemetry.object_events import ObjectEvent
from telemetry.template_changes import template_changes

Raw = dict[str, Any]


class Template(NamedTuple):
    """A pod template as a rollout made it."""

    number: int
    hash: str
    name: str
    created_at: datetime
    replicas: int
    template: Raw
    """Holds values of environment variables: only `template_changes` may read it."""
    earlier_numbers: tuple[int, ...] = ()


class Sign(NamedTuple):
    """That a template's ReplicaSet, by its name, was being rolled out."""

    name: str
    at: datetime


class Birth(NamedTuple):
    """A pod of a template was made."""

    template: str
    at: datetime


class Revision(msgspec.Struct, frozen=True):
    number: int
    hash: str
    """As the pods' label has it."""
    name: str
    """Of the ReplicaSet or ControllerRevision."""
    created_at: datetime
    rolled_out_at: datetime | None
    """No later than this it was last rolled out; None: it was returned to, and nothing tells when."""
    earlier_numbers: tuple[int, ...]
    """That it had before it was returned to, as far as is known."""
    replicas: int
    changes: tuple[str, ...]
    compared_with: int | None
    """The number that the workload had before; None: no earlier template is kept, so the changes are unknown."""


def revisions_of(
    templates: Sequence[Template], births: Sequence[Birth] = (), signs: Sequence[Sign] = ()
) -> tuple[Revision, ...]:
    ordered = sorted(templates, key=lambda each: (each.number, each.created_at))
    return tuple(
        _revision(each, ordered, last_rolled_out(each, ordered[:index], births, signs))
        for index, each in enumerate(ordered)
    )


def _revision(found: Template, templates: Sequence[Template], rolled_out_at: datetime | None) -> Revision:
    """Compared with what the workload had before, though that may have a higher number by now."""
    lower = {n: each for each in templates for n in (*each.earlier_numbers, each.number) if n < found.number}
    before = max(lower, default=None)
    return Revision(
        number=found.number,
        hash=found.hash,
        name=found.name,
        created_at=found.created_at,
        rolled_out_at=rolled_out_at,
        earlier_numbers=found.earlier_numbers,
        replicas=found.replicas,
        changes=template_changes(lower[before].template, found.template) if before is not None else (),
        compared_with=before,
    )


def last_rolled_out(
    template: Template, lower: Sequence[Template], births: Sequence[Birth], signs: Sequence[Sign]
) -> datetime | None:
    """The earliest sign of its last rollout: its creation, unless it was returned to; then the first pod that it made, event of its
    scaling up or note of its progress since the templates with lower numbers were made. None where there is none."""
    others = max((each.created_at for each in lower), default=template.created_at)
    if not template.earlier_numbers and template.created_at >= others:
        return template.created_at
    seen = [birth.at for birth in births if birth.template == template.hash]
    seen += [sign.at for sign in signs if sign.name == template.name]
    # Times are whole seconds: a sign in the same one may be of the rollout before.
    return min((at for at in seen if at > others), default=None)


def scale_up_signs(event: ObjectEvent) -> list[Sign]:
    """Of `Scaled up replica set NAME from 0 to 2`; the same words again are the same event, with its first and last time."""
    start, _, rest = event.message.partition("Scaled up replica set ")
    if event.reason != "ScalingReplicaSet" or start or not rest:
        return []
    name = rest.split(" ", 1)[0]
    return [Sign(name, event.first_at), Sign(name, event.last_at)]
