"""What each failure's real server showed, and what triage collected from it while it was there: every failure is run once."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from telemetry.rules_dir import rules_dir
from tests.loadfailures.failure import Failure
from tests.loadfailures.run_failure import Failed, run_failure
from tests.tritons.install import TritonInstall
from triage.build_report import build_report
from triage.evidence import Evidence, Snapshot
from triage.look import Sources, look
from triage.report import Report
from triage.repository.backends import load_backends
from triage.rules import Rules, rules_from_folder, seals_from_folder
from triage.seal import Seal

AT_ONCE = 2
"""Servers that run side by side: one a core of the smallest machine that the tests run on."""


@dataclass(frozen=True)
class Seen:
    failed: Failed
    log: str
    snapshot: Snapshot
    """By log and, where the server answers, by its URL."""
    repository: Snapshot
    """By the model repository alone."""
    rules: Rules
    make_seal: Callable[[], Seal]

    def report(self, keep: Callable[[Evidence], bool] = lambda evidence: True) -> Report:
        """The report on the evidence that is kept."""
        kept = tuple(evidence for evidence in self.snapshot.evidence if keep(evidence))
        return build_report(
            Snapshot(
                asked=self.snapshot.asked,
                collected_at=self.snapshot.collected_at,
                took_seconds=self.snapshot.took_seconds,
                evidence=kept,
            ),
            self.rules,
        )


Outcomes = dict[str, "asyncio.Task[Seen]"]


def start(failures: list[Failure], install: TritonInstall, folder: Path) -> Outcomes:
    """A task for each failure, so that the next servers run while a test waits for its own."""
    turns, rules = asyncio.Semaphore(AT_ONCE), rules_from_folder(rules_dir(), "load-failure")
    make_seal, backends = seals_from_folder(rules_dir()), load_backends(rules_dir())

    async def see(failure: Failure) -> Seen:
        async with turns, run_failure(install, failure, folder / failure.id) as failed:
            sources = Sources(log=str(failed.log), triton=failed.url)
            snapshot = await look(sources, "", rules, make_seal)
            files = Sources(repository=str(folder / failure.id / failure.repository), backends=backends)
            repository = await look(files, "", rules, make_seal)
            log = failed.log.read_text(errors="replace")
            return Seen(failed, log, snapshot, repository, rules, make_seal)

    return {failure.id: asyncio.create_task(see(failure)) for failure in failures}
