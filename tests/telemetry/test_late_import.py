"""Threads that import late do it one after the other: at once, one may be shown half of a module."""

import threading
from pathlib import Path

import pytest

from telemetry.late_import import import_late


def test_a_thread_imports_all_of_a_module_before_another_begins_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    monkeypatch.setattr("builtins.SEEN_BY_LATE_IMPORT", seen, raising=False)
    for name in ("late_a", "late_b"):
        note = f"SEEN_BY_LATE_IMPORT.append({name!r})"
        (tmp_path / f"{name}.py").write_text(f"import time\n{note}\ntime.sleep(0.1)\n{note}\n")
    monkeypatch.syspath_prepend(tmp_path)
    threads = [threading.Thread(target=import_late, args=(name,)) for name in ("late_a", "late_b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen in (["late_a"] * 2 + ["late_b"] * 2, ["late_b"] * 2 + ["late_a"] * 2)
