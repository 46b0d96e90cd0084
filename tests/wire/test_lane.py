"""The fast lane changes nothing: every conversation has the same bytes, on both sides, and the same records with it
and without it."""

from __future__ import annotations

import re
from dataclasses import astuple
from types import SimpleNamespace

import pytest

from composemesh.model.flag import Flag
from composemesh.model.route import DirectResponse, HeaderChange, HttpMatch, HttpRule, Rewrite
from composemesh.proxy import lane
from composemesh.proxy.downstream.h1 import Http1Downstream
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.upstream.h1 import Http1Upstream
from composemesh.proxy.wire import Wire
from composemesh.routing import chance
from mesh.net import GET, OK, ask, read_all, running_net
from mesh.routes import exact, headers, prefix, rule, to
from wire import corpus
from wire.transcript import Stage, Transcript

POST = b"POST /p HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: app\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: app\r\n\r\n"
EXPECTING = b"PUT / HTTP/1.1\r\nHost: app\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

PROXIED = GET.replace(b"\r\n\r\n", b"\r\nX-Request-Id: mine\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
ONE_HOP = GET.replace(b"\r\n\r\n", b"\r\nConnection: x-a, te\r\nX-A: 1\r\nTE: trailers\r\n\r\n")
IN_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"

Script = tuple[list[bytes], bool]
CONVERSATIONS: dict[str, tuple[list[bytes], Script | None]] = {
    "plain": ([GET, GET, GET], None),
    "with a body": ([POST, GET, POST], None),
    "in chunks": ([CHUNKED, GET], None),
    "pipelined": ([GET + GET + POST, GET], None),
    "in pieces": ([GET[:9], GET[9:], POST[:-2], POST[-2:], GET], None),
    "the next one's beginning along": ([GET + GET[:5], GET[5:]], None),
    "HEAD": ([HEAD, GET], None),
    "the client's last": ([GET, CLOSING], None),
    "HTTP/1.0": ([GET.replace(b"1.1", b"1.0")], None),
    "HTTP/1.0 that stays": ([GET.replace(b"1.1\r\n", b"1.0\r\nConnection: keep-alive\r\n"), GET], None),
    "absolute target": ([GET.replace(b" / ", b" http://app:80/x "), GET], None),
    "absolute target for another": ([GET.replace(b" / ", b" http://other:8080/x ")], None),
    "absolute target of HTTP/1.0": ([b"GET http://other:8080/x HTTP/1.0\r\nHost: app\r\n\r\n"], None),
    "an id of its own": ([PROXIED], None),
    "fields for one hop": ([ONE_HOP], None),
    "malformed": ([GET, b"GET / HTTP/1.1\r\nHost : app\r\n\r\n"], None),
    "CONNECT": ([b"CONNECT app:80 HTTP/1.1\r\nHost: app\r\n\r\n"], None),
    "upgrade": ([GET.replace(b"\r\n\r\n", b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")], None),
    "100": ([EXPECTING, b"hello"], ([CONTINUE + OK], False)),
    "103": ([GET, GET], ([EARLY + OK], False)),
    "103, then the answer": ([GET, GET], ([EARLY, OK], False)),
    "answered in pieces": ([GET, GET], ([OK[:10], OK[10:30], OK[30:]], False)),
    "answered in chunks": ([GET, GET], ([IN_CHUNKS], False)),
    "answered until the close": ([GET], ([b"HTTP/1.1 200 OK\r\n\r\nok"], True)),
    "the server's last": ([GET, GET], ([OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")], True)),
    "204": ([GET, GET], ([b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"], False)),
    "204 with a length": ([GET, GET], ([b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"], False)),
    "304": ([GET, GET], ([b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"], False)),
    "more than was announced": ([GET, GET], ([OK + b"surplus"], False)),
    "less than was announced": ([GET], ([OK[:-1]], True)),
    "nothing": ([GET], ([], True)),
    "nothing to a POST": ([POST], ([], True)),
    "nonsense": ([GET, GET], ([b"HTTP/1.1 abc\r\n\r\n"], False)),
    "101 that nobody asked for": ([GET], ([b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"], False)),
    "an early answer to a body": ([POST[:-3], b"llo"], ([OK], False)),
    "64 KiB": ([GET, GET], ([b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + b"x" * 65536], False)),
}  # fmt: skip


RULES = {
    "changes": [
        rule(
            to("", host="app", response=HeaderChange(set=(("x-arm", "only"),))),
            match=HttpMatch(uri=prefix("/")),
            rewrite=Rewrite(uri="/new/", authority="other.test"),
            headers=headers(request=HeaderChange(add=(("x-more", "1"),), remove=("te",))),
        )
    ],
    "a split": [
        rule(
            to("", 1, host="app", request=HeaderChange(set=(("x-arm", "a"),))),
            to("", 1, host="app", request=HeaderChange(set=(("x-arm", "b"),))),
        )
    ],
    "a match": [
        rule(to("", host="app"), match=HttpMatch(uri=exact("/warm"))),
        rule(to("", host="app"), match=HttpMatch(headers={"content-length": exact("5")}), name="with a length"),
    ],
    "a dead end": [
        rule(to("", host="app"), match=HttpMatch(uri=exact("/warm"))),
        rule(to("", host="nobody")),
    ],
    "a limit of time": [rule(to("", host="app"), timeout=5.0)],
    "an answer of its own": [
        rule(to("", host="app"), match=HttpMatch(uri=exact("/warm"))),
        HttpRule(direct_response=DirectResponse(418, b"short and stout")),
    ],
}


async def play_both_ways(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, tuple[list[bytes], Script | None]], *rules: HttpRule
) -> tuple[dict[str, Transcript], dict[str, Transcript]]:
    """All conversations with the lane, and without. Splits are drawn alike."""
    monkeypatch.setattr(chance, "random", SimpleNamespace(random=lambda: 0.3))
    seen: list[dict[str, Transcript]] = []
    for quick in (True, False):
        monkeypatch.setattr(Reactor, "quick", quick)
        async with running_net() as net:
            stage = Stage(net)
            await stage.start(*rules)
            seen.append({name: await stage.play(*conversation) for name, conversation in said.items()})
    return seen[0], seen[1]


async def test_conversations_are_the_same_with_the_lane_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    with_lane, without = await play_both_ways(monkeypatch, CONVERSATIONS)
    for name, transcript in with_lane.items():
        assert (name, *astuple(transcript)) == (name, *astuple(without[name]))


@pytest.mark.parametrize("name", RULES)
async def test_rules_have_the_same_say_with_the_lane_and_without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with_lane, without = await play_both_ways(monkeypatch, CONVERSATIONS, *RULES[name])
    for conversation, transcript in with_lane.items():
        assert (conversation, *astuple(transcript)) == (conversation, *astuple(without[conversation]))


async def test_every_recorded_case_is_the_same_with_the_lane_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    cases: dict[str, tuple[list[bytes], Script | None]] = {}
    for row in corpus.needed():
        if row.type == "request":
            cases[row.id] = ([row.raw], None)
        else:
            cases[row.id] = ([row.client or GET], ([row.raw], row.close))
    with_lane, without = await play_both_ways(monkeypatch, cases)
    for name, transcript in with_lane.items():
        assert (name, *astuple(transcript)) == (name, *astuple(without[name]))


async def read_on_the_lane(monkeypatch: pytest.MonkeyPatch, *rules: HttpRule) -> list[bytes]:
    """The first words of what was read as only the lane reads: a request from its client, and its answer."""
    read: list[bytes] = []
    receive_now = Wire.receive_now

    def noting(wire: Wire) -> bytes | None:
        data = receive_now(wire)
        read.append((data or b"").partition(b" ")[0])
        return data

    monkeypatch.setattr(Wire, "receive_now", noting)
    async with running_net() as net:
        stage = Stage(net)
        await stage.start(*rules)
        heard = await stage.play([GET, POST, HEAD, GET])
    assert heard.client.count(b"HTTP/1.1 200 OK") == 4
    return [word for word in read if word]


LANE = [each for asked in (b"GET", b"POST", b"HEAD", b"GET") for each in (asked, b"HTTP/1.1")]


@pytest.mark.interpreted
async def test_plain_exchanges_do_take_the_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await read_on_the_lane(monkeypatch) == LANE


@pytest.mark.interpreted
@pytest.mark.parametrize("name", ["changes", "a split"])
async def test_those_that_plain_rules_lead_take_it_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    assert await read_on_the_lane(monkeypatch, *RULES[name]) == LANE


@pytest.mark.interpreted
async def test_those_whose_rules_take_time_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the first look at each, which finds out that it is one of them."""
    assert b"HTTP/1.1" not in await read_on_the_lane(monkeypatch, *RULES["a limit of time"])


async def test_the_lane_draws_a_split_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were what it could not send drawn again, two arms would change places for as long as one has no connection."""
    with_lane, without = await play_both_ways(monkeypatch, {"many": ([GET] * 20, None)}, *RULES["a split"])
    arms = re.findall(rb"x-arm: (\w)", with_lane["many"].origin)
    assert arms == re.findall(rb"x-arm: (\w)", without["many"].origin)
    assert len(arms) == 21
    assert set(arms) == {b"a", b"b"}


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (lane, "opened"),
        (lane, "outgoing"),
        (Http1Upstream, "request"),
        (lane, "attempt"),
        (Http1Upstream, "whole_answer"),
        (lane, "returning"),
        (Http1Downstream, "response"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.interpreted
async def test_a_bug_ends_one_exchange_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, where: object, name: str
) -> None:
    async with running_net() as net:
        stage = Stage(net)
        await stage.start()
        client = await net.connect(stage.app)
        await ask(client, GET)  # a connection's first is nothing for the lane
        await net.records.next()
        net.records.all.clear()
        raised: list[str] = []

        def raising(*_: object) -> None:
            raised.append(name)
            raise ValueError("a bug")

        with monkeypatch.context() as patched:
            patched.setattr(where, name, raising)
            await client.send_all(GET)
            assert await read_all(client) == b""
        assert raised == [name]
        assert [record.flag for record in net.records.all] == (
            [] if name == "opened" else [Flag.DOWNSTREAM_CONNECTION_TERMINATION]
        )
        endpoint = net.fleet.planner.endpoints[stage.app.life]
        assert endpoint.active == 0
        assert net.fleet.sidecars[net.caller.life].load(False).requests == 0
        taken = name != "opened"  # before which no connection is
        assert any(pool._idle for pool in endpoint.pools.values()) != taken
        again = await net.connect(stage.app)
        assert b" 200 " in await ask(again, GET)
        assert b" 200 " in await ask(again, GET)
        assert len(net.fleet._reactor._wires) == 2
