"""TLS on our own sockets: both sides of it, its ends, and what a peer may do to it."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from composemesh.identity.ca import Authority
from composemesh.identity.contexts import client_context, server_context
from composemesh.proxy import tls
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.relay import Moved, relay
from composemesh.proxy.tls import PIECE, HandshakeFailed, TlsWire
from composemesh.proxy.wire import Wire
from mesh.net import running_reactor

NOW = datetime.now(UTC)
AUTHORITY = Authority.new("test", NOW)
ROOT = AUTHORITY.root.decode()
LEAF = AUTHORITY.issue(["app.localhost"], NOW)
SERVER = server_context(LEAF)
CLIENT = client_context(ROOT, protocols=["h2", "http/1.1"])
OLD_CLIENT = client_context(ROOT, maximum="TLSV1_2")
OPENED: list[socket.socket] = []
"""Of the present test: closed behind it."""


@pytest.fixture
async def reactor(nursery: trio.Nursery) -> AsyncIterator[Reactor]:
    async with running_reactor(nursery) as made:
        yield made
    for sock in OPENED:
        sock.close()
    OPENED.clear()


def sockets(room: int = 0) -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    OPENED.extend((ours, theirs))
    for sock in (ours, theirs):
        sock.setblocking(False)
        if room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
    return ours, theirs


async def shaken(*wires: TlsWire) -> None:
    async with trio.open_nursery() as nursery:
        for wire in wires:
            nursery.start_soon(wire.handshake)


async def pair(
    reactor: Reactor,
    server: ssl.SSLContext = SERVER,
    client: ssl.SSLContext = CLIENT,
    *,
    room: int = 0,
    over: type[TlsWire] = TlsWire,
) -> tuple[TlsWire, TlsWire]:
    """A server's and a client's end."""
    ours, theirs = sockets(room)
    here = over(Wire(ours, reactor), server, server=True)
    there = over(Wire(theirs, reactor), client, name="app.localhost")
    await shaken(here, there)
    return here, there


async def raw_pair(reactor: Reactor) -> tuple[TlsWire, ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO, socket.socket]:
    """A server's end, and a client of which a test decides what is sent when."""
    ours, theirs = sockets()
    here = TlsWire(Wire(ours, reactor), SERVER, server=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = CLIENT.wrap_bio(incoming, outgoing, server_hostname="app.localhost")

    async def shake() -> None:
        stream = trio.socket.from_stdlib_socket(theirs)
        while True:
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                await stream.send(outgoing.read())
                incoming.write(await stream.recv(65536))
            else:
                await stream.send(outgoing.read())
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.handshake)
        nursery.start_soon(shake)
    return here, client, incoming, outgoing, theirs


async def received(wire: Wire, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = await wire.receive()
        assert more
        data += more
    return data


@pytest.mark.parametrize("client", [CLIENT, OLD_CLIENT], ids=["1.3", "1.2"])
async def test_what_one_side_says_the_other_hears(reactor: Reactor, client: ssl.SSLContext) -> None:
    here, there = await pair(reactor, client=client)
    assert here.session.version() == there.session.version() == ("TLSv1.3" if client is CLIENT else "TLSv1.2")
    await there.send(b"question")
    assert await here.receive() == b"question"
    await here.send(b"answer")
    assert await there.receive() == b"answer"
    here.close()
    assert await there.receive() == b""
    assert await there.receive() == b""
    there.close()


async def test_the_protocol_is_agreed_on(reactor: Reactor) -> None:
    here, there = await pair(reactor)
    assert (here.alpn, there.alpn) == ("h2", "h2")
    here, there = await pair(reactor, client=client_context(ROOT, protocols=["http/1.1"]))
    assert (here.alpn, there.alpn) == ("http/1.1", "http/1.1")
    here, there = await pair(reactor, client=client_context(ROOT, protocols=["irc"]))
    assert (here.alpn, there.alpn) == ("", "")
    here, there = await pair(reactor, client=client_context(ROOT))
    assert (here.alpn, there.alpn) == ("", "")


async def test_large_messages_meet_back_pressure_and_arrive_whole(reactor: Reactor) -> None:
    here, there = await pair(reactor, room=4096)
    sent = bytes(range(256)) * 40_000
    heard = bytearray()

    async def write() -> None:
        await here.send(sent)
        here.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert len(here._unsent) <= PIECE + 1000, "one piece is encrypted ahead, and no more"
        while data := await there.receive():
            heard += data
    assert heard == sent


async def test_what_is_sent_may_be_overwritten_while_it_waits(reactor: Reactor) -> None:
    here, there = await pair(reactor, room=4096)
    buffer = bytearray(b"a" * 500_000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.send, memoryview(buffer))
        await trio.testing.wait_all_tasks_blocked(0.01)
        buffer[:] = b"b" * len(buffer)
        assert await received(there, 500_000) == b"a" * 500_000


async def test_two_directions_at_once_do_not_wait_for_each_other(reactor: Reactor) -> None:
    here, there = await pair(reactor, room=4096)
    amount = 2_000_000

    async def check(wire: TlsWire, said: bytes) -> None:
        assert await received(wire, amount) == said * amount

    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.send, b"h" * amount)
        nursery.start_soon(there.send, b"t" * amount)
        nursery.start_soon(check, here, b"t")
        nursery.start_soon(check, there, b"h")


