"""stand-in until the real one is merged"""

from triage.seal import Seal


class _R:
    masked = 0

    def line(self, t):
        return t

    def value(self, v):
        return v


def make_seal():
    return lambda: Seal(_R())
