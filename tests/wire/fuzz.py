"""Mutants of good and bad messages: what we accept, another parser accepts too, and reads alike.

`PYTHONPATH=.:tests python -m wire.fuzz --mutants 1000000 --seed 1` hunts; the tests take a short walk each time.
"""

from __future__ import annotations

import argparse
import random
import re
import time

from composemesh.proxy.codec.parts import RequestHead
from wire import corpus, peers
from wire.conversation import Ended, bytewise, hear_requests, hear_response

OWN_SEEDS: tuple[tuple[str, bytes], ...] = (
    ("request", b"GET /a?b=c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"),
    ("request", b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n"),
    ("request", b"GET http://[::1]:80/x HTTP/1.1\r\nHost: [::1]\r\nCookie: a\r\nCookie: b\r\n\r\n"),
    ("request", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"),
    (
        "request",
        b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\nT: u\r\n\r\n',
    ),
    ("request", b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"),
    ("request", b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
    ("response", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ("response", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
    ("response", b"HTTP/1.0 200 OK\r\nServer: a\r\n\r\nhello"),
    ("response", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: x\r\n\r\n"),
)

SPICE: tuple[bytes, ...] = (
    *(bytes([byte]) for byte in b"\r\n\t\0\x0b\x0c\x1f\x7f\x80\xa0\xff ,;:=\"'/\\#?%@*[]-+_015aAxX"),
    *(b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n ", b" : ", b"0\r\n\r\n", b"chunked", b"Host: b\r\n", b", ", b"identity"),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n", b"HTTP/1.0", b"close"),
    *(b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"ffffffffffffffff", b"http://"),
)
"""What mutants are made of: the bytes over which parsers have disagreed."""


def seeds() -> list[tuple[str, bytes]]:
    """Our own, and the recorded cases of a size worth mutating where they are on this machine."""
    recorded = [row for row in corpus.rows() if len(row.raw) < 2000]
    good = [row for row in recorded if row.expect == "accept"]  # twice more: a mutant of a bad one is seldom accepted
    return [*OWN_SEEDS, *((row.type, row.raw) for row in (*recorded, *good, *good))]


def mutate(raw: bytes, dice: random.Random, others: list[tuple[str, bytes]]) -> bytes:
    """One to four small changes, most of them near where the framing is decided."""
    out = bytearray(raw)
    for _ in range(dice.choice((1, 1, 1, 2, 2, 3, 4))):
        at = dice.randrange(len(out) + 1)
        size = dice.choice((1, 1, 1, 2, 4, 9))
        match dice.randrange(6):
            case 0:
                out[at : at + size] = b""
            case 1:
                out[at:at] = dice.choice(SPICE)
            case 2:
                out[at : at + size] = dice.choice(SPICE)
            case 3:
                lines = bytes(out).split(b"\r\n")
                lines.insert(dice.randrange(len(lines) + 1), dice.choice(lines))
                out = bytearray(b"\r\n".join(lines))
            case 4:
                lines = bytes(out).split(b"\r\n")
                dice.shuffle(lines[1:])
                lines.insert(dice.randrange(len(lines) + 1), dice.choice(dice.choice(others)[1].split(b"\r\n")))
                out = bytearray(b"\r\n".join(lines))
            case _ if out:
                at = dice.randrange(len(out))
                out[at] ^= 1 << dice.randrange(8)
    return bytes(out)


def disagreement(kind: str, raw: bytes) -> str:
    """What is wrong with our verdict on these bytes; empty where nothing is."""
    hear = (lambda pieces: hear_requests(pieces, at_most=1)) if kind == "request" else hear_response
    heard = hear([raw])
    if heard.gist != hear(bytewise(raw)).gist:
        return "the verdict depends on how the bytes are cut"
    if not heard.messages or heard.ended is Ended.REFUSED:
        return ""
    head, payload = heard.messages[0]
    said = _as_we_send_it(raw[: heard.consumed])
    if isinstance(head, RequestHead):
        readings = {"h11": peers.h11_request(said), "llhttp": peers.llhttp_request(said)}
        name, asked = (head.method, head.target), head.method
    else:
        readings = {"h11": peers.h11_response(said, b"GET"), "llhttp": peers.llhttp_response(said)}
        name, asked = (b"", str(head.status).encode()), b""
    if all(reading is None for reading in readings.values()):
        # Both refuse a blank before a chunk extension, which RFC 9112, 7.1.1 says to accept (and proxies do).
        plain = re.sub(rb"[ \t]+;", b";", raw)
        return disagreement(kind, plain) if plain != raw else "we accept what h11 and llhttp refuse"
    for peer, reading in readings.items():
        if reading is None or asked == b"CONNECT":
            continue
        if head.upgrade:
            continue  # where the protocol changes, each parser hands over at a point of its own
        if (reading.method, reading.target) != name:
            return f"{peer} reads {reading.method!r} {reading.target!r}"
        if reading.payload is not None and reading.payload != payload:
            return f"{peer} reads another payload: {reading.payload!r}"
    return ""


def _as_we_send_it(raw: bytes) -> bytes:
    """Without what we take off and others stumble over: h11 over an empty line before, llhttp over `chunked\\t`."""
    head, end, body = raw.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    return re.sub(rb"[ \t]+\r\n", b"\r\n", head + end) + body


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mutants", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=1)
    said = options.parse_args()
    dice, pool, started = random.Random(said.seed), seeds(), time.monotonic()
    found = 0
    for _ in range(said.mutants):
        kind, seed = dice.choice(pool)
        raw = mutate(seed, dice, pool)
        if trouble := disagreement(kind, raw):
            found += 1
            print(f"{kind}: {trouble}\n  {raw!r}")
    print(f"{said.mutants} mutants of {len(pool)} seeds in {time.monotonic() - started:.0f} s: {found} disagreements")
    return min(found, 1)


if __name__ == "__main__":
    raise SystemExit(main())
