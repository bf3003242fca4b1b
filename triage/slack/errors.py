"""What Slack can refuse, in our own words: the caller decides by what to do next and not by Slack's hundred codes.

No message has a token in it, and none has a traceback; the cause is not chained, for slack_sdk's errors carry the whole request."""


class SlackError(Exception):
    """The message says what happened."""

    def __init__(self, why: str, remedy: str = "") -> None:
        super().__init__(f"{why}; {remedy}" if remedy else why)
        self.why = why
        self.remedy = remedy


class TryLater(SlackError):
    """Slack is away, slow, or asks for patience. `unclear`: what was asked may have been done all the same."""

    def __init__(self, why: str, seconds: float = 0.0, *, unclear: bool = False) -> None:
        super().__init__(why)
        self.seconds = seconds
        """How long Slack asks to wait; 0 where it did not say."""
        self.unclear = unclear


class TokenRefused(SlackError):
    """The token is not there, or Slack takes it no more."""


class BadBlocks(SlackError):
    """Slack does not take the message as it is made: its blocks, or its length."""


class Refused(SlackError):
    """Nobody but a person can change it: the app is not in the channel, a right is missing."""


class CannotEdit(SlackError):
    """The message is gone, or may not be edited any more. `gone`: it is not there."""

    def __init__(self, why: str, *, gone: bool) -> None:
        super().__init__(why)
        self.gone = gone


class CannotLook(SlackError):
    """What stands in the channel cannot be read, so nobody knows whether a message is there."""
