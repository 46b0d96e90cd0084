"""The server under clients that mean no good, or nothing: it lives, answers the next one, and ends in time."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from composemesh.admin import server as module
from composemesh.admin.api import make_app
from composemesh.admin.mesh_view import MeshView
from composemesh.admin.server import serve
from composemesh.model.peer import UNKNOWN
from composemesh.runtime import ports
from composemesh.stack.client import MeshClient

from .conftest import Served, converse, parse, peer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
H2C = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
)


def h2_headers(path: bytes) -> bytes:
    """A HEADERS frame for stream 1 with literal fields, in the plainest HPACK; END_HEADERS, stream left open."""
    block = b"".join(
        b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value
        for name, value in (
            (b":method", b"GET"),
            (b":scheme", b"http"),
            (b":path", path),
            (b":authority", b"localhost"),
        )
    )
    return len(block).to_bytes(3, "big") + b"\x01\x04\x00\x00\x00\x01" + block


DATA = b"\x00\x00\x03\x00\x00\x00\x00\x00\x01abc"

HOSTILE = {
    "garbage": random.Random(1).randbytes(4096),
    "tls hello": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "bare newlines": b"\n" * 1000,
    "nul": b"GET /\x00 HTTP/1.1\r\n\r\n",
    "no such version": b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
    "endless target": b"GET /" + b"a" * 200_000,
    "endless field": b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
    "many fields": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000,
    "non-ascii target": b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
    "non-ascii method": b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "non-ascii host": b"GET / HTTP/1.1\r\nHost: \xff\xff\r\n\r\n",
    "bad percent": b"GET /%zz%ff%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "both lengths": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "huge length": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "bad chunks": b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "connect": b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n",
    "expectation": b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    "h2 preface alone": PREFACE,
    "h2 and garbage": PREFACE + random.Random(2).randbytes(4096),
    "h2 non-ascii path": PREFACE + SETTINGS + h2_headers(b"/\xff\xfe"),
    "h2 data after the answer": PREFACE + SETTINGS + h2_headers(b"/") + DATA * 50,
    "h2 no path": PREFACE + SETTINGS + h2_headers(b""),
    "h2 resets": PREFACE
    + SETTINGS
    + (h2_headers(b"/") + b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08") * 3,
    "websocket": UPGRADE,
    "websocket with trailing bytes": UPGRADE + b"\x81\x85junkjunkjunk",
    "websocket without a key": UPGRADE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
    "h2c upgrade and garbage": H2C + random.Random(3).randbytes(1024),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_bytes_hurt_nobody_else(server: Served, name: str) -> None:
    data = HOSTILE[name]
    if b"%d" in data and b"Host: 127.0.0.1:%d" in data:
        data = data.replace(b"%d", b"%d" % server.port)
    async with await server.connect() as stream:
        with trio.move_on_after(0.2):  # some of it is a beginning that the server rightly waits to see the end of
            await converse(stream, data)
        assert (await server.get("/healthz/live"))[0] == 200
    assert (await server.get("/healthz/live"))[0] == 200


async def test_hostile_bytes_cut_off_anywhere(server: Served) -> None:
    """Each of them again, ended or reset at some point in the middle: half-open, half-closed, gone."""
    chance = random.Random(4)
    for number, data in enumerate(HOSTILE.values()):
        data = data.replace(b"127.0.0.1:%d", b"127.0.0.1:%d" % server.port)
        stream = await server.connect()
        try:
            with trio.move_on_after(0.5):
                await stream.send_all(data[: chance.randrange(1, min(len(data), 500))])
            if number % 2:
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # close by a reset
            else:
                await stream.send_eof()
        except trio.BrokenResourceError:
            pass  # the server was quicker to hang up
        finally:
            await trio.aclose_forcefully(stream)
    assert (await server.get("/healthz/live"))[0] == 200


async def test_a_refused_websocket_is_told(server: Served) -> None:
    assert (await server.say(UPGRADE % server.port)).startswith(b"HTTP/1.1 403")


async def test_a_flood_of_silent_connections_keeps_nobody_out(server: Served) -> None:
    async with trio.open_nursery() as nursery:
        silent = [await server.connect() for _ in range(3 * module.MOST_CONNECTIONS)]
        with trio.fail_after(2):
            assert (await server.get("/healthz/live"))[0] == 200
        with trio.fail_after(2):  # the oldest made room
            assert await silent[0].receive_some() == b""
        async with await trio.open_unix_socket(server.socket) as stream:
            request = b"GET /healthz/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            assert parse(await converse(stream, request))[0] == 200
        for stream in silent:
            nursery.start_soon(stream.aclose)


async def test_a_slow_head_has_its_time_limit(server: Served) -> None:
    async with await server.connect() as stream:
        began = trio.current_time()
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:

                async def drip() -> None:
                    try:
                        for letter in "GET /" + "a" * 100:
                            await stream.send_all(letter.encode())
                            await trio.sleep(0.2)
                    except trio.BrokenResourceError:
                        pass

                nursery.start_soon(drip)
                try:
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
                nursery.cancel_scope.cancel()
        assert 4 < trio.current_time() - began < 8


async def test_a_client_that_does_not_read_is_let_go(
    server: Served, tell: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEND_TIMEOUT", 0.3)
    for number in range(100):
        tell(UNKNOWN, peer(f"service-{number}"))
    async with await server.connect() as stream:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await stream.send_all(f"GET /metrics HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
        await trio.sleep(1)  # what is tested is time that passes in the kernel's buffers
        assert (await server.get("/healthz/live"))[0] == 200
        assert b"istio_tcp_connections_closed_total" not in await converse(stream, b"")


async def test_ends_within_a_second_whatever_clients_do(
    mesh: MeshView, tell: Callable[..., None], tmp_path: Path
) -> None:
    for number in range(100):
        tell(UNKNOWN, peer(f"service-{number}"))
    path = tmp_path / "admin.sock"
    streams = []
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve, make_app(mesh), host="127.0.0.1", port=0, unix_path=path))
        port = int(url.rpartition(":")[2])
        host = f"Host: localhost:{port}\r\n".encode()
        for data in (b"", b"GET /", PREFACE + SETTINGS, b"GET /metrics HTTP/1.1\r\n" + host + b"\r\n"):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await stream.send_all(data)
            streams.append(stream)
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()
        cancelled = trio.current_time()
    assert trio.current_time() - cancelled < module.DRAIN + 0.5
    assert not path.exists()
    for stream in streams:
        await trio.aclose_forcefully(stream)
    with pytest.raises(OSError):
        await trio.open_tcp_stream("127.0.0.1", port)


async def test_an_idle_server_ends_at_once(mesh: MeshView, nursery: trio.Nursery, tmp_path: Path) -> None:
    began = trio.current_time()
    async with trio.open_nursery() as inner:
        url = await inner.start(partial(serve, make_app(mesh), host="127.0.0.1", port=0, unix_path=None))
        async with await trio.open_tcp_stream("127.0.0.1", int(url.rpartition(":")[2])):
            inner.cancel_scope.cancel()
    assert trio.current_time() - began < 0.5


async def test_an_answer_under_way_is_finished(mesh: MeshView, tell: Callable[..., None]) -> None:
    for number in range(30):
        tell(UNKNOWN, peer(f"service-{number}"))
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve, make_app(mesh), host="127.0.0.1", port=0, unix_path=None))
        port = int(url.rpartition(":")[2])
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(f"GET /metrics HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        answer = await stream.receive_some()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            answer += await converse(stream, b"")
            await trio.aclose_forcefully(stream)
    _, _, body = parse(answer)
    assert body.count(b"\nistio_requests_total{") == 30
    assert b"istio_tcp_connections_closed_total" in body


async def test_a_taken_port_is_passed_over(mesh: MeshView, nursery: trio.Nursery) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        url = await nursery.start(partial(serve, make_app(mesh), host="127.0.0.1", port=port, unix_path=None))
        used = int(url.rpartition(":")[2])
        assert port < used <= port + ports.MORE_PORTS
        served = Served(url, used, Path(), nursery)
        assert (await served.get("/healthz/live"))[0] == 200
        assert (await served.get("/healthz/live", host=f"127.0.0.1:{port}"))[0] == 421
    nursery.cancel_scope.cancel()


async def test_no_port_left_is_one_sentence(mesh: MeshView, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "MORE_PORTS", 0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=r"are all taken: change x-mesh\.admin"):
            await serve(make_app(mesh), host="127.0.0.1", port=port, unix_path=None)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
async def test_an_address_of_another_machine_is_one_sentence(mesh: MeshView, tmp_path: Path, host: str) -> None:
    with pytest.raises(OSError, match=rf"^(\[Errno .*\] )?can't listen on {host}:15000 \(.+\): change x-mesh.admin$"):
        await serve(make_app(mesh), host=host, port=15000, unix_path=tmp_path / "admin.sock")
    assert not (tmp_path / "admin.sock").exists()


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("0.0.0.0", "http://127.0.0.1:")],
)
async def test_the_url_is_one_that_can_be_opened(mesh: MeshView, nursery: trio.Nursery, host: str, url: str) -> None:
    got = await nursery.start(partial(serve, make_app(mesh), host=host, port=0, unix_path=None))
    assert got.startswith(url)
    nursery.cancel_scope.cancel()


async def test_a_socket_left_behind_is_replaced_and_others_cannot_use_it(
    mesh: MeshView, nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = tmp_path / "admin.sock"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    before = os.umask(0)
    try:
        await nursery.start(partial(serve, make_app(mesh), host="127.0.0.1", port=0, unix_path=path))
        assert os.umask(0) == 0  # left as it was
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    async with await trio.open_unix_socket(path) as stream:
        request = b"GET /healthz/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert parse(await converse(stream, request))[0] == 200
    nursery.cancel_scope.cancel()


async def test_a_folder_may_have_a_name_too_long_for_a_socket(
    mesh: MeshView, nursery: trio.Nursery, tmp_path: Path
) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    await nursery.start(partial(serve, make_app(mesh), host="127.0.0.1", port=0, unix_path=folder / "admin.sock"))
    status = await trio.to_thread.run_sync(MeshClient(folder / "admin.sock").status)
    assert status["project"] == "shop"
    nursery.cancel_scope.cancel()
