"""When a silent client is asked for a sign of life, and when an idle one is left. Pure."""

from __future__ import annotations

import enum

SILENCE = 30.0
"""Seconds without a word after which a client is asked for a sign of life."""
NO_ANSWER = 15.0
"""Seconds it has to give one."""
FIRST_CALL = 10.0
"""Seconds until the first call must have come."""
IDLE = 300.0
"""Seconds without a call after which the connection ends; a client that wants one connects again."""


class Verdict(enum.Enum):
    """What is to be done about a connection."""

    STAY = enum.auto()
    ASK = enum.auto()
    """Ask for a sign of life."""
    LEAVE = enum.auto()
    """It had its calls, and has none for a while."""
    LEAVE_UNUSED = enum.auto()
    LEAVE_DEAD = enum.auto()


WHY = {Verdict.LEAVE: "", Verdict.LEAVE_UNUSED: "it made no call", Verdict.LEAVE_DEAD: "it gives no sign of life"}
"""What to say of a connection that is left."""


class Attention:
    """What a connection was heard of, and when. `now` is seconds on any clock that only goes forward."""

    def __init__(self, now: float) -> None:
        self._heard = self._idle_since = now
        self._asked: float | None = None
        self._called = False

    def __repr__(self) -> str:
        return f"<Attention heard at {self._heard:.0f}, {'asked' if self._asked is not None else 'not asked'}>"

    def heard(self, now: float) -> None:
        """Bytes came: whoever sends is alive."""
        self._heard, self._asked = now, None

    def called(self) -> None:
        """A call came."""
        self._called = True

    def ended(self, now: float) -> None:
        """A call is over."""
        self._idle_since = now

    def look(self, now: float, *, busy: bool) -> Verdict:
        """What to do now; `busy` while there is a call. It is taken to have been asked where it is to be asked."""
        if not busy and now - self._idle_since > (IDLE if self._called else FIRST_CALL):
            return Verdict.LEAVE if self._called else Verdict.LEAVE_UNUSED
        if self._asked is not None:
            return Verdict.LEAVE_DEAD if now - self._asked > NO_ANSWER else Verdict.STAY
        if now - self._heard > SILENCE:
            self._asked = now
            return Verdict.ASK
        return Verdict.STAY
