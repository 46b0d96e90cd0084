"""What a listener and a cluster take: connections, requests, time. What is refused is told and recorded."""

from __future__ import annotations

import socket

import h2.events
import pytest
import trio
import trio.testing
from h2.settings import SettingCodes

from composemesh.model.flag import Flag
from composemesh.model.listener import ListenerLimits
from composemesh.model.policy import ConnectionLimits, DestinationPolicy, H2Upgrade, KeepAlive, TrafficPolicy
from composemesh.model.snapshot import MeshSettings, Snapshot
from composemesh.proxy import multiplex
from mesh.http2 import Peer, Request, serving
from mesh.net import GET, OK, Net, answering, ask, read_all, read_until
from mesh.test_bridge import Seen


def limit(net: Net, limits: ConnectionLimits | None = None, **listener: float) -> None:
    policies = {"app": DestinationPolicy("app", TrafficPolicy(connections=limits))}
    mesh = MeshSettings(listeners=ListenerLimits(**listener))  # type: ignore[arg-type]
    net.snapshot.publish(Snapshot("test", mesh, policies=policies))


async def until_reset(stream: trio.SocketStream) -> None:
    with pytest.raises(trio.BrokenResourceError):
        await read_all(stream)


async def test_one_connection_too_many_is_reset_and_recorded(net: Net) -> None:
    limit(net, connections=2)
    app = net.add("app")
    await net.serve(app, answering())
    first, second = [await net.connect(app) for _ in range(2)]
    await ask(first, GET)

    async def one_more() -> None:
        await read_all(await net.connect(app))

    with pytest.raises((OSError, trio.BrokenResourceError)):  # a quick reset looks like a failed connect
        await one_more()
    record = next(record for record in net.records.all if record.flag is not Flag.NONE)
    assert (record.flag, record.protocol, record.destination.service) == (Flag.OVERLOAD_MANAGER, "tcp", "app")
    assert record.source is net.peer(net.caller)
    await ask(second, GET)
    assert b"ok" in await ask(await net.connect_from_outside(app), GET)  # another listener, with room of its own
    await first.aclose()
    with trio.fail_after(5):
        while len(net.fleet.sidecars[net.caller.life].connections) > 1:  # noqa: ASYNC110 - nobody is told
            await trio.sleep(0.01)
    assert b"ok" in await ask(await net.connect(app), GET)


@pytest.mark.parametrize("version", [11, 20])
async def test_one_request_too_many_is_answered_with_503(net: Net, version: int) -> None:
    limit(net, requests=1)
    app = net.add("app")
    arrived, go_on = trio.Event(), trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        arrived.set()
        await go_on.wait()
        await stream.send_all(OK)

    async def slow_in_http2(peer: Peer, request: Request) -> None:
        arrived.set()
        await go_on.wait()
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")], end_stream=True)

    await net.serve(app, slow if version == 11 else serving(slow_in_http2))
    if version == 11:
        client, other = await net.connect(app), await net.connect(app)
        await client.send_all(GET)
        with trio.fail_after(5):
            await arrived.wait()
        answer = await ask(other, GET, b"(OM)")
        assert answer.startswith(b"HTTP/1.1 503 ")
        go_on.set()
        assert b"ok" in await read_until(client, b"ok")
        assert b"ok" in await ask(other, GET)  # its connection lives, and now there is room
    else:
        h2_client = Peer(await net.connect(app), client=True)
        first = h2_client.ask()
        await h2_client.flush()
        with trio.fail_after(5):
            await arrived.wait()
        second = h2_client.ask()
        await h2_client.flush()
        refused = await h2_client.next(h2.events.ResponseReceived)
        assert refused.stream_id == second
        assert {(b":status", b"503"), (b"x-composemesh-flag", b"OM")} <= set(refused.headers)
        go_on.set()
        answered = await h2_client.next(h2.events.ResponseReceived)
        assert (answered.stream_id, dict(answered.headers)[b":status"]) == (first, b"200")
    flags = [(await net.records.next(number)).flag for number in (1, 2)]
    assert flags == [Flag.OVERLOAD_MANAGER, Flag.NONE]


async def echo(stream: trio.SocketStream) -> None:
    while more := await stream.receive_some():
        await stream.send_all(more)


