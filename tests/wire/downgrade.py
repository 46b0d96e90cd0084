"""HTTP/2 made into HTTP/1.1 for a server that speaks nothing else: smuggling by lengths, line ends and names.

Each case is a request on a stream of its own between two good ones. What our codec lets through must be what the
server logs and answers, stream by stream, and nothing besides. `PYTHONPATH=.:tests python -m wire.downgrade` hunts.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import hpack
import trio

from composemesh.model.policy import ConnectionLimits, DestinationPolicy, H2Upgrade, TrafficPolicy
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import Workload
from composemesh.proxy.codec.h2 import BodyCame, RequestOpened, Trailers
from composemesh.proxy.codec.h2.frames import PREFACE
from composemesh.proxy.codec.parts import RequestHead
from mesh.net import Net
from peers.servers import SERVERS, Echo, Seen, as_seen
from wire.agreement import ENOUGH, in_origin_form, server_in_mesh
from wire.h2 import raw
from wire.h2.raw import ACK, DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Server, frame, headers, settings

Fields = list[tuple[bytes, bytes]]

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
BODIES = (b"", b"hello", SMUGGLED, b"0\r\n\r\n" + SMUGGLED, b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED)
_LINES = (
    b"a\r\n\r\n" + SMUGGLED,
    b"a\r\ntransfer-encoding: chunked",
    b"a\ncontent-length: 0",
    b"a\rb",
    b"a\0b",
    b" a ",
    b"a\t",
)
NAMES = (
    *(b"content-length", b"transfer-encoding", b"connection", b"host", b"te", b"expect", b"upgrade", b"cookie", b"x"),
    *(
        b"Content-Length",
        b"content-length ",
        b"content_length",
        b"transfer-encoding\r\nx",
        b"",
        b"x: y\r\nz",
        b"trailer",
    ),
    *(b":path", b":method", b":authority", b":scheme", b"keep-alive", b"proxy-connection", b"http2-settings"),
)
VALUES = (
    *(
        b"0",
        b"5",
        b"34",
        b"+5",
        b"5, 5",
        b"5 ",
        b"0x5",
        b"99999999999999999999",
        b"chunked",
        b"Chunked",
        b"gzip, chunked",
    ),
    *(b"close", b"keep-alive", b"trailers", b"100-continue", b"h2c", b"websocket", b"a", b"b:80", b"", *_LINES),
)
PSEUDO = {
    b":method": (
        b"GET",
        b"POST",
        b"HEAD",
        b"PUT",
        b"OPTIONS",
        b"get",
        b"GET / HTTP/1.1\r\nx:",
        b"G T",
        b"",
        b"CONNECT",
    ),
    b":path": (
        b"*",
        b"/a b",
        b"/ HTTP/1.1\r\nHost: b\r\n\r\n",
        b"http://b/x",
        b"//b",
        b"/a#b",
        b"",
        b"x",
        b"/\xc3\xa0",
    ),
    b":authority": (b"a", b"a:80", b"user@a", b"a\r\nx: y", b"a b", b"", b"[::1]:80", b"a,b"),
    b":scheme": (b"http", b"https", b"ftp", b"http://b/?", b""),
}


def cases(dice: random.Random) -> Iterator[tuple[Fields, bytes, Fields]]:
    """Head, body and trailers of requests, with up to two things that are odd."""
    while True:
        head = [
            (b":method", dice.choice((b"POST", b"GET"))),
            (b":scheme", b"http"),
            (b":path", b"/"),
            (b":authority", b"a"),
        ]
        body = dice.choice(BODIES)
        if dice.random() < 0.3:
            head.append((b"content-length", b"%d" % len(body)))
        trailers: Fields = []
        for _ in range(dice.choice((0, 1, 1, 1, 2))):
            match dice.randrange(6):
                case 0:
                    at = dice.randrange(min(4, len(head)))
                    head[at] = (head[at][0], dice.choice(PSEUDO.get(head[at][0], VALUES)))
                case 1:
                    trailers.append((dice.choice(NAMES), dice.choice(VALUES)))
                case 2:
                    head.insert(dice.randrange(len(head) + 1), dice.choice(head))
                case 3:
                    del head[dice.randrange(len(head))]
                case _:
                    head.append((dice.choice(NAMES), dice.choice(VALUES)))
        yield head, body, trailers


def _frames(head: Fields, body: bytes, trailers: Fields) -> bytes:
    last = 0 if body or trailers else END_STREAM
    said = headers(3, head, END_HEADERS | last)
    if body:
        half = len(body) // 2
        said += frame(DATA, 0, 3, body[:half]) + frame(DATA, 0 if trailers else END_STREAM, 3, body[half:])
    return said + (headers(3, trailers) if trailers else b"")


def _good(stream: int, target: bytes) -> bytes:
    return headers(stream, [(b":method", b"GET"), (b":scheme", b"http"), (b":path", target), (b":authority", b"a")])


def _read(sent: bytes) -> tuple[dict[int, Seen], list[Seen]]:
    """The requests that our codec lets through whole, by their streams; and those of which only the end is wrong.

    Where all bytes of a Content-Length have come they have been passed on, and bad trailers find nothing to cut.
    """
    server = Server(answers=False)
    server.hear(sent)
    heads: dict[int, RequestHead] = {}
    bodies: dict[int, bytes] = defaultdict(bytes)
    whole = {}
    for event in server.events:
        if isinstance(event, RequestOpened):
            heads[event.stream] = event.head
        elif isinstance(event, BodyCame):
            bodies[event.stream] += event.payload
        if isinstance(event, Trailers) or (isinstance(event, RequestOpened | BodyCame) and event.end):
            whole[event.stream] = Seen(heads[event.stream].method, heads[event.stream].path, bodies[event.stream])
    passed = [
        Seen(head.method, head.path, bodies[stream])
        for stream, head in heads.items()
        if stream not in whole and head.body == len(bodies[stream])
    ]
    return whole, passed


class Answers:
    """What the client hears, by streams."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder()
        self._rest = b""
        self.statuses: dict[int, int] = {}
        self.bodies: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()

    def hear(self, data: bytes) -> None:
        data = self._rest + data
        while len(data) >= 9 and len(data) >= (size := 9 + int.from_bytes(data[:3], "big")):
            ((kind, flags, stream, payload),) = raw.parse(data[:size])
            data = data[size:]
            if kind == HEADERS:
                fields = dict(self._decoder.decode(payload, raw=True))
                if b":status" in fields:
                    self.statuses[stream] = int(fields[b":status"])
            elif kind == DATA:
                self.bodies[stream] += payload
            if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
                self.ended.add(stream)
        self._rest = data


