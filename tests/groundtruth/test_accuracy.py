"""Each signal as the program gives it, against what really happened; `make groundtruth` plays more, beside NVIDIA's rules.

`pytest -s tests/groundtruth` shows the table. Why each tolerance is what it is stands in `truth.py`."""

from dataclasses import replace
from pathlib import Path

from tests.groundtruth.compare import compare_all, silences
from tests.groundtruth.fleet import play
from tests.groundtruth.report import report
from tests.groundtruth.scenario import steady
from tests.tritons.install import TritonInstall

SHORT = replace(steady("20/s, 1 pod, short", 20, 40, seconds=25), window=10.0, interval=1.0)


async def test_every_signal_under_a_steady_load(triton_install: TritonInstall, tmp_path: Path) -> None:
    """Every answer at every moment is right, from the first."""
    run = await play(SHORT, triton_install, tmp_path)
    assert not silences(run)
    assert report(run, compare_all(run)) == []