async def test_a_silent_tcp_connection_has_an_end(net: Net) -> None:
    limit(net, ConnectionLimits(tcp_idle_timeout=0.4))
    app = net.add("app")
    await net.serve(app, echo)
    silent, busy = await net.connect(app), await net.connect(app)
    began = trio.current_time()
    await silent.send_all(b"*1\r\n")
    await busy.send_all(b"*1\r\n")
    for _ in range(12):
        await busy.send_all(b".")
        await trio.sleep(0.05)
    await until_reset(silent)
    assert trio.current_time() - began > 0.35
    await busy.send_all(b"end")
    await read_until(busy, b"end")
    record = await net.records.next()
    assert (record.protocol, record.flag, record.bytes_received) == ("tcp", Flag.STREAM_IDLE_TIMEOUT, 4)
    assert len(net.records.all) == 1


async def test_a_tcp_connection_may_have_a_longest_life(net: Net) -> None:
    limit(net, ConnectionLimits(max_connection_duration=0.3))
    app = net.add("app")
    await net.serve(app, echo)
    client = await net.connect(app)
    began = trio.current_time()

    async def chat() -> None:
        while True:
            await client.send_all(b"*1\r\n")
            await client.receive_some()
            await trio.sleep(0.02)

    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await chat()
    assert trio.current_time() - began > 0.25
    assert (await net.records.next()).flag is Flag.DURATION_TIMEOUT


