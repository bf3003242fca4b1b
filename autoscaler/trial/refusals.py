"""Why the API server's pod proxy gave no page, in words without what changes from one time to the next. Pure."""

from typing import Final

from telemetry.kubernetes_api import KubernetesError

FORBIDDEN: Final = "no right to get pods/proxy"
BUSY: Final = "the API server is busy"
_CAUSES: Final = (
    "connection refused",
    "i/o timeout",
    "no route to host",
    "connection reset by peer",
    "context deadline exceeded",
    "EOF",
)


def say_refusal(error: KubernetesError) -> str:
    """Why the proxy gave no page, in words without what changes from one time to the next."""
    match error.status:
        case None if error.reason == "TooLarge":
            return "sends more than a page may have"
        case None if "redirect" in str(error):
            return "redirects, which is not followed"
        case None:
            return "the API server does not answer"
        case 401:
            return "the API server does not accept the credentials"
        case 403 if error.reason:
            return FORBIDDEN
        case 429 if error.reason:
            return BUSY
        case 503 if error.reason:
            return f"the API server cannot reach it: {_cause(error.detail)}"
        case status if error.reason:
            return f"the API server answers {status}: {error.detail[:80]}"
        case status:
            return f"answers HTTP {status}"


def _cause(detail: str) -> str:
    """The end of Go's chain of causes, without addresses: `dial tcp 10.0.0.7:8002: connect: connection refused`."""
    return next((cause for cause in _CAUSES if cause in detail), detail.rpartition(": ")[2][:80])
