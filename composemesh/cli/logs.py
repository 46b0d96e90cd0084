"""Where the mesh's own log goes: lines of key=value, to a file or to standard error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TextIO, TypeVar

import structlog
import trio

T = TypeVar("T")


def run(function: Callable[..., Awaitable[T]], *arguments: object) -> T:
    """`trio.run` for a command that is no mesh: what the rooms log on the way, it keeps to itself."""
    log_to(sys.stderr, logging.CRITICAL)
    return trio.run(function, *arguments)


def log_to(file: TextIO, level: int = logging.INFO) -> None:
    """Send every log line of this process to `file`. COMPOSEMESH_DEBUG=1 adds the fine print."""
    if os.environ.get("COMPOSEMESH_DEBUG"):
        level = logging.DEBUG
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file),
        cache_logger_on_first_use=False,
    )
    # hypercorn and others speak to the standard library's logging; warnings are what is worth hearing of them.
    logging.basicConfig(
        stream=file, level=logging.WARNING, format="%(asctime)s level=%(levelname)s event=%(message)r", force=True
    )