async def test_small_reads_leave_the_rest_for_later(reactor: Reactor) -> None:
    here, there = await pair(reactor)
    for word in (b"one", b"two", b"three"):
        await there.send(word)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert [await here.receive(4) for _ in range(3)] == [b"onet", b"woth", b"ree"]
    assert here.is_quiet()
    buffer = bytearray(10)
    await there.send(b"four")
    assert await here.receive_into(memoryview(buffer)) == 4
    assert buffer[:4] == b"four"


async def test_one_record_carries_what_was_sent_at_once(reactor: Reactor) -> None:
    here, client, incoming, _, theirs = await raw_pair(reactor)
    await trio.testing.wait_all_tasks_blocked(0.01)
    incoming.write(theirs.recv(65536))  # session tickets
    with pytest.raises(ssl.SSLWantReadError):
        client.read()
    await here.send(b"head" + b"body" * 2000)
    cipher = theirs.recv(65536)
    assert cipher[0] == 23  # application data
    assert int.from_bytes(cipher[3:5]) == len(cipher) - 5, "one record"
    here.close()


async def test_tickets_are_no_data(reactor: Reactor) -> None:
    """A server's session tickets arrive after the handshake: a connection in a pool is quiet all the same."""
    _, there = await pair(reactor)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert there.readable
    assert there.is_quiet()
    assert there.is_quiet()


async def test_waiting_for_data_is_not_ended_by_a_ticket(reactor: Reactor) -> None:
    here, there = await pair(reactor)
    with trio.move_on_after(0.02) as waited:
        await there.until_readable()
    assert waited.cancelled_caught
    with pytest.raises(BlockingIOError):
        there.peek(4)
    await here.send(b"greeting")
    await there.until_readable()
    assert there.peek(5) == b"greet"
    assert not there.is_quiet()
    assert await there.receive() == b"greeting"
    assert there.is_quiet()


async def test_a_session_that_was_kept_is_resumed(reactor: Reactor) -> None:
    here, there = await pair(reactor, client=OLD_CLIENT)
    ours, theirs = sockets()
    again = TlsWire(Wire(theirs, reactor), OLD_CLIENT, name="app.localhost")
    again.session.session = there.session.session
    await shaken(TlsWire(Wire(ours, reactor), SERVER, server=True), again)
    assert again.session.session_reused
    here.close()


async def test_a_connection_cut_without_a_close_notify_reads_as_a_reset(reactor: Reactor) -> None:
    here, there = await pair(reactor)
    await there.send(b"part of it")
    there.sock.shutdown(socket.SHUT_RDWR)  # as anybody on the way could do
    assert await here.receive() == b"part of it"
    for _ in range(2):
        with pytest.raises(ConnectionResetError, match="close_notify"):
            await here.receive()
    assert here.ended
    assert not here.is_quiet()