async def test_a_silent_tunnel_has_an_end(net: Net) -> None:
    limit(net, idle_timeout=0.3)
    app = net.add("app")

    async def upgrade(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 101 Sure\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
        await echo(stream)

    await net.serve(app, upgrade)
    client = await net.connect(app)
    await client.send_all(b"GET / HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n")
    await read_until(client, b"\r\n\r\n")
    await until_reset(client)
    assert (await net.records.next()).flag is Flag.STREAM_IDLE_TIMEOUT


async def test_a_silent_tunnel_in_http2_has_an_end_and_its_connection_has_not(net: Net) -> None:
    limit(net, idle_timeout=0.4)
    app = net.add("app")

    async def chat(peer: Peer, request: Request) -> None:
        peer.h2.send_headers(
            request.stream_id, [(b":status", b"200")], end_stream=b":protocol" not in dict(request.headers)
        )

    await net.serve(app, serving(chat, {SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}))
    client = Peer(await net.connect(app), client=True)
    silent, busy = [client.ask(method=b"CONNECT", protocol=b"websocket", path=b"/", end=False) for _ in range(2)]
    await client.flush()
    reset: h2.events.StreamReset | None = None
    with trio.fail_after(5):
        while reset is None:
            client.h2.send_data(busy, b".")
            await client.flush()
            with trio.move_on_after(0.05):
                reset = await client.next(h2.events.StreamReset)
    assert reset.stream_id == silent
    assert (await net.records.next()).flag is Flag.STREAM_IDLE_TIMEOUT
    client.ask()
    await client.flush()
    await client.next(h2.events.StreamEnded)


@pytest.mark.parametrize("upgrade", [H2Upgrade.NEVER, H2Upgrade.ALWAYS])
async def test_a_connection_carries_only_so_many_requests(net: Net, upgrade: H2Upgrade) -> None:
    limit(net, ConnectionLimits(max_requests_per_connection=2, h2_upgrade=upgrade))
    app = net.add("app")
    connections = 0
    ended = 0

    async def count(stream: trio.SocketStream) -> None:
        nonlocal connections, ended
        connections += 1
        await (answering() if upgrade is H2Upgrade.NEVER else serving(Seen()))(stream)
        ended += 1

    await net.serve(app, count)
    client = await net.connect(app)
    for _ in range(6):
        await ask(client, GET)
    await trio.testing.wait_all_tasks_blocked(0.01)
    assert (connections, ended) == (3, 3)


@pytest.mark.parametrize("upgrade", [H2Upgrade.NEVER, H2Upgrade.ALWAYS])
async def test_a_connection_to_an_endpoint_may_have_a_longest_life(net: Net, upgrade: H2Upgrade) -> None:
    limit(net, ConnectionLimits(max_connection_duration=0.2, h2_upgrade=upgrade))
    app = net.add("app")
    ended = trio.Event()

    async def tell(stream: trio.SocketStream) -> None:
        await (answering() if upgrade is H2Upgrade.NEVER else serving(Seen()))(stream)
        ended.set()

    await net.serve(app, tell)
    client = await net.connect(app)
    await ask(client, GET)
    with trio.fail_after(5):
        await ended.wait()
    assert b"ok" in await ask(client, GET)  # of which the client notices nothing


async def test_the_kernel_probes_where_it_is_told_to(net: Net) -> None:
    limit(net, ConnectionLimits(keep_alive=KeepAlive(probes=3, time=60, interval=7)))
    app = net.add("app")
    await net.serve(app, answering())
    client = await net.connect(app)
    await ask(client, GET)
    (pool,) = net.fleet.planner.endpoints[app.life].pools.values()
    up = pool.checkout(repeatable=True)
    assert up is not None
    sock = up.wire.sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    options = (socket.TCP_KEEPCNT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
    assert [sock.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [3, 60, 7]
    pool.checkin(up)


LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n" + bytes(50_000_000)


async def test_a_client_that_takes_nothing_is_cut_and_a_slow_one_is_not(net: Net) -> None:
    limit(net, slow_reader_timeout=0.4)
    app = net.add("app")
    await net.serve(app, answering(LARGE))
    stopped, slow = await net.connect(app), await net.connect(app)
    await stopped.send_all(GET)
    await slow.send_all(GET)
    got = 0
    while not net.records.all:
        with trio.fail_after(5):
            got += len(await slow.receive_some(30_000))
        await trio.sleep(0.05)
    record = net.records.all[0]
    assert (record.flag, record.response_code) == (Flag.STREAM_IDLE_TIMEOUT, 200)
    for _ in range(10):
        got += len(await slow.receive_some(30_000))
        await trio.sleep(0.05)
    while got < len(LARGE):
        with trio.fail_after(5):
            more = len(await slow.receive_some(1 << 20))
        assert more, "it was cut as well"
        got += more


async def test_a_stream_whose_client_takes_nothing_is_reset(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiplex, "LOOK", 0.05)
    limit(net, slow_reader_timeout=0.3)
    app = net.add("app")
    cut = trio.Event()

    async def large(peer: Peer, request: Request) -> None:
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")])
        if dict(request.headers)[b":path"] == b"/small":
            peer.h2.end_stream(request.stream_id)
            return
        for _ in range(peer.h2.local_flow_control_window(request.stream_id) // 16384):
            peer.h2.send_data(request.stream_id, bytes(16384))
        await peer.flush()
        await peer.next(h2.events.StreamReset)
        cut.set()

    await net.serve(app, serving(large))
    stream = await net.connect(app)
    client = Peer(stream, client=True)
    stopped = client.ask()
    await client.stream.send_all(client.h2.data_to_send())
    reset = None
    with trio.fail_after(5):
        while reset is None:  # reading, but giving no window back
            for event in client.h2.receive_data(await stream.receive_some()):
                if isinstance(event, h2.events.StreamReset):
                    reset = event
        await cut.wait()
    assert reset.stream_id == stopped
    await client.flush()
    client.ask(path=b"/small")
    await client.flush()
    await client.next(h2.events.StreamEnded)


@pytest.mark.parametrize(("size", "status"), [(70_000, 200), (100_000, 431)])
async def test_heads_are_as_long_as_the_listener_says(net: Net, size: int, status: int) -> None:
    limit(net, head=80_000)
    app = net.add("app")
    await net.serve(app, answering())
    client = await net.connect(app)
    await client.send_all(GET[:-2] + b"X: " + b"y" * size + b"\r\n\r\n")
    assert (await read_until(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 %d " % status)


async def test_heads_have_as_many_fields_as_the_listener_says(net: Net) -> None:
    limit(net, fields=5)
    app = net.add("app")
    await net.serve(app, answering())
    fits = GET[:-2] + b"X: y\r\n" * 4 + b"\r\n"
    assert (await ask(await net.connect(app), fits)).startswith(b"HTTP/1.1 200 ")
    client = await net.connect(app)
    await client.send_all(fits[:-2] + b"X: y\r\n\r\n")
    assert (await read_until(client, b"\r\n\r\n")).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(("fields", "status"), [(70, b"200"), (82, b"431")])
async def test_heads_of_http2_are_as_long_as_the_listener_says(net: Net, fields: int, status: bytes) -> None:
    limit(net, ConnectionLimits(h2_upgrade=H2Upgrade.NEVER), head=80_000, fields=200)
    app = net.add("app")
    await net.serve(app, answering())
    client = Peer(await net.connect(app), client=True)
    client.ask(*[(b"x-%d" % number, b"e" * 1000) for number in range(fields)])
    await client.flush()
    assert (await client.answer())[0][b":status"] == status
