"""What Slack answers when it refuses, as our own errors: the codes that docs.slack.dev/reference/methods names for
chat.postMessage, chat.update and conversations.history, of which a bot can meet these."""

from collections.abc import Mapping

from slack_sdk.errors import SlackApiError

from triage.slack.errors import BadBlocks, CannotEdit, Refused, SlackError, TokenRefused, TryLater

_PATIENCE = ("ratelimited", "rate_limited")
_TOKEN = (
    *("invalid_auth", "not_authed", "token_expired", "token_revoked"),
    *("account_inactive", "not_allowed_token_type"),
)
_LATER = (
    *("service_unavailable", "request_timeout", "fatal_error", "internal_error"),
    *("message_limit_exceeded", "team_added_to_org", "accesslimited", "update_failed"),
)
_UNCLEAR = ("request_timeout", "fatal_error", "internal_error")
_BLOCKS = (
    *("invalid_blocks", "invalid_blocks_format", "msg_too_long", "msg_blocks_too_long", "no_text"),
    *("invalid_metadata_format", "invalid_metadata_schema", "metadata_too_large"),
)
_EDIT = {
    "message_not_found": "the message is not there any more",
    "thread_not_found": "the thread is not there any more",
    "cant_update_message": "Slack does not let the app edit the message",
    "edit_window_closed": "the workspace does not allow to edit messages so old",
}
_GONE = ("message_not_found", "thread_not_found")
_REMEDIES = {
    "not_in_channel": "invite the app: /invite @triton-triage in the channel",
    "channel_not_found": "give the channel's id (C… or G…), and invite the app where the channel is private",
    "is_archived": "give another channel, or take this one out of the archive",
    "restricted_action": "let a workspace owner allow apps to post in the channel",
    "missing_scope": "add the scope to the app as in deploy/slack-manifest.yaml, and install it again",
}


def own_error(error: SlackApiError) -> SlackError:
    """By Slack's code. Nothing of Slack's words but its code, its scope and its complaints on blocks is passed on."""
    answer = error.response
    status = getattr(answer, "status_code", getattr(answer, "status", 0))
    data = getattr(answer, "data", None)
    data = data if isinstance(data, dict) else {}
    code = str(data.get("error", ""))[:80]
    if status == 429 or code in _PATIENCE:
        return TryLater("Slack asks for patience (429)", _seconds(getattr(answer, "headers", {})))
    if status >= 500 or not code:
        return TryLater(f"Slack answered {status}", _seconds(getattr(answer, "headers", {})), unclear=True)
    if code in _LATER:
        return TryLater(f"Slack answered {code}", unclear=code in _UNCLEAR)
    if code in _TOKEN:
        return TokenRefused(f"Slack refused the token: {code}", "put a token that is valid into its file")
    if code in _BLOCKS:
        told = (data.get("response_metadata") or {}).get("messages") or []
        said = "; ".join(str(one)[:200] for one in told[:3])
        return BadBlocks(f"Slack does not take the message: {code}" + (f" ({said})" if said else ""))
    if code in _EDIT:
        return CannotEdit(f"{_EDIT[code]} ({code})", gone=code in _GONE)
    needed = f" {str(data.get('needed', ''))[:80]}" if code == "missing_scope" else ""
    return Refused(
        f"Slack refused: {code}{needed}", _REMEDIES.get(code, f"see {code} in Slack's documentation")
    )


def _seconds(headers: Mapping[str, str]) -> float:
    said = headers.get("Retry-After", "")
    return min(float(said), 3_600.0) if said.replace(".", "", 1).isdigit() else 0.0
