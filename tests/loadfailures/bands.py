"""How sure a verdict about a failure may be: the rules of docs/design/triage.md, on the failure's description alone."""

from tests.loadfailures.failure import NOT_A_LOAD_FAILURE, End, Failure, Row
from triage.tree import Confidence

FREE_TEXT = {
    "stub-links-to-absent": "the dynamic linker's words",
    "azure-unreachable": "the C++ runtime's words of an uncaught exception",
    "option-unknown": "getopt's words, before the server logs anything",
    "option-of-another-mode": "the command line's own words, before the server logs anything",
}
"""Whose telling line has no source file of the server, nor the words `error: creating server`."""
ONLY_FITS = {
    "environment-archive-is-a-pointer": "libarchive's open fails in the same words for a file that may not be read",
}
"""Whose telling line is as well said of something else: such a line stays possible whatever else is seen."""


def band_of(failure: Failure, *, index: bool) -> Confidence:
    """By the log, and by the repository index where it is given and there is one."""
    index = index and failure.end is End.SERVING
    nothing_wrong = failure.cause.label == NOT_A_LOAD_FAILURE
    if not (nothing_wrong or failure.log_shows or (index and failure.index_shows)):
        return "cannot_tell"
    if failure.id in ONLY_FITS:
        return "possible"
    seen_twice = index and (
        nothing_wrong or failure.cause.row in (Row.REASON, Row.REFUSED) or _missed(failure)
    )
    gaps = (not seen_twice) + (failure.id in FREE_TEXT)
    bands: tuple[Confidence, ...] = ("confirmed", "likely", "possible")
    return bands[gaps]


def _missed(failure: Failure) -> bool:
    """Triton has a row for whatever it polled well and for whatever it tried to load. So where another model has one, to have none
    shows that this name has no version to load, which is what such a failure is."""
    return failure.cause.row is Row.ABSENT and bool(failure.healthy)