class Downgrade:
    """A server that speaks HTTP/1.1 behind our sidecar, clients that speak HTTP/2, and the disagreements so far."""

    def __init__(self, net: Net, app: Workload, echo: Echo) -> None:
        self._net, self._app, self._echo = net, app, echo
        self._number = 0
        self._late: Counter[Seen] = Counter()
        """Requests that were passed on and given up, so that the server may be heard of them in a later case."""
        self.disagreements: list[str] = []
        self.seen = 0
        """Odd requests that the server read as we did."""

    async def judge(self, head: Fields, body: bytes, trailers: Fields) -> None:
        """Send one case between two good requests, and note whatever is not as it should be."""
        self._number += 1
        before, after = (b"/%d-%b" % (self._number, word) for word in (b"before", b"after"))
        sent = _good(1, before) + _frames(head, body, trailers) + _good(5, after)
        expected, passed = _read(sent)
        answers = await self._converse(sent, expected)
        served = {stream: expected[stream] for stream, status in answers.statuses.items() if status == 200}
        seen = [in_origin_form(each) for each in self._echo.seen()]
        smuggled = Counter(seen) - Counter(served.values())
        echoed = {
            stream: in_origin_form(as_seen(answers.bodies[stream])) for stream in served if answers.bodies[stream]
        }
        heads = {stream for stream, each in served.items() if each.method == b"HEAD"}
        allowed = self._late + Counter(passed)
        self._late = allowed - Counter(seen)
        if smuggled - allowed or Counter(served.values()) - Counter(seen):
            trouble = "the server saw other requests than those that it answered"
        elif echoed != {stream: each for stream, each in served.items() if stream not in heads}:
            trouble = "the answers are to other requests"
        elif 1 not in served or (5 in expected and 5 not in served):
            trouble = "a good request was not served"
        else:
            self.seen += 3 in served
            return
        self.disagreements.append(
            f"{trouble}\n  sent {head} {body!r} {trailers}\n  we read {expected}\n  {self._echo.name} saw {seen}\n"
            f"  answered {answers.statuses} {dict(answers.bodies)}"
        )

    async def _converse(self, sent: bytes, expected: dict[int, Seen]) -> Answers:
        answers = Answers()
        client = await self._net.connect(self._app)
        with trio.move_on_after(ENOUGH) as patience:
            try:
                await client.send_all(PREFACE + settings() + settings(flags=ACK) + sent)
                while not answers.ended >= expected.keys():
                    data = await client.receive_some()
                    if not data:
                        break
                    answers.hear(data)
            except trio.BrokenResourceError:
                pass
        await trio.aclose_forcefully(client)
        if patience.cancelled_caught:
            self.disagreements.append(f"no answer in time: {expected}")
        return answers


@asynccontextmanager
async def facing(name: str, folder: Path) -> AsyncIterator[Downgrade]:
    """A server that the mesh is told to speak HTTP/1.1 to. Raises NotHere."""
    policy = TrafficPolicy(connections=ConnectionLimits(h2_upgrade=H2Upgrade.NEVER))
    snapshot = Snapshot("test", policies={"app": DestinationPolicy("app", policy)})
    async with server_in_mesh(name, folder, snapshot) as (net, app, echo):
        yield Downgrade(net, app, echo)


async def _hunt(name: str, count: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with facing(name, Path(folder)) as pair:
            for _, case in zip(range(count), cases(random.Random(seed)), strict=False):
                await pair.judge(*case)
    for disagreement in pair.disagreements:
        print(f"{name}: {disagreement}")
    print(f"{name}: {count} odd requests, {pair.seen} of them seen alike")
    return len(pair.disagreements)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--cases", type=int, default=5_000)
    options.add_argument("--seed", type=int, default=1)
    said = options.parse_args()
    return min(1, sum(trio.run(_hunt, name, said.cases, said.seed) for name in SERVERS))


if __name__ == "__main__":
    raise SystemExit(main())
