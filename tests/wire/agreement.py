"""Our sidecar in front of another parser: whatever comes, both must see the same requests end at the same places.

Each case is sent between two requests of our own, all in one piece. What our codec reads in these bytes must be what
the server behind logs, and what the client is answered, in number, order and content. Requests that the server
refuses are its own affair; one that it sees and we did not send is smuggled, even if it comes a case later.

`PYTHONPATH=.:tests python -m wire.agreement --mutants 20000 --seed 1` hunts; the tests take a short walk each time.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio
import trio.testing

from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from composemesh.model.workload import Workload
from composemesh.proxy.codec.parts import RequestHead
from mesh.net import PORT, Net, running_net
from peers.servers import SERVERS, Echo, Seen, as_seen, start
from wire import corpus, fuzz
from wire.conversation import Ended, hear_requests
from wire.origin import answers

ENOUGH = 5.0
"""Seconds for all answers to a case. None takes a tenth of a second where nothing is wrong."""
_ABSOLUTE = re.compile(rb"(?i)\Ahttps?://[^/?#]*/?")
_FIRST_TARGET = re.compile(rb"\A(\r\n)?([A-Z]+) /(?=[^ ]* HTTP/1\.[01]\r\n)")


Statuses = list[tuple[int, bool]]


def _methods(sent: list[Seen]) -> list[bytes]:
    """What answers are to be expected for, with room for one too many."""
    return [*(each.method for each in sent), b"GET"]


def _complete(heard: bytes, sent: list[Seen], wanted: int) -> bool:
    said = answers(heard, _methods(sent), closed=False)
    return isinstance(said, list) and len(said) >= wanted and all(whole for _, whole in said)


def _get(target: str) -> bytes:
    return b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode()


def in_origin_form(seen: Seen) -> Seen:
    """An absolute target is passed on as it is; some servers take the path out of it, some do not."""
    return replace(seen, target=_ABSOLUTE.sub(b"/", seen.target))


def _read(raw: bytes) -> tuple[list[Seen], Ended]:
    """The requests that our codec finds, past one for a tunnel too: none of the servers here grants any."""
    found: list[Seen] = []
    while True:
        heard = hear_requests([raw])
        for head, payload in heard.messages:
            assert isinstance(head, RequestHead)
            found.append(Seen(head.method, head.path, payload))
        if heard.ended is not Ended.TUNNEL:
            return found, heard.ended
        raw = raw[heard.consumed :]


class Agreement:
    """One server behind our sidecar, and the disagreements found so far."""

    def __init__(self, net: Net, app: Workload, echo: Echo) -> None:
        self._net, self._app, self._echo = net, app, echo
        self._number = 0
        self.disagreements: list[str] = []
        self.seen = 0
        """Requests of which the server saw what we did."""
        self.refused = 0
        """Requests that we passed on and the server refused."""

    async def judge(self, raw: bytes) -> None:
        """Send one case, and note whatever is not as it should be."""
        self._number += 1
        raw = _FIRST_TARGET.sub(rb"\1\2 /%d-case/" % self._number, raw)
        raw = _get(f"{self._number}-before") + raw + _get(f"{self._number}-after")
        sent, ended = _read(raw)
        heard, closed = await self._converse(raw, sent, ended)
        seen = [in_origin_form(each) for each in self._echo.seen()]
        statuses = answers(heard, _methods(sent), closed=closed)
        if trouble := self._trouble(sent, ended, statuses, heard, seen):
            told = f"  sent {raw!r}\n  we read {sent}\n  {self._echo.name} saw {seen}\n  answered {heard!r}"
            self.disagreements.append(f"{trouble}\n{told}")

    async def _converse(self, raw: bytes, sent: list[Seen], ended: Ended) -> tuple[bytes, bool]:
        """What the client hears until all that it sent is answered, and whether the connection was closed then."""
        heard, closed = b"", False
        client = await self._net.connect(self._app)
        wanted = len(sent) + (ended is Ended.REFUSED)
        with trio.move_on_after(ENOUGH) as patience:
            try:
                await client.send_all(raw)
                while heard.count(b"HTTP/1.1 ") < wanted or not _complete(heard, sent, wanted):
                    more = await client.receive_some()
                    if not more:
                        closed = True
                        break
                    heard += more
            except trio.BrokenResourceError:
                closed = True
        await trio.aclose_forcefully(client)
        if patience.cancelled_caught:
            self.disagreements.append(f"no answer in time\n  sent {raw!r}\n  heard {heard!r}")
        return heard, closed

    def _trouble(self, sent: list[Seen], ended: Ended, said: Statuses | str, heard: bytes, seen: list[Seen]) -> str:
        if isinstance(said, str):
            return f"no answers at all: {said}"
        statuses = [status for status, _ in said]
        own = statuses[len(sent) :]
        if own and not (ended is Ended.REFUSED and own[0] >= 400):
            return f"{len(statuses)} answers to {len(sent)} requests"
        served = [each for each, status in zip(sent, statuses, strict=False) if status == 200]
        if seen != served:
            return "the server saw other requests than those that it answered"
        echoed = [in_origin_form(as_seen(line)) for line in re.findall(rb'(?m)^\{"method".*\}$', heard)]
        if echoed != [each for each in served if each.method != b"HEAD"]:
            return "the answers are to other requests"
        self.seen += len(served)
        self.refused += len(sent) - len(served)
        return ""


@asynccontextmanager
async def server_in_mesh(name: str, folder: Path, snapshot: Snapshot) -> AsyncIterator[tuple[Net, Workload, Echo]]:
    """The server `name` of `peers.servers` as the workload `app` of a mesh. Raises NotHere."""
    async with running_net() as net:
        app = net.add("app")
        net.snapshot.publish(snapshot)
        address = app.addresses[0]
        with start(name, folder, address, PORT) as echo:
            net.listening[address] |= {PORT}
            await trio.testing.wait_all_tasks_blocked()  # until the mesh has heard of the application
            await net.settled(app)
            yield net, app, echo


@asynccontextmanager
async def facing(name: str, folder: Path) -> AsyncIterator[Agreement]:
    """Our sidecar with this server behind it. Raises NotHere."""
    settings = ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})
    async with server_in_mesh(name, folder, Snapshot("test", services={"app": settings})) as (net, app, echo):
        yield Agreement(net, app, echo)


def recorded() -> list[bytes]:
    """The recorded requests of which our codec passes something on; none where they are not on this machine."""
    return [row.raw for row in corpus.rows() if row.type == "request" and _passes(row.raw)]


def mutants(dice: random.Random) -> Iterator[bytes]:
    """Mutants of requests of which our codec passes something on: what it refuses no server sees."""
    pool = [(kind, raw) for kind, raw in fuzz.seeds() if kind == "request"]
    while True:
        mutant = fuzz.mutate(dice.choice(pool)[1], dice, pool)
        if _passes(mutant):
            yield mutant


def _passes(raw: bytes) -> bool:
    return bool(_read(raw)[0])


async def _hunt(name: str, count: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with facing(name, Path(folder)) as agreement:
            for _, raw in zip(range(count), mutants(random.Random(seed)), strict=False):
                await agreement.judge(raw)
    for disagreement in agreement.disagreements:
        print(f"{name}: {disagreement}")
    print(f"{name}: {agreement.seen} requests seen alike, {agreement.refused} refused by it alone")
    return len(agreement.disagreements)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mutants", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    said = options.parse_args()
    return min(1, sum(trio.run(_hunt, name, said.mutants, said.seed) for name in SERVERS))


if __name__ == "__main__":
    raise SystemExit(main())