async def test_a_record_cut_in_half_is_not_the_end_of_anything(reactor: Reactor) -> None:
    here, client, _, outgoing, theirs = await raw_pair(reactor)
    client.write(b"x" * 1000)
    theirs.send(outgoing.read()[:500])
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionResetError, match="close_notify"):
        await here.receive()


async def test_a_record_changed_on_the_way_ends_the_connection(reactor: Reactor) -> None:
    here, client, _, outgoing, theirs = await raw_pair(reactor)
    client.write(b"good")
    good = outgoing.read()
    client.write(b"evil")
    evil = bytearray(outgoing.read())
    evil[-1] ^= 1
    theirs.send(good + evil)
    assert await here.receive() == b"good"
    for _ in range(2):
        with pytest.raises(ConnectionResetError, match="bad record mac"):
            await here.receive()
    with pytest.raises(OSError):
        await here.send(b"more")
    here.close()


async def test_a_half_closed_connection_goes_on_in_the_other_direction(reactor: Reactor) -> None:
    here, there = await pair(reactor)
    await here.send(b"before")
    await there.until_readable()  # decrypted, and not yet asked for
    there.finish()
    assert await here.receive() == b""
    await here.send(b"after")
    assert await received(there, 11) == b"beforeafter"
    here.finish()
    assert await there.receive() == b""
    with pytest.raises(BrokenPipeError):
        await there.send(b"more")
    here.close()
    there.close()


async def test_a_last_word_waits_for_room(reactor: Reactor) -> None:
    """finish() while ciphertext is still waiting: the reactor sends it, then the goodbye, then shuts the socket."""
    here, there = await pair(reactor, room=4096)
    assert here.send_now(b"x" * 60_000) == 60_000
    assert here.send_now(b"y") == 0
    here.finish()
    assert await received(there, 60_000) == b"x" * 60_000
    assert await there.receive() == b""


async def test_the_reactor_sends_what_was_left_without_anybody_waiting(reactor: Reactor) -> None:
    here, there = await pair(reactor, room=4096)
    total = here.send_now(b"x" * 1_000_000)
    assert total == PIECE
    assert await received(there, PIECE) == b"x" * PIECE
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert here.send_now(b"more") == 4


async def test_a_peer_that_has_gone_fails_the_writer(reactor: Reactor) -> None:
    here, there = await pair(reactor, room=4096)
    failed: list[int | None] = []

    async def write() -> None:
        with pytest.raises(OSError) as problem:
            await here.send(bytes(1_000_000))
        failed.append(problem.value.errno)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked(0.01)
        there.reset()
    assert failed == [errno.EPIPE]


async def test_what_could_not_be_sent_was_not_sent(reactor: Reactor) -> None:
    """At once, and not only to whoever waits: a request that the kernel did not take may be sent elsewhere."""
    for gone in (TlsWire.close, TlsWire.reset):
        here, there = await pair(reactor)
        gone(there)
        with pytest.raises(BrokenPipeError):
            await here.send(b"request")
        with pytest.raises(BrokenPipeError):
            here.send_now(b"request")


async def test_closing_wakes_whoever_waits(reactor: Reactor) -> None:
    here, _ = await pair(reactor)

    async def read() -> None:
        with pytest.raises(OSError):
            await here.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked(0.01)
        here.close()
    here.close()


async def test_a_cancelled_read_loses_nothing(reactor: Reactor) -> None:
    here, there = await pair(reactor)
    with trio.move_on_after(0.01):
        await here.receive()
    await there.send(b"still here")
    assert await here.receive() == b"still here"


async def test_relays_carry_it_and_pass_on_how_it_ended(reactor: Reactor) -> None:
    """Bulk through two TLS connections: more than `relay` leaves to the kernel, which could not decrypt it."""
    client, downstream = await pair(reactor)
    upstream, server = await pair(reactor)
    amount = 3_000_000
    result: list[bool] = []

    async def mesh() -> None:
        result.append(await relay(downstream, upstream, Moved()))

    async def echo() -> None:
        assert len(await received(server, amount)) == amount
        assert await server.receive() == b""
        await server.send(b"thanks")
        server.finish()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(mesh)
        nursery.start_soon(echo)
        await client.send(bytes(amount))
        client.finish()
        assert await received(client, 6) == b"thanks"
        assert await client.receive() == b""
    assert result == [True]


