"""The settings of the models that a Triton serves, each from its configuration as the server has it."""

import asyncio
import shlex
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import aiohttp
from yarl import URL

from triage.collect import Found, Question
from triage.evidence import Facts, Missing, RepositoryIndex
from triage.latency.facts import ModelSettings
from triage.latency.looked_again import LATER_INDEX, LATER_SETTINGS
from triage.latency.model_settings import parse_model_settings
from triage.probes.http_answer import error_of, read_answer, without_credentials
from triage.seal import Seal

MAX_MODELS = 50
"""So many served models are asked about: the one in question first."""
MAX_QUESTIONS = 100
"""With the parts of ensembles, so many at most."""
_READ_SECONDS = 3.0
_AGAIN_SECONDS = 7.0
"""For all of it a second time."""
_AT_ONCE = 8
_UNANSWERED = "is this Triton's HTTP port, and does the process still answer? look at its CPU and threads"


def with_settings(
    questions: Sequence[Question],
    url: str,
    session: aiohttp.ClientSession,
    *,
    subject: str = "",
    model: str = "",
    again_after: float | None = None,
) -> list[Question]:
    """The questions of `triton_questions`; that for the index raises one for the settings of each model that it says is READY, and
    they for those of an ensemble's parts. `again_after`: so many seconds later all of it is asked again, which raises an answered
    question for the settings of each model that were others before."""
    settings = _Settings(url, session, subject, model)
    asked = [settings.following(each) if each.id == "index" else each for each in questions]
    if again_after is not None:
        asked += [settings.again(each, again_after) for each in questions if each.id == "index"]
    return asked


def _path(model: str) -> str:
    return f"/v2/models/{quote(model, safe='')}/config"


class _Settings:
    def __init__(self, url: str, session: aiohttp.ClientSession, subject: str, model: str) -> None:
        self._url = url
        self._shown = without_credentials(url).rstrip("/")
        user = URL(url).user
        self._curl = f"curl -s -u {shlex.quote(user)}" if user else "curl -s"  # it asks for the password
        self._session = session
        self._subject = subject
        self._model = model
        self._asked: set[str] = set()
        self._served: set[str] = set()
        self._first: dict[str, ModelSettings] = {}

    def following(self, index: Question) -> Question:
        async def ask(seal: Seal) -> Found:
            found = await index.ask(seal)
            if not isinstance(found.facts, RepositoryIndex):
                return found
            served = dict.fromkeys(row.name for row in found.facts.rows if row.state == "READY")
            self._served = set(served)
            order = sorted(served, key=lambda name: name != self._model)
            return Found(found.facts, [*found.then, *self._about(order[:MAX_MODELS])])

        return replace(index, ask=ask)

    def again(self, index: Question, seconds: float) -> Question:
        async def ask(seal: Seal) -> Found:
            await asyncio.sleep(seconds)
            found = await index.ask(seal)
            if not isinstance(found.facts, RepositoryIndex):
                return Found(found.facts)
            served = {row.name for row in found.facts.rows if row.state == "READY"}
            new = served - self._served
            models = sorted(served & self._asked | new)[:MAX_QUESTIONS]
            gate = asyncio.Semaphore(_AT_ONCE)

            async def read(model: str) -> Facts | Missing:
                async with gate:
                    return (await self._settings(model, _path(model))).facts

            answers = await asyncio.gather(*map(read, models))
            told = zip(models, answers, strict=True)
            return Found(
                found.facts,
                [
                    self._answered(model, facts)
                    for model, facts in told
                    if isinstance(facts, ModelSettings) and facts != self._first.get(model)
                ],
            )

        return replace(
            index,
            id=LATER_INDEX,
            query=f"{index.query}, {seconds:g} s later",
            ask=ask,
            patience=seconds + _AGAIN_SECONDS,
        )

    def _answered(self, model: str, facts: Facts) -> Question:
        async def known(seal: Seal) -> Found:
            return Found(facts)

        return replace(self._question(model), id=f"{LATER_SETTINGS}{model}", ask=known)

    def _about(self, models: Sequence[str]) -> list[Question]:
        new = [model for model in models if model not in self._asked][: MAX_QUESTIONS - len(self._asked)]
        self._asked.update(new)
        return [self._question(model) for model in new]

    def _question(self, model: str) -> Question:
        path = _path(model)

        async def ask(seal: Seal) -> Found:
            found = await self._settings(model, path)
            if isinstance(found.facts, ModelSettings):
                self._first[model] = found.facts
            return found

        return Question(
            id=f"settings:{model}",
            probe="settings",
            source=f"Triton at {self._shown}",
            query=f"GET {path}",
            command=f"{self._curl} {shlex.quote(self._shown + path)}",
            ask=ask,
            subject=self._subject,
            on_timeout=_UNANSWERED,
        )

    async def _settings(self, model: str, path: str) -> Found:
        what = f"the configuration of {model}"
        answer = await read_answer(
            self._session, self._url + path, seconds=_READ_SECONDS, what=what, remedy=_UNANSWERED
        )
        if isinstance(answer, Missing):
            return Found(answer)
        said = f"{what}: HTTP {answer.status} {error_of(answer.body)}".strip()
        match answer.status:
            case 200:
                try:
                    settings = parse_model_settings(answer.body)
                except ValueError as error:
                    return Found(
                        Missing("parse_error", str(error), "give the address of Triton's HTTP port (8000)")
                    )
                return Found(settings, self._about(settings.parts))
            case 401 | 403:
                remedy = "ask from where --http-restricted-api lets you, or through the pod's own port"
                return Found(Missing("forbidden", said, remedy))
            case 400 | 404 | 503:  # the last version was unloaded since the index was asked
                return Found(Missing("not_found", said, "ask again: is the model still served?"))
            case _:
                return Found(Missing("refused", said, "is this Triton's HTTP port?"))
