"""How fast the systems go, and what their windows are: as users have them, or fast, for who only wants to see them run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds. `scrape` and `prometheus` are what is set of those sections of the configuration, beside the address."""

    hpa_sync: float
    prometheus_scrape: float
    scrape: Mapping[str, str] = field(default_factory=dict)
    prometheus: Mapping[str, str] = field(default_factory=dict)
    window: float | None = None
    """Of all signals; None is what ships."""

    def config(self, source: str, prometheus: str) -> dict[str, Any]:
        """Of the daemon, without its targets. `prometheus` is the address."""
        asked = {"url": prometheus, **self.prometheus}
        return {"source": source, "scrape": dict(self.scrape), "prometheus": asked}


DEFAULTS: Final = Pace(hpa_sync=15.0, prometheus_scrape=15.0)
FAST: Final = Pace(
    hpa_sync=1.0,
    prometheus_scrape=1.0,
    scrape={"interval": "1s", "timeout": "800ms"},
    prometheus={"interval": "1s", "scrape_interval": "1s", "timeout": "900ms", "delay": "100ms"},
    window=2.0,
)
