"""TLS towards endpoints: what is agreed on by ALPN is spoken, and whoever cannot prove who he is gets nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from composemesh.identity.ca import Authority, spiffe_id
from composemesh.identity.contexts import HTTP, client_context, server_context
from composemesh.identity.issuer import identity
from composemesh.model.policy import ConnectionLimits
from composemesh.proxy.codec.h2 import BodyCame, ResponseHeadCame
from composemesh.proxy.codec.parts import HTTP2
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.stream import Stream
from composemesh.proxy.upstream.dial import Unconnected
from composemesh.proxy.upstream.h2 import new_link
from composemesh.proxy.upstream.secure import secure, version
from composemesh.proxy.wire import Wire
from mesh.http2 import Peer, Request, serving
from mesh.net import AUTHORITY, AnyHandler, answering, running_reactor

ROOT = AUTHORITY.root.decode()
LEAF = AUTHORITY.issue(["app.test"], datetime.now(UTC))
CLIENT = client_context(ROOT, protocols=HTTP)

Dial = Callable[[ssl.SSLContext, AnyHandler], Wire]


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    async with running_reactor(nursery) as made:
        yield made


@pytest.fixture
def dial(reactor: Reactor, nursery: trio.Nursery) -> Dial:
    """A connection to a server of other people's making, that has yet to shake hands."""

    def connect(context: ssl.SSLContext, handler: AnyHandler) -> Wire:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)

        async def serve() -> None:
            with theirs:
                plain = trio.SocketStream(trio.socket.from_stdlib_socket(theirs))
                stream = trio.SSLStream(plain, context, server_side=True)
                try:
                    await stream.do_handshake()
                    await handler(stream)
                except trio.BrokenResourceError:
                    pass

        nursery.start_soon(serve)
        return Wire(ours, reactor)

    return connect


async def test_http1(dial: Dial) -> None:
    server = server_context(LEAF, protocols=["http/1.1"])
    wire = await secure(dial(server, answering()), CLIENT, "app.test")
    assert version(wire) == 11
    await wire.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
    assert (await wire.receive()).endswith(b"ok")
    assert wire.is_quiet(), "fit for a pool"
    wire.close()


async def test_http2(dial: Dial, reactor: Reactor) -> None:
    async def answer(peer: Peer, request: Request) -> None:
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")])
        peer.h2.send_data(request.stream_id, b"x" * 10_000, end_stream=True)
        await peer.flush()

    wire = await secure(dial(server_context(LEAF), serving(answer)), CLIENT, "app.test")
    assert version(wire) == HTTP2
    link = new_link(wire, reactor, ConnectionLimits())
    stream = Stream(link, link.codec.send_head(b"GET", b"app.test", b"/", [], True))
    link.flush()
    with trio.fail_after(5):
        head = await stream.next()
        assert isinstance(head, ResponseHeadCame)
        assert head.head.status == 200
        body = b""
        while len(body) < 10_000:
            event = await stream.next()
            if isinstance(event, BodyCame):
                body += stream.accept(event)
    assert body == b"x" * 10_000
    link.close()


async def test_nothing_is_agreed_on(dial: Dial) -> None:
    wire = await secure(dial(server_context(LEAF, protocols=()), answering()), CLIENT, "app.test")
    assert version(wire) == 11
    wire.close()


async def test_a_server_that_is_another_is_not_spoken_to(dial: Dial) -> None:
    stranger = server_context(Authority.new("else", datetime.now(UTC)).issue(["app.test"], datetime.now(UTC)))
    for server, name, reason in [
        (stranger, "app.test", "unable to get local issuer"),
        (server_context(LEAF), "bank.test", "Hostname mismatch"),
    ]:
        wire = dial(server, answering())
        with pytest.raises(Unconnected, match=reason):
            await secure(wire, CLIENT, name)


async def test_a_server_that_speaks_no_tls_or_nothing_at_all(
    reactor: Reactor, autojump_clock: trio.testing.MockClock
) -> None:
    for said, reason in [(b"220 smtp.test\r\n", "wrong version number"), (b"", "not done in 10 s")]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            theirs.send(said)
            with pytest.raises(Unconnected, match=reason):
                await secure(Wire(ours, reactor), CLIENT, "app.test")


async def test_services_prove_who_they_are_to_each_other(dial: Dial) -> None:
    cart, _ = identity(AUTHORITY, spiffe_id("shop", "cart"))
    _, front = identity(AUTHORITY, spiffe_id("shop", "front"))
    wire = await secure(dial(cart.current, answering()), front.current)
    certificate = wire.session.getpeercert()
    assert certificate is not None
    assert certificate["subjectAltName"] == (("URI", spiffe_id("shop", "cart")),)
    await wire.send(b"GET / HTTP/1.1\r\nHost: cart\r\n\r\n")
    assert (await wire.receive()).endswith(b"ok")
    wire.close()