async def test_a_relay_passes_on_a_cut(reactor: Reactor) -> None:
    client, downstream = await pair(reactor)
    upstream, server = await pair(reactor)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay, downstream, upstream, Moved())
        await client.send(b"begun")
        assert await server.receive() == b"begun"
        client.sock.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            await server.receive()


def first_flight() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = CLIENT.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="app.localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "http request"),
        (b"\x16\x03\x01\x00\x02\xff\xff", "unexpected message|connection ended"),
        (b"\x16\x03\x01\xff\xff" + bytes(70_000), "packet length too long|excessive message size"),
        (b"\x15\x03\x01\x00\x02\x02\x28", "alert|unexpected"),
        (bytes(600), "wrong version number|unsupported protocol|unexpected|packet length"),
        (b"", "connection ended"),
    ],
    ids=["http", "no hello", "oversized record", "alert", "zeros", "nothing"],
)
async def test_garbage_for_a_handshake_is_one_clear_sentence(reactor: Reactor, said: bytes, reason: str) -> None:
    ours, theirs = sockets()
    here = TlsWire(Wire(ours, reactor), SERVER, server=True)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    theirs.send(said)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(HandshakeFailed, match=reason):
        await here.handshake()
    here.close()
    theirs.close()


async def test_every_beginning_of_a_handshake_ends_it_clearly(reactor: Reactor) -> None:
    hello = first_flight()
    for end in range(0, len(hello), 7):
        ours, theirs = sockets()
        here = TlsWire(Wire(ours, reactor), SERVER, server=True)
        theirs.send(hello[:end])
        theirs.close()
        with pytest.raises(HandshakeFailed):
            await here.handshake()
        here.close()


