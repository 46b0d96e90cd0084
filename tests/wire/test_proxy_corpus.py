"""Every recorded case through the running proxy, to an application that takes anything: what reaches it, and who
hears what. `test_corpus` judges the codec; this judges what is made of it."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from composemesh.model.record import Record
from composemesh.model.snapshot import Protocol, ServiceSettings, Snapshot
from mesh.net import GET, PORT, Net, running_net
from wire import corpus
from wire.corpus import Row
from wire.origin import Origin, answers, by_h11, by_llhttp, let_others_run
from wire.test_corpus import DEVIATIONS, asked_of

KNOWN = {row_id for reason in DEVIATIONS.values() for row_id in reason}
SMALL = 2100
"""Bytes up to which a case is sent byte by byte; larger ones go in pieces of 1000."""
_OWN = re.compile(rb"\r\nx-composemesh-flag: [^\r]+\r\n(?:[^\r]+\r\n)*\r\n[^\r]*\Z")


@dataclass
class Outcome:
    """What became of one case."""

    statuses: list[int] = field(default_factory=list)
    """Of the answers that the client got, final ones only."""
    own: bool = False
    """Whether the mesh itself gave the last of them."""
    closed: bool = False
    reset: bool = False
    complete: bool = True
    """Whether the last answer's body was whole."""
    wrong: list[str] = field(default_factory=list)
    """What must never be, whatever the verdict."""

    @property
    def refused(self) -> bool:
        return self.own or self.reset or not self.complete

    def __str__(self) -> str:
        end = "reset" if self.reset else "closed" if self.closed else "open"
        return f"{self.statuses}{' own' if self.own else ''} {end}{'' if self.complete else ', cut'}"


class Bench:
    """One mesh with one caller and the tolerant application."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.origin = Origin()
        self.app = net.add("app")

    async def start(self) -> None:
        settings = ServiceSettings("app", "v1", ports={PORT: Protocol.HTTP})
        self.net.snapshot.publish(Snapshot("test", services={"app": settings}))
        await self.net.serve(self.app, self.origin)

    async def request(self, row: Row, *, cut: bool) -> Outcome:
        """Send what the case's client sends."""
        return await self._converse(GET * row.before, row.raw, cut=cut)

    async def response(self, row: Row, *, cut: bool) -> Outcome:
        """Send what the case's application answers, and then see that the next one is served as if nothing was."""
        self.origin.scripted = None
        pieces = _pieces(row.raw) if cut else [row.raw]
        outcome = await self._converse(GET * row.before, row.client or GET, cut=False, script=(pieces, row.close))
        self.origin.scripted = None
        after = await self._converse(b"", GET, cut=False)
        if (after.statuses, after.own) != ([200], False):
            outcome.wrong.append(f"the next client's request: {after}")
        return outcome

    async def _converse(
        self, before: bytes, raw: bytes, *, cut: bool, script: tuple[list[bytes], bool] | None = None
    ) -> Outcome:
        outcome = Outcome()
        self.origin.forget()
        self.net.records.all.clear()
        client = await self.net.connect(self.app)
        heard = bytearray()
        ended = trio.Event()

        async def listen() -> None:
            try:
                while more := await client.receive_some():
                    heard.extend(more)
            except trio.BrokenResourceError:
                outcome.reset = True
            outcome.closed = True
            ended.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            try:
                for _ in range(before.count(b"\r\n\r\n")):
                    await client.send_all(GET)
                    await _quiet()
                self.origin.scripted = script
                for piece in _pieces(raw) if cut else [raw]:
                    await client.send_all(piece)
                    if cut:
                        await let_others_run(4)
            except trio.BrokenResourceError:
                pass  # refused amid what was still to be sent
            await _quiet()
            if not heard and not outcome.closed:
                await trio.sleep(0.02 if script is None else 0.2)  # a GET is tried three times, with pauses
            if _own(heard):
                with trio.move_on_after(1.5):  # a client that goes on sending is listened to for a second
                    await client.send_eof()
                    await ended.wait()
            closed = outcome.closed
            nursery.cancel_scope.cancel()
        outcome.closed = closed
        await client.aclose()
        await self._all_gone()
        methods = [b"GET"] * before.count(GET) + _methods(raw)
        self._judge(outcome, bytes(heard), methods=methods, response=script is not None)
        return outcome

    async def _all_gone(self) -> None:
        with trio.fail_after(5):
            while any(sidecar.connections for sidecar in self.net.fleet.sidecars.values()):
                await _quiet()

    def _judge(self, outcome: Outcome, heard: bytes, *, methods: list[bytes], response: bool) -> None:
        """Fill in what the client saw, and complain of what must never be."""
        outcome.own = _own(heard)
        seen = answers(heard, methods, closed=outcome.closed and not outcome.reset)
        if isinstance(seen, str):
            outcome.wrong.append(f"to the client: {seen}: {heard[:200]!r}")
            return
        outcome.statuses = [status for status, _ in seen]
        outcome.complete = all(whole for _, whole in seen)
        if outcome.own and not outcome.closed and not response:
            outcome.wrong.append("open after a refusal")
        codes = [record.response_code for record in self.net.records.all]
        # A request that was not whole, or not answered, when its client left: one more record, of no answer. What
        # was reset may have been answered before, and lost.
        if codes not in (outcome.statuses, [*outcome.statuses, 0]) and not (outcome.reset and len(codes) == 1):
            outcome.wrong.append(f"records {codes} of answers {outcome.statuses}")
        outcome.wrong += self._upstream(self.net.records.all, response=response)

    def _upstream(self, records: list[Record], *, response: bool) -> list[str]:
        wrong = []
        count = 0
        for said in map(bytes, self.origin.heard):
            ours, theirs = by_h11(said), by_llhttp(said)
            if theirs == "llhttp: Invalid method encountered":
                theirs = ours  # llhttp knows no methods but those of its list
            if isinstance(ours, str) or isinstance(theirs, str) or ours != theirs:
                wrong.append(f"ambiguous upstream: {said[:200]!r}: {ours} / {theirs}")
            else:
                count += len(ours)
        if not response and count > sum(record.attempts for record in records):
            wrong.append(f"{count} requests upstream of {len(records)} exchanges")
        return wrong


