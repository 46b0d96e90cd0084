"""Somebody who means ill, in a process of its own: `python -m mesh.attacker PORT TURN`.

Attacks with everything in `wire.h2.abuses`: for TURN seconds with one of them, on a new connection a BREATH after the
last was ended, then for TURN seconds not at all, then with the next. Each attack is a line of what is said here, so
that whoever measures what others feel of it knows when that was. It has the lowest priority, because what an attacker
costs its own machine is not what is measured, and ends by itself.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from typing import NamedTuple

from composemesh.proxy.codec.h2.frames import PREFACE
from wire.h2.abuses import ABUSES, Steps
from wire.h2.raw import ACK, settings

HELLO = PREFACE + settings() + settings(flags=ACK)
BREATH = 0.05
"""Seconds until an attacker whose connection was ended comes back."""
PATIENCE = 5.0
"""Seconds that it waits for its end, having said everything."""
AT_ONCE = 65536
"""Bytes that it says at once: as much as the proxy hears at once."""
MOST = 1_000_000
"""Bytes that it has to say in one flood: many times what any may last for."""


class Attack(NamedTuple):
    """A turn of one flood after the other."""

    name: str
    began: float
    """Seconds of the machine's monotonic clock, which is the same for all processes."""
    ended: float
    floods: int


def told(said: str) -> list[Attack]:
    """The attacks that an attacker tells of."""
    rows = [line.split() for line in said.splitlines()]
    return [Attack(name, float(began), float(ended), int(floods)) for name, began, ended, floods in rows]


def script(steps: Steps) -> bytes:
    """All of one flood."""
    pieces = [HELLO]
    size = 0
    while size < MOST:
        _, step = next(steps)
        pieces.append(step)
        size += len(step)
    return b"".join(pieces)


def flood(port: int, said: bytes) -> None:
    """Say it all, unless the connection ends before."""
    rest = memoryview(said)
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setblocking(False)
        while True:
            heard, free, _ = select.select([sock], [sock] if rest else [], [], PATIENCE)
            try:
                if not (heard or free) or (heard and not sock.recv(AT_ONCE)):
                    return
                if free:
                    rest = rest[sock.send(rest[:AT_ONCE]) :]
            except BlockingIOError:
                pass
            except OSError:
                return


def main() -> None:
    port, turn = int(sys.argv[1]), float(sys.argv[2])
    os.nice(19)
    scripts = {name: script(abuse()) for name, abuse in ABUSES.items()}
    for name, said in scripts.items():
        time.sleep(turn)
        began, floods = time.monotonic(), 0
        while time.monotonic() < began + turn:
            flood(port, said)
            floods += 1
            time.sleep(BREATH)
        print(name, began, time.monotonic(), floods, flush=True)


if __name__ == "__main__":
    main()
