"""A client that does no harm, beside others who do: it asks now and then, and keeps how long it waited."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence
from typing import NamedTuple

from hpack import Decoder

from composemesh.proxy.codec.h2.frames import PREFACE
from mesh.attacker import Attack
from wire.h2.raw import ACK, DATA, END_STREAM, HEADERS, REQUEST, headers, settings, window_update

EVERY = 0.002
"""Seconds from one answer to the next question: it is seldom that nobody waits when a flood comes."""


class Wait(NamedTuple):
    """What came between a question and the end of its answer."""

    began: float
    """Seconds of the machine's monotonic clock."""
    seconds: float
    work: float
    """Seconds of processor time that the proxy spent meanwhile, on whatever it was."""


class Bystander:
    """One connection in HTTP/2, written down by hand: a library would take longer than the proxy does."""

    def __init__(self, port: int, proxy: int) -> None:
        """`proxy` is the process whose work is counted."""
        self.waits: list[Wait] = []
        self._work = ~proxy << 3 | 2  # the clock of another process: clock_getcpuclockid(3)
        self._question = headers(1, [*REQUEST[:2], (b":path", b"/page"), REQUEST[3]])
        self._stream = -1
        self._decoder = Decoder()
        self._heard = b""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(PREFACE + settings((4, 2**31 - 1)) + settings(flags=ACK) + window_update(0, 2**30))

    def close(self) -> None:
        self._socket.close()

    def ask_for(self, seconds: float) -> None:
        """Ask again and again, for so long."""
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            work = time.clock_gettime(self._work)
            self._ask()
            work = time.clock_gettime(self._work) - work
            self.waits.append(Wait(began, time.monotonic() - began, work))
            time.sleep(EVERY)

    def _ask(self) -> None:
        self._stream += 2
        number = struct.pack(">L", self._stream)
        self._socket.sendall(self._question[:5] + number + self._question[9:])
        status = b""
        while True:
            kind, flags, stream, payload = self._next()
            if kind == HEADERS:
                status = dict(self._decoder.decode(payload, raw=True))[b":status"]
            if stream == self._stream and kind in (DATA, HEADERS) and flags & END_STREAM:
                assert status == b"200", status
                return

    def _next(self) -> tuple[int, int, int, bytes]:
        while True:
            if len(self._heard) >= 9:
                high, low, kind, flags, stream = struct.unpack_from(">HBBBL", self._heard)
                end = 9 + (high << 8 | low)
                if len(self._heard) >= end:
                    payload, self._heard = self._heard[9:end], self._heard[end:]
                    return kind, flags, stream, payload
            data = self._socket.recv(65536)
            assert data, "the connection of somebody who did nothing was ended"
            self._heard += data


def divided(waits: Sequence[Wait], attacks: Sequence[Attack]) -> tuple[list[Wait], list[Wait]]:
    """Those while nobody attacked, and those while somebody did."""
    alone: list[Wait] = []
    amid: list[Wait] = []
    for wait in waits:
        attacked = any(wait.began < attack.ended and attack.began < wait.began + wait.seconds for attack in attacks)
        (amid if attacked else alone).append(wait)
    return alone, amid


def p99(values: Sequence[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]
