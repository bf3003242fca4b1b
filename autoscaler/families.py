"""How a signal's row names what it reads of a page."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

_FAMILY: Final = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_ONE_SERIES: Final = re.compile(_FAMILY + r'(\{[a-zA-Z_][a-zA-Z0-9_]*="[^"{}=,]*"\})?')


def _family(text: str) -> str:
    if not _ONE_SERIES.fullmatch(text):
        told = 'of a gauge the series with one label: family{label="value"}'
        raise ValueError(f"expected a metric family, such as nv_inference_count, or {told}")
    return text


def _whole_family(text: str) -> str:
    if not re.fullmatch(_FAMILY, text):
        raise ValueError("expected a metric family without labels, such as nv_inference_count")
    return text


def _buckets(text: str) -> str:
    if not text.endswith("_bucket"):
        raise ValueError("expected the name of the histogram's buckets, which ends with _bucket")
    return text


def _share(value: object) -> str:
    try:
        known = 0 < float(str(value)) < 1
    except ValueError:
        known = False
    if not known:
        raise ValueError('expected a quantile between 0 and 1 as the page shows it, such as "0.99"')
    return str(value)


Family = Annotated[str, AfterValidator(_family)]
"""A family, or of a gauge's family the series with one label: `family{label="value"}`."""
WholeFamily = Annotated[str, AfterValidator(_whole_family)]
Buckets = Annotated[WholeFamily, AfterValidator(_buckets)]
"""Of a histogram."""
QuantileLabel = Annotated[str, BeforeValidator(_share)]
"""Of a summary's series."""
