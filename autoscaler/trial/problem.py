"""Why a look at a fleet ends without one, for a person: what is wrong, and what to do."""


class TrialError(Exception):
    """Nobody could look: the message says what to do. `usage`: the command itself was wrong."""

    def __init__(self, message: str, *, usage: bool = False) -> None:
        super().__init__(message)
        self.usage = usage
