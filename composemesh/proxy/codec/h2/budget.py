"""How much work a peer may cause for nothing. h2 counts none of it, so every flood would run for ever.

Two accounts. *Noise* pays for frames that bring no request on: settings, pings, priorities, window updates, empty
data, frames of unknown types. *Broken* pays for requests that come to nothing: rapid reset, its variant where the
server is made to do the resetting, malformed heads, streams beyond the limit. Useful work and, more slowly, time fill
them up again, so that whoever also does what a connection is for never notices them.

Until an account is empty there is work, and others wait for it. So it is done in *turns* of a certain size.
"""

from __future__ import annotations

from composemesh.proxy.codec.h2.frames import Code
from composemesh.proxy.codec.h2.limits import H2Limits

TINY = 5
"""Bytes of payload below which a client's DATA frame is noise: a gRPC message has five before its first. A server may
answer in crumbs, as one does that is asked for the words of a language model."""
WHOLE = 1024
"""Bytes from which on a DATA frame of ours is worth its headers, though the peer's window cut it short."""
TURN = 320
"""Work that is done for a client before others get their turn, in units of about two microseconds."""
ANSWERS_TURN = 2000
"""The same for a server: many of our callers wait for what it says, and what it says at once goes on at once."""
SMALL_TURN = 100
"""The same for either, once more than MOST_WASTED of an account is spent."""
MOST_WASTED = 0.1
PROVEN = 50
"""Requests that must have come to something before their client is taken for one that means them."""
PIECES_A_PROOF = 8
"""Pieces of answers that count as one such request: a conversation may have no end."""
FIRST_TURN = 40
"""Work that is done for it until then, before others get their turn: a greeting and a request."""
FIRST_WASTED = 0.05
"""And what it may spend of an account until then, before it counts as one that wastes."""
WORK = (3, 12, 1, 1, 1, 1, 1, 1, 1, 1)
"""What a frame of each type takes: to be read, a piece of a body also to be passed on, and HEADERS to begin an
exchange or to end it."""
JUDGING = 12
"""What h2 takes to judge a frame."""
JUDGED = 4
"""What such a frame takes of an account, where another takes one."""
PIECE = 8
"""Bytes of payload that take as long as a frame, where they are looked at."""
_NOISE_A_SECOND = 200
_BROKEN_A_SECOND = 20
_FOR_A_BODY_SENT = 3
_FOR_A_REQUEST = 8


class Violation(Exception):
    """The peer did what ends its connection."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Budget:
    """The accounts of one connection."""

    __slots__ = (
        *("_enough_broken", "_enough_noise", "_full_turn", "_last", "_least", "_most_broken", "_most_noise"),
        *("_pieces", "_proofs", "broken", "noise", "proven"),
    )

    def __init__(self, limits: H2Limits, *, client: bool) -> None:
        self._least = 1 if client else TINY
        """Bytes of payload from which on a DATA frame brings something."""
        self._most_noise = self.noise = limits.noise
        self._most_broken = self.broken = limits.broken
        self._last = 0.0
        self.proven = client  # whoever calls a server means it to answer
        """Whether the peer may be taken for one that means what it asks for."""
        self._proofs = 0
        """Requests that have come to something, until enough have."""
        self._pieces = 0
        """Pieces of answers that have been sent, until then."""
        self._full_turn = ANSWERS_TURN if client else FIRST_TURN
        self._wastes_below(MOST_WASTED if client else FIRST_WASTED)

    def __repr__(self) -> str:
        return f"<Budget: noise {self.noise}/{self._most_noise}, broken {self.broken}/{self._most_broken}>"

    @property
    def wasteful(self) -> bool:
        """Whether so much was wasted lately that nobody else should have to wait for more of it."""
        return self.noise < self._enough_noise or self.broken < self._enough_broken

    @property
    def turn(self) -> int:
        """How much work to do before others get their turn."""
        return min(SMALL_TURN, self._full_turn) if self.wasteful else self._full_turn

    def _wastes_below(self, most_wasted: float) -> None:
        self._enough_noise = int(self._most_noise * (1 - most_wasted))
        self._enough_broken = int(self._most_broken * (1 - most_wasted))

    def at(self, now: float) -> None:
        """Time has passed: seconds of any clock that only goes forward."""
        passed = now - self._last
        if passed >= 1.0:
            if self._last:
                self._earn(int(passed * _NOISE_A_SECOND), int(passed * _BROKEN_A_SECOND))
            self._last = now

    def spend_noise(self, what: str, frames: int = 1) -> None:
        """Raises Violation when there is nothing left to spend."""
        self.noise -= frames
        if self.noise < 0:
            raise Violation(Code.ENHANCE_YOUR_CALM, f"too many {what}")

    def spend_broken(self, what: str, requests: int = 1) -> None:
        """Raises Violation when there is nothing left to spend."""
        self.broken -= requests
        if self.broken < 0:
            raise Violation(Code.ENHANCE_YOUR_CALM, f"too many {what}")

    def body_came(self, size: int) -> None:
        """A DATA frame that does not end its stream. Raises Violation."""
        if size < self._least:
            self.spend_noise("DATA frames with next to nothing in them")
        elif self.noise < self._most_noise:
            self.noise += 1

    def body_astray(self, size: int) -> None:
        """A DATA frame, padding included, for a stream that we have reset. Raises Violation."""
        if size < WHOLE:  # a larger one costs its sender more than us, and an honest upload has many under way
            self.spend_noise("DATA frames for streams that were reset")

    def body_went(self, size: int, asked: int) -> None:
        """We sent so much of what we had: the peer may well answer with window updates."""
        if not self.proven and size == asked:
            self._pieces += 1
            if self._pieces % PIECES_A_PROOF == 0:
                self._prove()
        if self.noise < self._most_noise and (size == asked or size >= WHOLE):
            self.noise += _FOR_A_BODY_SENT

    def request_done(self) -> None:
        """A stream came to its end on both sides."""
        if not self.proven:
            self._prove()
        if self.noise < self._most_noise or self.broken < self._most_broken:
            self._earn(_FOR_A_REQUEST, 1)

    def _prove(self) -> None:
        """One more that has come to something."""
        self._proofs += 1
        if self._proofs >= PROVEN:
            self.proven = True
            self._full_turn = TURN
            self._wastes_below(MOST_WASTED)

    def _earn(self, noise: int, broken: int) -> None:
        self.noise = min(self.noise + noise, self._most_noise)
        self.broken = min(self.broken + broken, self._most_broken)
