"""What the service looks at of its own accord, so that what is wrong with it is told before an incident needs it."""

import asyncio
from collections.abc import Sequence

import structlog

from telemetry.kubernetes_api import KubernetesError, WritableKubernetesApi
from telemetry.listwatch import Backoff
from triage.oncall.rights import Right, missing_rights
from triage.slack.client import SlackClient
from triage.slack.errors import SlackError

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 600.0


class RightsCheck:
    """Says exactly which rights are missing, at start and whenever that changes. `missing` is None while it is not known."""

    def __init__(self, api: WritableKubernetesApi, wanted: Sequence[Right]) -> None:
        self.missing: Sequence[str] | None = None
        self._api = api
        self._wanted = wanted

    @property
    def note(self) -> str:
        """For /readyz?verbose; empty where nothing is missing."""
        if self.missing is None:
            return "not known yet"
        return f"missing: {'; '.join(self.missing)}" if self.missing else ""

    async def run(self) -> None:
        """Runs until cancelled."""
        backoff = Backoff(5.0, 60.0)
        while True:
            try:
                missing = await missing_rights(self._api, self._wanted)
            except KubernetesError as error:
                log.warning("rights_unknown", cause=str(error))
                await asyncio.sleep(backoff.next_seconds())
                continue
            told = [str(right) for right in missing]
            if told != self.missing:
                for right in missing:
                    log.warning("right_missing", right=str(right), without_it=right.why, needed=right.needed)
                if not missing:
                    log.info("rights_complete", count=len(self._wanted))
                self.missing = told
            await asyncio.sleep(_EVERY_SECONDS)


async def check_slack(slack: SlackClient) -> None:
    """Tells a wrong token at start and not with the first incident; runs until cancelled."""
    try:
        log.info("slack_reached", bot=await slack.check())
    except SlackError as error:
        log.warning("slack_not_reached", cause=str(error))
    await asyncio.Event().wait()
