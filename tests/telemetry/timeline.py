"""A pod's life as pages of its counters, so that a test reads as a timeline."""

from collections.abc import Mapping
from typing import Final

from telemetry.exposition import Series, SeriesTable, parse_exposition
from telemetry.window import Families, PodHistory, PodWindow, RowKey, RowWindow

SUCCESS: Final = "nv_inference_request_success"
FAILURE: Final = "nv_inference_request_failure"
COMPUTE: Final = "nv_inference_compute_infer_duration_us"
PENDING: Final = "nv_inference_pending_request_count"
MEMORY: Final = "nv_gpu_memory_used_bytes"
P99: Final = "nv_inference_request_summary_us"
FAMILIES: Final = Families(
    frozenset({SUCCESS, FAILURE, COMPUTE}), frozenset({PENDING, MEMORY}), frozenset({(P99, "0.99")})
)
WINDOW: Final = 30.0
M: Final = RowKey("m", "1", "")


def model(
    success: float | None = None,
    *,
    name: str = "m",
    failure: float | None = None,
    compute: float | None = None,
    pending: float | None = None,
    more: str = "",
) -> str:
    """The lines of one model; what is None is not shown."""
    shown = {SUCCESS: success, FAILURE: failure, COMPUTE: compute, PENDING: pending}
    labels = f'model="{name}",version="1"{more}'
    return "".join(f"{family}{{{labels}}} {value}\n" for family, value in shown.items() if value is not None)


class Pod:
    """A pod scraped every 5 s with a window of 30 s, unless told otherwise."""

    def __init__(self, born_at: float | None = None, interval: float = 5.0) -> None:
        self.history = PodHistory(FAMILIES, [WINDOW], interval, born_at)
        self.table = SeriesTable(FAMILIES.names())

    def scrape(self, at: float, *lines: str, serving_since: float | None = None) -> PodWindow:
        return self.history.add(at, self.page("".join(lines) or "\n"), serving_since)[WINDOW]

    def scrapes(self, pages: Mapping[float, str]) -> PodWindow:
        """The window after the last of the pages, by second."""
        return [self.scrape(at, page) for at, page in pages.items()][-1]

    def page(self, text: str) -> list[tuple[Series, float]]:
        return parse_exposition(text, self.table)


def rate(row: RowWindow, family: str = SUCCESS) -> float:
    return row.increase[family] / row.seconds
