"""The programs' own logs: one JSON object a line on stderr, one event a fact."""

import logging
import sys

import structlog
from structlog.typing import Processor


def configure_logs(*processors: Processor) -> None:
    """Call once, before anything is logged. `processors` see each event last."""
    # aiohttp writes a traceback of many lines for each request that is not HTTP, which anybody who reaches a port can send.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *processors,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def silence_logs() -> None:
    """For a command that tells what happens in its own words."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
