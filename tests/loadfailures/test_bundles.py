"""Saved incidents of real failures: they replay to the same bytes, move when their evidence is deleted, and hold no secret."""

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from telemetry.rules_dir import rules_dir
from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, Failure, load_refused
from tests.loadfailures.failures import FAILURES
from tests.loadfailures.outcomes import Outcomes
from tests.loadfailures.run_failure import run_failure
from tests.tritons.install import TritonInstall
from triage.build_report import build_report
from triage.bundle import save_bundle
from triage.evidence import Evidence, LogExcerpt, LogLine, RepositoryIndex, Snapshot
from triage.look import Sources, look
from triage.render_json import render_json
from triage.render_text import render_text
from triage.report import Report
from triage.rules import rules_from_folder, seals_from_folder
from triage.walk import BANDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHECKOUT = Path(__file__).parents[2]
REPLAYED = FAILURES[::25]
SECRETS = {
    "a token of a model hub": "hf_" + "Qw7Rt2Yp9Lk4Jh6Gf1Ds8Ax3Zc5Vb0Nm2E",
    "a password in an address": "tr0ub4dor-and-3",
    "a key in a cloud's variable": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzKEYAbC9d",
    "a bearer token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ0cml0b24ifQ.c2lnbmF0dXJlLW9mLXRoaXM",
}


@pytest.mark.parametrize("failure", REPLAYED, ids=str)
async def test_a_bundle_replays_offline_to_the_same_bytes(
    failure: Failure, outcomes: Outcomes, tmp_path: Path
) -> None:
    """In another process, folder and environment."""
    seen = await outcomes[failure.id]
    bundle = tmp_path / "incident.json.gz"
    await asyncio.to_thread(save_bundle, bundle, seen.snapshot, seen.rules)
    report = seen.report()
    for output, said in (("json", render_json(report)), ("text", render_text(report))):
        replayed = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "triage", "replay", str(bundle), "-o", output],
            cwd=tmp_path,
            env={"PYTHONPATH": str(CHECKOUT), "COLUMNS": "40", "TZ": "Asia/Tokyo", "LC_ALL": "C"},
            capture_output=True,
            check=False,
        )
        assert (replayed.stdout.decode(), replayed.stderr) == (said, b"")


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.log_shows], ids=str)
async def test_without_its_telling_lines_the_verdict_moves(failure: Failure, outcomes: Outcomes) -> None:
    """What is left names another cause, or none, or is less sure."""
    seen = await outcomes[failure.id]
    before = seen.report()
    if before.verdict.category == NOT_A_LOAD_FAILURE:
        return
    snapshot, removed = seen.snapshot, 0
    while (line := (report := build_report(snapshot, seen.rules)).verdict.root_line) and same(before, report):
        snapshot = without(snapshot, line)
        removed += 1
        assert removed < 50, "lines are removed, and the verdict stands"
    assert not same(before, report)


@pytest.mark.parametrize("failure", [f for f in FAILURES if f.log_shows and f.index_shows], ids=str)
async def test_without_its_second_source_the_verdict_is_less_sure(
    failure: Failure, outcomes: Outcomes
) -> None:
    seen = await outcomes[failure.id]
    both, alone = seen.report(), seen.report(lambda evidence: evidence.probe == "log")
    if both.verdict.confidence == "confirmed":
        assert BANDS.index(alone.verdict.confidence) > BANDS.index(both.verdict.confidence)


@pytest.mark.parametrize("failure", FAILURES, ids=str)
async def test_nothing_in_a_real_log_is_taken_for_a_secret(failure: Failure, outcomes: Outcomes) -> None:
    assert [e.id for e in (await outcomes[failure.id]).snapshot.evidence if e.masked] == []


async def test_secrets_that_a_model_prints_reach_no_bundle_and_no_report(
    triton_install: TritonInstall, tmp_path: Path
) -> None:
    """The model's exception holds them, so they are in the log, in the index's reason and in the table of models."""
    rules, make_seal = rules_from_folder(rules_dir(), "load-failure"), seals_from_folder(rules_dir())
    async with run_failure(triton_install, leaking(), tmp_path / "leaking") as failed:
        log = await asyncio.to_thread(failed.log.read_text)
        assert [kind for kind, secret in SECRETS.items() if secret not in log] == []
        snapshot = await look(Sources(log=str(failed.log), triton=failed.url), "", rules, make_seal)
    bundle = tmp_path / "incident.json"
    await asyncio.to_thread(save_bundle, bundle, snapshot, rules)
    report = build_report(snapshot, rules)
    told = "".join((await asyncio.to_thread(bundle.read_text), render_json(report), render_text(report)))
    assert [kind for kind, secret in SECRETS.items() if secret in told] == []
    assert report.masked >= 2 * len(SECRETS)
    assert tuple(word for word in ("tokenizer", "eos_token_id", "max_tokens") if f"{word}=128" in told) == (
        "tokenizer",
        "eos_token_id",
        "max_tokens",
    )
    assert report.verdict.category == "model_code"


def leaking() -> Failure:
    token, password, key, bearer = SECRETS.values()
    message = (
        f"cannot fetch: HF_TOKEN={token} from https://reader:{password}@models.example/ "
        f"AWS_SECRET_ACCESS_KEY={key} Authorization: Bearer {bearer} "
        "with tokenizer=128 eos_token_id=128 max_tokens=128"
    )
    code = (
        "class TritonPythonModel:\n"
        f"    def initialize(self, arguments):\n        raise ValueError({message!r})\n"
        "    def execute(self, requests):\n        return []\n"
    )
    return Failure(
        id="leaking",
        broken="Its exception tells secrets.",
        cause=load_refused("model_code", "leaking", "Internal: ValueError"),
        files={"models/leaking/config.pbtxt": 'backend: "python"\n', "models/leaking/1/model.py": code},
    )


def same(one: Report, other: Report) -> bool:
    return (one.verdict.category, one.verdict.confidence, one.verdict.model) == (
        other.verdict.category,
        other.verdict.confidence,
        other.verdict.model,
    )


def without(snapshot: Snapshot, line: str) -> Snapshot:
    """The snapshot without this line, in the log and in the index."""
    return msgspec.structs.replace(snapshot, evidence=tuple(_without(snapshot.evidence, line)))


def _without(evidence: Iterable[Evidence], line: str) -> Iterable[Evidence]:
    for item in evidence:
        match item.facts:
            case LogExcerpt(lines=lines):
                kept: tuple[LogLine, ...] = tuple(each for each in lines if each.text.strip() != line.strip())
                yield msgspec.structs.replace(item, facts=msgspec.structs.replace(item.facts, lines=kept))
            case RepositoryIndex(rows=rows):
                cleaned = tuple(
                    msgspec.structs.replace(row, reason=row.reason.replace(line, "")) for row in rows
                )
                yield msgspec.structs.replace(item, facts=RepositoryIndex(cleaned))
            case _:
                yield item