def _pieces(raw: bytes) -> list[bytes]:
    size = 1 if len(raw) <= SMALL else 1000
    return [raw[at : at + size] for at in range(0, len(raw), size)]


def _methods(raw: bytes) -> list[bytes]:
    """What to expect answers to. Past the first head anything may come, so that is enough for all that follow."""
    method = raw.lstrip(b"\r\n").partition(b" ")[0]
    first = method if method in (b"HEAD", b"CONNECT") else b"GET"
    return [first] + [b"GET"] * 600


def _own(heard: bytes | bytearray) -> bool:
    """Whether the last answer is the mesh's own."""
    return _OWN.search(heard) is not None


async def _quiet(cushion: float = 0.002) -> None:
    await trio.testing.wait_all_tasks_blocked(cushion)


def _as_expected(row: Row, outcome: Outcome) -> bool:
    if row.expect == "reject":
        return outcome.refused
    if row.expect == "accept":
        return not outcome.refused and len(outcome.statuses) == row.before + (row.n if row.type == "request" else 1)
    return True  # `wait`, `either`, `any`: then only consistency counts


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("kind", ["request", "response"])
async def test_every_case_through_the_proxy(kind: str, cut: bool, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in corpus.needed() if row.type == kind]
    outcomes: dict[str, Outcome] = {}
    async with running_net() as net:
        bench = Bench(net)
        await bench.start()
        for row in rows:
            outcomes[row.id] = await (bench.request if kind == "request" else bench.response)(row, cut=cut)
    other = [row for row in rows if not _as_expected(row, outcomes[row.id])]
    with capsys.disabled():
        print(f"\n  {kind}s {'byte by byte' if cut else 'whole'}, judged otherwise:", end="")
        judged = Counter(map(asked_of, other))
        for what, count in sorted(Counter(map(asked_of, rows)).items()):
            print(f"\n    {what:22} {judged[what]:3} of {count:3}", end="")
        print()
    assert {row.id: outcomes[row.id].wrong for row in rows if outcomes[row.id].wrong} == {}
    assert {row.id: str(outcomes[row.id]) for row in other if row.id not in KNOWN} == {}
    for level in ("must", ""):
        assert [row.id for row in other if row.level == level] == []
    strict = [row for row in rows if row.level == "strict"]
    assert len([row for row in other if row.level == "strict"]) <= len(strict) / 100
