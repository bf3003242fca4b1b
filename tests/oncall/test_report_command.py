"""`triton-triage report NAME` shows what is kept, and says why where there is nothing to show."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.controlplane.control_plane import ControlPlane
from tests.oncall.values import INCIDENT
from triage.oncall.folder_record import FolderRecord
from triage.oncall.incident import Outcome

NAME = INCIDENT.name


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "triage", "report", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


async def kept(folder: Path, **more: Any) -> list[str]:
    await FolderRecord(folder).save(msgspec.structs.replace(INCIDENT, **more))
    return [NAME, "--folder", str(folder)]


async def test_a_report_is_shown_as_the_triage_would_have(tmp_path: Path) -> None:
    outcome = Outcome(at=INCIDENT.opened_at, worked="yes", said="it is back at 280 ms")
    asked = await kept(
        tmp_path, outcome=outcome, bundle="/data/bundles/b.json.gz", failure="no report within 120 s"
    )
    code, out, err = run(*asked)
    assert code == 1
    assert "FIX resnet50" in out
    assert "by TritonModelUnavailable" in err
    assert "did it work? yes: it is back at 280 ms" in err
    assert "triton-triage replay /data/bundles/b.json.gz" in err
    assert "a later triage failed: no report within 120 s" in err
    code, out, _ = run(*asked, "-o", "json")
    assert json.loads(out)["verdict"]["category"] == "runtime_version"
    code, out, _ = run(*asked, "-o", "html")
    assert out.startswith("<!")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"work": "waiting"}, "there is no report yet: it is being looked at"),
        (
            {"work": "failed", "failure": "no report within 120 s"},
            "there is no report: no report within 120 s",
        ),
        (
            {"work": "done", "refused": "deployment/web is gone"},
            "nothing was looked at: deployment/web is gone",
        ),
    ],
)
async def test_where_there_is_none_it_says_why(tmp_path: Path, more: dict[str, Any], says: str) -> None:
    code, out, err = run(*await kept(tmp_path, report=None, **more))
    assert (code, out) == (3, "")
    assert says in err


@pytest.mark.parametrize("name", ["nobody", "../../etc/passwd", "", "x" * 500])
async def test_a_name_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    code, out, err = run(name, "--folder", str(tmp_path))
    assert (code, out) == (3, "")
    assert "no name of an incident" in err or "there is no incident" in err


async def test_a_file_that_is_no_incident_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    code, _, err = run("broken", "--folder", str(tmp_path))
    assert code == 3
    assert "is no incident of this version" in err


@pytest.mark.asyncio(loop_scope="session")
async def test_in_the_cluster_a_name_that_nobody_has_is_told(control_plane: ControlPlane) -> None:
    code, _, err = run("nobody", "-n", "default", "--kubeconfig", str(control_plane.kubeconfig))
    assert code == 3
    assert "there is no triagereport nobody in namespace default" in err


async def test_without_a_cluster_it_says_so(tmp_path: Path) -> None:
    code, _, err = run(NAME, "--kubeconfig", str(tmp_path / "none"))
    assert code == 3
    assert "cannot read the kubeconfig" in err
