"""How the engine stops a container, and so which signals mean that it is about to end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

FIRST_REALTIME, LAST_REALTIME = 34, 64
SIGNALS = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ABRT": 6,
    "KILL": 9,
    "USR1": 10,
    "USR2": 12,
    "TERM": 15,
    "WINCH": 28,
    "PWR": 30,
    "RTMIN": FIRST_REALTIME,
    "RTMAX": LAST_REALTIME,
    **{f"RTMIN+{offset}": FIRST_REALTIME + offset for offset in range(31)},
    **{f"RTMAX-{offset}": LAST_REALTIME - offset for offset in range(31)},
    **{str(number): number for number in range(1, LAST_REALTIME + 1)},
}
"""How images spell STOPSIGNAL, without SIG, in the numbers of Linux: the engine's, whatever the mesh runs on."""
TERMINATING = frozenset({SIGNALS["INT"], SIGNALS["QUIT"], SIGNALS["KILL"], SIGNALS["TERM"]})
LONGEST_TIMEOUT = 3600.0
"""Seconds beyond which a stop timeout means "for ever", and no longer says when to give up on a container's end."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A container's STOPSIGNAL and stop timeout (Compose's stop_signal and stop_grace_period)."""

    signal: int = SIGNALS["TERM"]
    timeout: float = 10.0
    """Seconds before the engine kills what the signal did not end."""

    @classmethod
    def of(cls, signal: object, timeout: object) -> Self:
        """Read Config.StopSignal and Config.StopTimeout of an inspected container; Docker's defaults where unsaid."""
        seconds = min(timeout, LONGEST_TIMEOUT) if type(timeout) is int and timeout >= 0 else cls().timeout
        return cls(signal_number(signal) or cls().signal, seconds)

    def ends_with(self, signal: int) -> bool:
        """Whether the signal is meant to end the container, rather than to tell it something."""
        return signal == self.signal or signal in TERMINATING


DEFAULT_STOP = Stop()


def signal_number(said: object) -> int:
    """The number of `15`, `TERM`, `SIGTERM` or `SIGRTMIN+3`; 0 for what names no signal."""
    return SIGNALS.get(said.upper().removeprefix("SIG"), 0) if isinstance(said, str) else 0
