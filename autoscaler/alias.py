"""How a model is named in a label selector, where its own name is no label value.

A label value holds at most 63 letters, digits, `-`, `_` and `.`; a Triton model may be called `org/name:v2`. Its *alias* is its
name with every other character turned into `_` (`org_name_v2`), cut to fit. Two models may share an alias, so each has an
*exact alias* too: the same with the first eight hexadecimal digits of its name's SHA-256 (`org_name_v2-4f1c09aa`). A selector
may use either; one that fits several models is refused, and never guessed at.
"""

import hashlib
import re
from functools import lru_cache

from autoscaler.selector import MAX_NAME_CHARS, value_problem

_DIGITS = 8
_NOT_IN_A_LABEL = re.compile(r"[^A-Za-z0-9_.-]")


@lru_cache(maxsize=4096)
def alias_of(model: str) -> str:
    """The label value by which people select this model: its own name where that is one."""
    if model and value_problem(model) is None:
        return model
    plain = _plain(model)
    return plain if plain and len(plain) <= MAX_NAME_CHARS else exact_alias_of(model)


@lru_cache(maxsize=4096)
def exact_alias_of(model: str) -> str:
    """The label value that no other model has."""
    digits = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    begin = _plain(model)[: MAX_NAME_CHARS - _DIGITS - 1].rstrip("-_.")
    return f"{begin}-{digits}" if begin else f"model-{digits}"


@lru_cache(maxsize=4096)
def selectable_names(model: str) -> frozenset[str]:
    """Every label value that selects this model."""
    return frozenset({model, alias_of(model), exact_alias_of(model)})


def _plain(model: str) -> str:
    return _NOT_IN_A_LABEL.sub("_", model).strip("-_.")
