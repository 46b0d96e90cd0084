"""TLS that is passed on as it is: nothing is decrypted, and the record names the server that was asked for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from composemesh.identity.ca import Authority
from composemesh.identity.contexts import client_context, server_context
from composemesh.model.flag import Flag
from composemesh.model.snapshot import Protocol
from composemesh.proxy import first_words
from mesh.net import GET, OK, PORT, Handler, Net, read_all, read_until

NOW = datetime.now(UTC)
AUTHORITY = Authority.new("test", NOW)
SERVER = server_context(AUTHORITY.issue(["app.localhost"], NOW))
CLIENT = client_context(AUTHORITY.root.decode())


def over_tls(handler: Handler) -> Handler:
    async def handle(stream: trio.SocketStream) -> None:
        await handler(trio.SSLStream(stream, SERVER, server_side=True, https_compatible=True))  # type: ignore[arg-type]

    return handle


async def answer(stream: trio.SocketStream) -> None:
    await read_until(stream, b"\r\n\r\n")
    await stream.send_all(OK)


async def ask_over_tls(stream: trio.abc.Stream, name: str = "app.localhost") -> bytes:
    tls = trio.SSLStream(stream, CLIENT, server_hostname=name, https_compatible=True)
    await tls.send_all(GET)
    data = await read_until(tls, b"ok")
    await tls.aclose()
    return data


async def test_the_record_names_the_server(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, over_tls(answer))
    assert (await ask_over_tls(await net.connect(app))).startswith(b"HTTP/1.1 200 ")
    record = await net.records.next()
    assert (record.protocol, record.sni, record.flag) == ("tcp", "app.localhost", Flag.NONE)
    assert record.destination is net.peer(app)


async def test_a_server_outside_has_the_name_it_was_asked_by(net: Net) -> None:
    legacy = net.add("legacy", network="elsewhere")  # on no network of the caller's: to it, an address like any
    await net.serve(legacy, over_tls(answer))
    for number in (1, 2):
        await ask_over_tls(await net.connect(legacy))
        record = await net.records.next(number)
        assert (record.destination.service, record.destination.kind.value) == ("app.localhost", "external")
    edges = {(edge.source.service, edge.destination.service) for edge in net.hub.edges}
    assert edges == {("caller", "app.localhost")}
    assert [series.opened for series in net.hub.tcp_series] == [2]


class Dripping(trio.abc.Stream):
    """A stream that sends slowly, in small pieces."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        for at in range(0, len(data), 50):
            await self._stream.send_all(bytes(data[at : at + 50]))
            await trio.testing.wait_all_tasks_blocked()

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


async def test_a_hello_in_pieces_arrives_whole(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, over_tls(answer))
    await ask_over_tls(Dripping(await net.connect(app)))
    assert (await net.records.next()).sni == "app.localhost"


ODD = {
    "no hello": b"\x16\x03\x01\x00\x04\x02\x00\x00\x00",
    "half a hello": b"\x16\x03\x01\x00\x50\x01\x00\x00",
    "bytes": b"\x16\x03\x03" + bytes(range(256)),
}


@pytest.mark.parametrize("said", ODD.values(), ids=ODD)
async def test_what_is_no_hello_passes_too(net: Net, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    monkeypatch.setattr(first_words, "PATIENCE", 0.1)
    app = net.add("app")
    got = b""

    async def listen(stream: trio.SocketStream) -> None:
        nonlocal got
        got = await read_until(stream, said)
        await stream.send_all(b"alert")

    await net.serve(app, listen)
    client = await net.connect(app)
    await client.send_all(said)
    assert await read_all(client) == b"alert"
    await client.aclose()
    record = await net.records.next()
    assert (got, record.sni, record.protocol) == (said, "", "tcp")


async def test_tls_on_a_port_that_also_speaks_http(net: Net) -> None:
    app = net.add("app")

    async def either(stream: trio.SocketStream) -> None:
        if (await stream.socket.recv(1, 2)) == b"\x16":  # MSG_PEEK
            await over_tls(answer)(stream)
        else:
            await answer(stream)

    await net.serve(app, either)
    clear = await net.connect(app)
    await clear.send_all(GET)
    await read_until(clear, b"ok")
    assert net.fleet.planner.spoken["app"].protocol(PORT) is Protocol.HTTP
    await ask_over_tls(await net.connect(app))
    assert {record.sni for record in [await net.records.next(number) for number in (1, 2)]} == {"", "app.localhost"}
