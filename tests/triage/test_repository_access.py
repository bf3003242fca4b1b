"""Whether a user may read what lies in a repository: as the kernel says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from triage.repository.access import RunAs, parse_run_as, refused_to
from triage.repository.model_folder import Entry

MODES = (0o000, 0o400, 0o040, 0o004, 0o600, 0o640, 0o644, 0o755, 0o705, 0o070, 0o500)
IS_ROOT = os.geteuid() == 0
"""Only root may give files to others and become others; anybody else asks about files of its own."""
OWNERS = ((0, 0), (1000, 2000), (3000, 2000), (1000, 0)) if IS_ROOT else ((os.geteuid(), os.getegid()),)
USERS = (
    [RunAs(0), RunAs(1000), RunAs(1000, frozenset([2000])), RunAs(3000, frozenset([4000]))]
    if IS_ROOT
    else [RunAs(os.geteuid(), frozenset(os.getgroups()))]
)
ASKS = """
import os, sys
user, groups, paths = int(sys.argv[1]), [int(g) for g in sys.argv[2].split(",") if g], sys.argv[3:]
if os.geteuid() == 0 and user:
    os.setgroups(groups); os.setgid(groups[0] if groups else 65534); os.setuid(user)
for path in paths:
    try:
        os.listdir(path) and os.stat(path + "/x") if os.path.isdir(path) else open(path).close()
        print("yes")
    except PermissionError:
        print("no")
"""


@pytest.mark.parametrize("run_as", USERS, ids=str)
def test_it_is_what_the_kernel_says(tmp_path: Path, run_as: RunAs) -> None:
    tmp_path.chmod(0o755)
    entries: dict[str, Entry] = {}
    for owner, group in OWNERS:
        for mode in MODES:
            for kind in ("text", "folder"):
                path = tmp_path / f"{owner}-{group}-{mode:04o}-{kind}"
                if kind == "folder":
                    path.mkdir()
                    (path / "x").touch()
                else:
                    path.touch()
                os.chown(path, owner, group)
                path.chmod(mode)
                entries[path.name] = Entry(kind, mode=mode, owner=owner, group=group)
    command = [sys.executable, "-c", ASKS, str(run_as.user), ",".join(map(str, run_as.groups)), *entries]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    told = ["no" if refused_to(entry, run_as) else "yes" for entry in entries.values()]
    assert dict(zip(entries, told, strict=True)) == dict(zip(entries, said, strict=True))


def test_what_may_be_executed_need_not_be_read() -> None:
    assert refused_to(Entry("elf", mode=0o111), RunAs(1000)) == ""
    assert refused_to(Entry("elf", mode=0o100), None) == ""


@pytest.mark.parametrize(
    ("text", "run_as"),
    [("1000", RunAs(1000)), ("0:0", RunAs(0, frozenset([0]))), ("1000:1,2", RunAs(1000, frozenset([1, 2])))],
)
def test_a_user_is_read(text: str, run_as: RunAs) -> None:
    assert parse_run_as(text) == run_as


@pytest.mark.parametrize("text", ["", "triton", "1000:a", "-1", "1000,2000", "99999999999", "١"])
def test_what_is_no_user_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give numbers, such as 1000 or 1000:1000,2000"):
        parse_run_as(text)
