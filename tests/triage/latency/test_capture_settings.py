"""Whose settings are asked for: those of what is served, the model in question first, ensembles with their parts."""

import json
from typing import Any

import aiohttp
import pytest

from tests.triage.latency.peers import Reply, ask, ask_all, peer
from triage.evidence import Facts, IndexRow, Missing, RepositoryIndex
from triage.latency.facts import ModelSettings
from triage.probes.settings import MAX_MODELS, MAX_QUESTIONS, with_settings
from triage.probes.triton_url import triton_questions

INDEX = "POST /v2/repository/index"


def rows(*names: str, state: str = "READY") -> list[dict[str, str]]:
    return [{"name": name, "version": "1", "state": state} for name in names]


def config(name: str, *parts: str) -> Reply:
    steps = [{"model_name": part} for part in parts]
    return Reply(json.dumps({"name": name, "ensemble_scheduling": {"step": steps}}).encode())


async def asked(index: Reply, configs: dict[str, Reply], model: str = "") -> dict[str, Facts | Missing]:
    """What the index and the settings bring, by id."""
    replies = {INDEX: [index]} | {f"GET /v2/models/{path}/config": [reply] for path, reply in configs.items()}
    async with peer(replies) as triton, aiohttp.ClientSession() as session:
        questions = with_settings(triton_questions(triton.url, session), triton.url, session, model=model)
        return await ask_all([each for each in questions if each.id == "index"])


def answered(body: Any) -> Reply:
    return Reply(json.dumps(body).encode())


async def test_each_model_that_is_served_is_asked_about_once_whatever_its_versions() -> None:
    index = answered([*rows("a", "a", "b/c"), {"name": "never"}])
    found = await asked(index, {"a": config("a"), "b%2Fc": config("b/c")})
    assert list(found) == ["index", "settings:a", "settings:b/c"]
    assert found["settings:b/c"] == ModelSettings("b/c")
    assert found["index"] == RepositoryIndex(
        (
            IndexRow("a", "1", "READY"),
            IndexRow("a", "1", "READY"),
            IndexRow("b/c", "1", "READY"),
            IndexRow("never"),
        )
    )


async def test_the_questions_about_models_that_are_not_ready_stay() -> None:
    index = answered(rows("bad", state="LOADING") + rows("ok"))
    async with peer({INDEX: [index]}) as triton, aiohttp.ClientSession() as session:
        plain = triton_questions(triton.url, session)
        more = with_settings(plain, triton.url, session)
        then = [each.id for each in (await ask(more[0])).then]
    assert then == ["readiness:bad", "config:bad/1", "readiness:bad/1", "settings:ok"]
    assert more[1:] == plain[1:]


async def test_of_many_models_the_one_in_question_is_asked_about_with_its_parts() -> None:
    names = [f"m{n:02}" for n in range(MAX_MODELS + 20)]
    configs = {name: config(name) for name in names} | {
        "ensemble": config("ensemble", "part", "m69"),
        "part": config("part", "ensemble"),
    }
    index = answered(rows(*names, "part", "ensemble"))
    found = list(await asked(index, configs, model="ensemble"))
    assert found[:3] == ["index", "settings:ensemble", "settings:m00"]
    assert found[-2:] == ["settings:part", "settings:m69"]
    assert len(found) == 1 + MAX_MODELS + 2


async def test_an_ensemble_of_parts_without_end_ends() -> None:
    endless = config("e", *(f"p{n}" for n in range(150)))
    configs = {"e": endless} | {f"p{n}": config(f"p{n}") for n in range(150)}
    assert len(await asked(answered(rows("e")), configs)) == 1 + MAX_QUESTIONS


async def test_an_index_that_is_refused_raises_nothing() -> None:
    found = await asked(Reply(b"no", 403), {})
    assert list(found) == ["index"]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(b"", 403), "forbidden"),
        (Reply(b'{"error": "unknown model"}', 404), "not_found"),
        (Reply(b"<html>"), "parse_error"),
        (Reply(b"", 500), "refused"),
    ],
)
async def test_a_configuration_that_is_not_given_is_missing_and_never_a_default(
    reply: Reply, reason: str
) -> None:
    missing = (await asked(answered(rows("m")), {"m": reply}))["settings:m"]
    assert isinstance(missing, Missing)
    assert missing.reason == reason


def delay(name: str, microseconds: int) -> Reply:
    batching = {"max_queue_delay_microseconds": microseconds}
    return Reply(json.dumps({"name": name, "dynamic_batching": batching}).encode())


async def twice(indexes: list[Reply], configs: dict[str, list[Reply]]) -> dict[str, Facts | Missing]:
    replies = {INDEX: indexes} | {f"GET /v2/models/{name}/config": each for name, each in configs.items()}
    async with peer(replies) as triton, aiohttp.ClientSession() as session:
        asked = triton_questions(triton.url, session)
        questions = with_settings(asked, triton.url, session, again_after=0.0)
        first, later = [each for each in questions if each.probe == "index"]
        return await ask_all([first]) | await ask_all([later])


async def test_after_the_capture_only_settings_that_are_others_now_are_told_again() -> None:
    index = answered(rows("a", "b"))
    configs = {"a": [delay("a", 0), delay("a", 5000)], "b": [delay("b", 100), delay("b", 100)]}
    found = await twice([index, index], configs)
    assert list(found) == ["index", "settings:a", "settings:b", "index/later", "settings/later:a"]
    assert found["settings/later:a"] == ModelSettings("a", dynamic_batching=True, max_queue_delay_ms=5.0)


async def test_of_a_model_that_came_meanwhile_the_settings_are_told_and_of_one_that_went_none_are_asked() -> (
    None
):
    indexes = [answered(rows("went")), answered(rows("came"))]
    found = await twice(indexes, {"went": [delay("went", 0)], "came": [delay("came", 7000)]})
    assert list(found) == ["index", "settings:went", "index/later", "settings/later:came"]
    assert found["settings/later:came"] == ModelSettings(
        "came", dynamic_batching=True, max_queue_delay_ms=7.0
    )


async def test_settings_that_could_not_be_read_at_first_are_told_later() -> None:
    index = answered(rows("a"))
    found = await twice([index, index], {"a": [Reply(b"", 503), delay("a", 0)]})
    assert isinstance(found["settings:a"], Missing)
    assert found["settings/later:a"] == ModelSettings("a", dynamic_batching=True)


async def test_an_index_that_is_refused_later_is_missing_and_raises_nothing() -> None:
    found = await twice([answered(rows("a")), Reply(b"no", 403)], {"a": [delay("a", 0)]})
    missing = found["index/later"]
    assert isinstance(missing, Missing)
    assert missing.reason == "forbidden"
    assert "settings/later:a" not in found
