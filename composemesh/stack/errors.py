"""What a user did, or has, that keeps a command from doing what it says: one line, never a traceback."""

from __future__ import annotations


class UserError(Exception):
    """The message is one sentence on what is wrong and one on what to do next. The CLI prints it as it stands."""

    exit_code = 1
    """1: the thing asked about is wrong; 2: the call is wrong."""


class CallError(UserError):
    exit_code = 2
