"""A Prometheus that has known the fleet for as long as anybody asks. Its blocks are made once per machine, by promtool."""

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.fleet import Fleet
from bench.triage.fleet import Pod
from bench.triage.platform_series import gateway_series, platform_series
from bench.triage.text import Text
from bench.triage.triton_series import quiet_triton_series, triton_series
from tests.build_cache import Progress, build_once, cache_folder, content_key
from tests.prometheus.build_tools import PrometheusTools
from tests.prometheus.server import PrometheusServer

DAYS_AGO = (1, 7)
"""Of which the same hours are asked for."""
_BENCH = Path(__file__).parents[1]
_MADE_FROM = (
    "fleet.py",
    "page.py",
    *(f"triage/{name}.py" for name in ("fleet", "history", "platform_series", "text", "triton_series")),
)
_BYTES_A_POD = 25_000_000
"""Of text, which goes when it was read."""


def prometheus_of(fleet: Fleet, tools: PrometheusTools, folder: Path) -> PrometheusServer:
    """To be started; `folder` takes its data."""
    key = content_key((_BENCH / name for name in _MADE_FROM), str(fleet), tools.promtool.parent.name)

    def build(unfinished: Path, progress: Progress) -> None:
        for days in (0, *DAYS_AGO):
            progress.say(f"series of {fleet}, {days} days ago")
            _add_block(unfinished, _series(fleet, days), tools.promtool)

    kept = build_once(cache_folder() / "bench-history" / key, build, needs_bytes=_BYTES_A_POD * fleet.pods)
    shutil.copytree(kept, folder / "data")
    return PrometheusServer(tools, folder)


def _series(fleet: Fleet, days_ago: int) -> Iterator[str]:
    text = Text(days_ago)
    quiet = days_ago > 0
    for number in range(fleet.pods):
        yield from (quiet_triton_series if quiet else triton_series)(text, Pod(number), fleet.models)
    if not quiet:
        yield from platform_series(text, fleet)
    yield from gateway_series(text, fleet, slow=not quiet)
    yield "# EOF\n"


def _add_block(folder: Path, lines: Iterable[str], promtool: Path) -> None:
    written = folder.with_suffix(".txt")
    try:
        with written.open("w") as file:
            file.writelines(lines)
        asked = ["tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=6h", "--quiet"]
        command = [str(promtool), *asked, str(written), str(folder)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    finally:
        written.unlink(missing_ok=True)
    if ended.returncode != 0:
        raise ValueError(f"promtool refused the series: {ended.stderr or ended.stdout}")
