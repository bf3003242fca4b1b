"""What a Triton serves, in one look: its repository index, and the configuration of each model that is ready. Read-only.

API: triton-inference-server/server:docs/protocol/extension_model_repository.md, extension_model_configuration.md."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from triage.evidence import Missing, RepositoryIndex
from triage.probes.http_answer import error_of, read_answer
from triage.probes.triton_url import triton_questions
from triage.repository.configuration import fingerprint_config
from triage.repository.fingerprints import Config
from triage.seal import Seal

INDEX_SECONDS = 5.0
CONFIG_SECONDS = 5.0
ALL_CONFIGS_SECONDS = 20.0
MAX_MODELS = 500
"""So many models' configurations are kept."""
_AT_ONCE = 8
_MAX_REASON = 120


@dataclass(frozen=True, slots=True)
class Served:
    """Texts are sealed; see `Look` for the parts."""

    index: Mapping[str, Mapping[str, str]] | None = None
    configs: Mapping[str, Config] = field(default_factory=dict)
    hidden: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    unknown: Mapping[str, str] = field(default_factory=dict)


class ServedModels:
    """Asks the Triton at `url`, which `check_url` gave."""

    def __init__(self, url: str, session: aiohttp.ClientSession, make_seal: Callable[[], Seal]) -> None:
        self._url = url
        self._session = session
        self._make_seal = make_seal
        self._read: dict[str, tuple[str, Config, dict[str, str]]] = {}
        """By model, the last answer's hash and what was made of it: to seal an answer takes longer than to get it."""

    async def look(self) -> Served:
        """What it serves now, within half a minute; what it does not tell is unknown."""
        index = await self._index()
        if isinstance(index, Missing):
            return Served(unknown={"index": self._sealed(index.detail), "configs": "the index is unknown"})
        if index.error:
            return Served(unknown={"index": self._sealed(index.error), "configs": "the index is unknown"})
        told: dict[str, dict[str, str]] = {}
        ready: dict[str, str] = {}
        for row in index.rows:
            shown = self._sealed(row.name)
            versions = told.setdefault(shown, {})
            if row.version:
                reason = f": {row.reason[:_MAX_REASON]}" if row.reason else ""
                versions[self._sealed(row.version)] = self._sealed(f"{row.state}{reason}")
            if row.state == "READY":
                ready[row.name] = shown
        return await self._configs(told, ready)

    async def _index(self) -> RepositoryIndex | Missing:
        asked = next(each for each in triton_questions(self._url, self._session) if each.id == "index")
        try:
            async with asyncio.timeout(INDEX_SECONDS):
                found = (await asked.ask(self._make_seal())).facts
        except TimeoutError:
            found = Missing("timeout", f"no answer within {INDEX_SECONDS:g} s", asked.on_timeout)
        if isinstance(found, RepositoryIndex | Missing):
            return found
        return Missing("parse_error", "the answer is no repository index", asked.on_timeout)

    async def _configs(self, index: dict[str, dict[str, str]], ready: Mapping[str, str]) -> Served:
        unknown: dict[str, str] = {}
        configs: dict[str, Config] = {}
        hidden: dict[str, Mapping[str, str]] = {}
        gate = asyncio.Semaphore(_AT_ONCE)

        async def ask(model: str, shown: str) -> None:
            async with gate:
                got = await self._config(model)
            if isinstance(got, Missing):
                unknown[f"config {shown}"] = self._sealed(got.detail)
            else:
                configs[shown], hidden[shown] = got

        names = sorted(ready)
        try:
            async with asyncio.timeout(ALL_CONFIGS_SECONDS), asyncio.TaskGroup() as group:
                for model in names[:MAX_MODELS]:
                    group.create_task(ask(model, ready[model]))
        except TimeoutError:
            for model in names[:MAX_MODELS]:
                if ready[model] not in configs:
                    unknown.setdefault(f"config {ready[model]}", f"not told within {ALL_CONFIGS_SECONDS:g} s")
        for model in names[MAX_MODELS:]:
            unknown[f"config {ready[model]}"] = f"one of more than {MAX_MODELS} models"
        if names and not configs:
            whys = [unknown[key] for key in unknown if key.startswith("config ")]
            unknown |= {"configs": whys[0]} if whys else {}
        self._read = {model: kept for model, kept in self._read.items() if model in ready}
        return Served(index, configs, hidden, unknown)

    async def _config(self, model: str) -> tuple[Config, dict[str, str]] | Missing:
        url = f"{self._url}/v2/models/{quote(model, safe='')}/config"
        what = f"the configuration of {model}"
        answer = await read_answer(self._session, url, seconds=CONFIG_SECONDS, what=what, remedy="")
        if isinstance(answer, Missing):
            return answer
        if answer.status != 200:
            said = f"{what}: HTTP {answer.status} {error_of(answer.body)}".strip()
            return Missing("refused", said, "")
        digest = hashlib.sha256(answer.body).hexdigest()
        kept = self._read.get(model)
        if kept is None or kept[0] != digest:
            try:
                made = await asyncio.to_thread(fingerprint_config, answer.body, self._value)
            except ValueError as error:
                return Missing("parse_error", f"{what}: {error}", "")
            kept = self._read[model] = (digest, *made)
        return kept[1], kept[2]

    def _value(self, value: Any) -> Any:
        return self._make_seal().value(value)

    def _sealed(self, text: str) -> str:
        return str(self._value(text))
