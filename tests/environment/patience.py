"""A test that hangs fails alone.

pytest-timeout ends a hanging test from a signal handler. Raised in the middle of trio's own loop, that leaves the
loop half alive, and every later test of the run fails too. So an async test is cancelled first, as trio would have
it, by a clock on the wall: a test's own clock may jump. pytest-timeout stays behind for what cannot be cancelled.
"""

from __future__ import annotations

import functools
import threading
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import ParamSpec

import pytest
import trio

P = ParamSpec("P")


def bounded(test: Callable[P, Awaitable[None]], seconds: float) -> Callable[P, Awaitable[None]]:
    """`test`, cancelled and failed with the place where it hung once it has taken `seconds` on the wall."""

    @functools.wraps(test)
    async def run(*args: P.args, **kwargs: P.kwargs) -> None:
        place = ""
        with trio.CancelScope() as scope, _alarm(seconds, scope):
            try:
                await test(*args, **kwargs)
            except BaseException:
                place = traceback.format_exc() if scope.cancel_called else ""
                raise
        if scope.cancelled_caught:
            pytest.fail(f"not done after {seconds:g} s on the wall; it hung here:\n{place}", pytrace=False)

    return run


class _alarm:
    """Cancel `scope` from a thread when time is up, whatever the trio clock says."""

    def __init__(self, seconds: float, scope: trio.CancelScope) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.scope = scope
        self.timer = threading.Timer(seconds, self.ring)
        self.timer.daemon = True

    def ring(self) -> None:
        with suppress(trio.RunFinishedError):
            self.token.run_sync_soon(self.scope.cancel)

    def __enter__(self) -> None:
        self.timer.start()

    def __exit__(self, *reason: object) -> None:
        self.timer.cancel()