async def test_a_handshake_that_stalls_ends_in_time(reactor: Reactor, autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = sockets()
    here = TlsWire(Wire(ours, reactor), SERVER, server=True)
    theirs.send(first_flight()[:100])
    with pytest.raises(HandshakeFailed, match="not done in 10 s"):
        await here.handshake()
    assert trio.current_time() == pytest.approx(tls.HANDSHAKE_TIMEOUT)


async def test_bytes_that_were_read_before_belong_to_the_handshake(reactor: Reactor) -> None:
    """As after a look at the ClientHello, that decides whether and by whom a connection is terminated."""
    ours, theirs = sockets()
    plain = Wire(ours, reactor)
    there = TlsWire(Wire(theirs, reactor), CLIENT, name="app.localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(there.handshake)
        hello = await plain.receive(50)
        here = TlsWire(plain, SERVER, server=True, first=hello)
        await here.handshake()
    plain.close()  # the connection is no longer its own
    await here.send(b"welcome")
    assert await there.receive() == b"welcome"


async def test_early_words_after_a_handshake_are_not_lost(reactor: Reactor) -> None:
    """A client's Finished and its first request often come in one segment."""
    ours, theirs = sockets()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = CLIENT.wrap_bio(incoming, outgoing, server_hostname="app.localhost")
    here = TlsWire(Wire(ours, reactor), SERVER, server=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(here.handshake)
        stream = trio.socket.from_stdlib_socket(theirs)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        await stream.send(outgoing.read())
        incoming.write(await stream.recv(65536))
        client.do_handshake()
        client.write(b"at once")
        await stream.send(outgoing.read())
    assert await here.receive() == b"at once"


async def test_a_server_wants_a_certificate_or_does_not(reactor: Reactor) -> None:
    strangers = Authority.new("strangers", NOW)
    me = client_context(ROOT, credentials=AUTHORITY.issue(["spiffe://cluster.local/ns/shop/sa/cart"], NOW))
    stranger = client_context(ROOT, credentials=strangers.issue(["cart"], NOW))
    strict = server_context(LEAF, clients=ROOT, required=True)
    lenient = server_context(LEAF, clients=ROOT)

    here, _ = await pair(reactor, strict, me)
    certificate = here.session.getpeercert()
    assert certificate is not None
    assert certificate["subjectAltName"] == (("URI", "spiffe://cluster.local/ns/shop/sa/cart"),)
    here, _ = await pair(reactor, lenient, CLIENT)
    assert here.session.getpeercert() is None

    for server, client, reason in [
        (strict, CLIENT, "peer did not return a certificate"),
        (strict, stranger, "certificate verify failed: unable to get local issuer certificate"),
        (lenient, stranger, "certificate verify failed: unable to get local issuer certificate"),
    ]:
        ours, theirs = sockets()
        here = TlsWire(Wire(ours, reactor), server, server=True)
        there = TlsWire(Wire(theirs, reactor), client, name="app.localhost")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(there.handshake)
            with pytest.raises(HandshakeFailed, match=reason):
                await here.handshake()
            here.close()
        with pytest.raises(ConnectionResetError, match=r"alert|close_notify"):
            await there.receive()  # in TLS 1.3 a client learns it only now


async def test_a_client_does_not_believe_everybody(reactor: Reactor) -> None:
    expired = AUTHORITY.issue(["app.localhost"], NOW.replace(year=NOW.year - 1))
    for server, name, reason in [
        (SERVER, "other.localhost", "Hostname mismatch"),
        (server_context(Authority.new("else", NOW).issue(["app.localhost"], NOW)), "app.localhost", "issuer"),
        (server_context(expired), "app.localhost", "expired"),
    ]:
        ours, theirs = sockets()
        here = TlsWire(Wire(ours, reactor), server, server=True)
        there = TlsWire(Wire(theirs, reactor), CLIENT, name=name)

        async def refused(here: TlsWire = here) -> None:
            with pytest.raises(HandshakeFailed, match="alert"):
                await here.handshake()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(refused)
            with pytest.raises(HandshakeFailed, match=reason):
                await there.handshake()
            there.close()


async def test_versions_and_ciphers_are_as_they_were_set(reactor: Reactor) -> None:
    only = server_context(LEAF, maximum="TLSV1_2", ciphers=["ECDHE-ECDSA-AES256-GCM-SHA384"])
    here, _ = await pair(reactor, only)
    assert here.session.cipher() == ("ECDHE-ECDSA-AES256-GCM-SHA384", "TLSv1.2", 256)
    with pytest.raises(BaseExceptionGroup) as group:
        await pair(reactor, server_context(LEAF, minimum="TLSV1_3"), OLD_CLIENT)
    assert group.group_contains(HandshakeFailed)


async def test_a_torrent_of_tiny_records_lets_others_run(reactor: Reactor) -> None:
    here, there = await pair(reactor)
    ran: list[int] = []
    stop = trio.CancelScope()

    async def other() -> None:
        with stop:
            while True:
                await trio.lowlevel.checkpoint()
                ran.append(1)

    async def write() -> None:
        for _ in range(5000):
            await there.send(b".")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        nursery.start_soon(write)
        assert await received(here, 5000) == b"." * 5000
        stop.cancel()
    assert len(ran) > 1


async def test_others_have_their_turn_however_many_tiny_records_have_come(reactor: Reactor) -> None:
    """Counted in bytes, 64 KiB of records of one byte would be one read."""
    here, client, _, outgoing, theirs = await raw_pair(reactor)
    for _ in range(2500):
        client.write(b".")
    theirs.setblocking(True)
    await trio.to_thread.run_sync(theirs.sendall, outgoing.read())
    turns = 0
    stop = trio.CancelScope()

    async def others() -> None:
        nonlocal turns
        with stop:
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        assert await received(here, 2500) == b"." * 2500
        stop.cancel()
    assert turns >= 2500 // tls.MOST_RECORDS // 2
    here.close()


async def test_repr_tells_the_state(reactor: Reactor) -> None:
    ours, _ = sockets()
    assert "handshaking" in repr(TlsWire(Wire(ours, reactor), SERVER, server=True))
    here, _ = await pair(reactor)
    assert repr(here).startswith("<TlsWire TLSv1.3 h2 ")
