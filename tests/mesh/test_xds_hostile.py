"""Clients of xDS that mean ill, or are broken: each costs little, and everybody else is served on."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing
import trio
from h2.errors import ErrorCodes

from composemesh.model.snapshot import Snapshot
from composemesh.xds import http2, protos
from composemesh.xds import server as module
from composemesh.xds.frames import MOST_BYTES as MOST_FRAME
from composemesh.xds.grpc import MOST_BYTES, framed
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT
from composemesh.xds.watch import MOST_NAMES
from mesh.discovery import ADS, DELTA, Client, discovery, request
from mesh.net import Net
from mesh.xds import Control, control, speaks_http

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@pytest.fixture
async def server(net: Net) -> AsyncIterator[Control]:
    net.add("reviews")
    net.snapshot.publish(Snapshot("test", services=speaks_http("reviews")))
    async with control(net) as running:
        yield running
        await served(running)


async def served(server: Control, cluster: str = "outbound|8080||reviews") -> None:
    """An honest client gets what it asks for, sooner or later."""
    client = await discovery(server)
    number = await client.call()
    await client.say(number, request(CLUSTER))
    heard = await client.hear(number)
    while cluster not in names_in(heard):
        await client.say(number, request(CLUSTER, response_nonce=heard.nonce, version_info=heard.version_info))
        heard = await client.hear(number)
    await client.stream.aclose()


def names_in(response: Any) -> list[str]:
    cluster = protos.message("envoy.config.cluster.v3.Cluster")
    return [cluster.FromString(each.value).name for each in response.resources]


async def answer_to(server: Control, data: bytes) -> bytes:
    """What comes back until the server closes; where it waits for more, our half is closed."""
    stream = await server.connect()
    received = b""
    with trio.fail_after(20):
        try:
            await stream.send_all(data)
            await stream.send_eof()
            while more := await stream.receive_some():
                received += more
        except trio.BrokenResourceError:
            pass
    return received


# === bytes that are no protocol ===


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P",
        b"PRI",
        b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 4096,
        b"\xff" * 100_000,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x00",
        PREFACE + b"\x00\x00\x00\x01\x05\x00\x00\x00\x01",
        PREFACE + SETTINGS + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff",
        PREFACE + SETTINGS + b"\x00\x00\x04\x03\x00\x00\x00\x00\x07\x00\x00\x00\x08",
        PREFACE + SETTINGS + b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        PREFACE + SETTINGS + b"\x00\x00\x05\x04\x00\x00\x00\x00\x00abcde",
    ],
)
async def test_garbage_ends_its_own_connection(server: Control, data: bytes) -> None:
    await answer_to(server, data)


async def test_every_cut_of_an_honest_beginning_is_survived(server: Control) -> None:
    client = Client(trio.testing.memory_stream_pair()[0])
    data = client.h2.data_to_send()
    async with trio.open_nursery() as nursery:
        for end in range(1, len(data)):
            nursery.start_soon(answer_to, server, data[:end])


@pytest.mark.parametrize("frame", ["settings", "ping", "priority", "unknown", "empty data", "window"])
async def test_floods_of_frames_that_bring_nothing_end(server: Control, frame: str) -> None:
    client = await discovery(server)
    number = await client.call()
    one = {
        "settings": SETTINGS,
        "ping": b"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + b"12345678",
        "priority": b"\x00\x00\x05\x02\x00" + struct.pack(">IIB", number, 0, 1),
        "unknown": b"\x00\x00\x01\xee\x00\x00\x00\x00\x00x",
        "empty data": b"\x00\x00\x00\x00\x00" + struct.pack(">I", number),
        "window": b"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01",
    }[frame]
    with trio.fail_after(20):
        try:
            while True:
                await client.stream.send_all(one * 500)
        except trio.BrokenResourceError:
            return


async def test_rapid_resets_end(server: Control) -> None:
    client = await discovery(server)
    with trio.fail_after(20):
        try:
            for _ in range(10_000):
                number = await client.call()
                client.h2.reset_stream(number)
                await client.flush()
        except trio.BrokenResourceError:
            return
    pytest.fail("ten thousand streams were opened and reset")


async def test_more_calls_than_allowed_end_the_connection(server: Control) -> None:
    client = await discovery(server)
    client.h2.remote_settings.max_concurrent_streams = 1000
    for _ in range(http2.MOST_CALLS + 1):
        await client.call()
    assert await client.farewell() is not None


async def test_a_frame_that_is_too_long_is_refused_when_it_is_announced(server: Control) -> None:
    client = await discovery(server)
    for each in (b"\x00", b"\x40", b"\x01"):
        await client.stream.send_all(each)
    goodbye = await client.farewell()
    assert goodbye is not None
    assert goodbye.error_code == ErrorCodes.FRAME_SIZE_ERROR


async def test_nobody_takes_sixteen_mib_of_one_frame(server: Control) -> None:
    stream = await server.connect()
    frame = b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * (15 << 20)
    with trio.fail_after(20), pytest.raises(trio.BrokenResourceError):
        await stream.send_all(PREFACE + SETTINGS + frame)


async def test_frames_as_long_as_they_may_be_are_taken(server: Control) -> None:
    client = await discovery(server)
    number = await client.call()
    await client.send(number, framed(b"\xff" * (MOST_FRAME - 5)), end=True)
    assert (await client.status(number))["grpc-status"] == "3"


# === calls that are none ===


async def test_a_method_that_there_is_not(server: Control) -> None:
    client = await discovery(server)
    status = await client.status(await client.call("/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"))
    assert status["grpc-status"] == "12"
    number = await client.call("/" + "é" * 1000)
    assert (await client.status(number))["grpc-status"] == "12"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (framed(b"\xff\xff\xff"), "3"),
        (framed(b""), "3"),
        (b"\x01" + framed(b"abc")[1:], "12"),
        (b"\x00" + (MOST_BYTES + 1).to_bytes(4, "big"), "8"),
        (b"\xff" * 1000, "12"),
        (b"\x00\x00\x00\x00\x09abc", "3"),
    ],
)
@pytest.mark.parametrize("path", [ADS, DELTA])
async def test_messages_that_are_none_end_their_call(server: Control, data: bytes, status: str, path: str) -> None:
    client = await discovery(server)
    number = await client.call(path)
    await client.send(number, data, end=True)
    assert (await client.status(number))["grpc-status"] == status


async def test_a_call_that_fails_leaves_the_others_alone(server: Control) -> None:
    client = await discovery(server)
    good = await client.call()
    await client.say(good, request(CLUSTER))
    assert (await client.hear(good)).type_url == CLUSTER
    bad = await client.call()
    await client.send(bad, b"\xff" * 10)
    assert (await client.status(bad))["grpc-status"] == "12"
    await client.say(good, request(ENDPOINT, "outbound|8080||reviews"))
    assert (await client.hear(good)).type_url == ENDPOINT


async def test_a_hundred_thousand_names(server: Control) -> None:
    client = await discovery(server)
    number = await client.call()
    with structlog.testing.capture_logs() as logs:
        await client.say(number, request(ENDPOINT, *(f"name-{each}" for each in range(100_000))))
        status = await client.status(number)
    assert status["grpc-status"] == "8"
    assert str(MOST_NAMES) in status["grpc-message"]
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["xds call refused"]


async def test_a_message_of_sixteen_mib(server: Control) -> None:
    client = await discovery(server)
    number = await client.call()
    await client.send(number, b"\x00" + (16 << 20).to_bytes(4, "big"))
    assert (await client.status(number))["grpc-status"] == "8"


async def test_types_that_nobody_serves_are_answered_and_told_once(server: Control) -> None:
    client = await discovery(server)
    number = await client.call()
    url = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            await client.say(number, request(url, "key", response_nonce=""))
            assert list((await client.hear(number)).resources) == []
    assert [line["type"] for line in logs if line["event"] == "xds client asks for what is not served"] == [url]


async def test_stale_nonces_and_refusals_of_nothing(server: Control) -> None:
    client = await discovery(server)
    number = await client.call()
    await client.say(number, request(CLUSTER))
    first = await client.hear(number)
    for nonce in ("0", "99", "x" * 1000, "\u2028"):
        await client.say(number, request(CLUSTER, response_nonce=nonce, error_detail={"message": "no"}))
    await client.say(number, request(CLUSTER, response_nonce=first.nonce, version_info=first.version_info))
    await server.until(cluster="synced")
    assert [problem for problem in server.port.problems() if problem.code == "xds-refused"] == []


# === those that take no part ===


async def test_who_never_reads_costs_one_answer(net: Net, server: Control) -> None:
    """The world changes fifty times meanwhile; a client whose window was full then hears of the last."""
    many = [f"service-{each}" for each in range(400)]
    net.snapshot.publish(Snapshot("test", services=speaks_http("reviews", *many)))
    client = await discovery(server)
    number = await client.call()
    await client.say(number, request(CLUSTER))
    await server.until(cluster="waiting")
    for version in range(50):
        net.snapshot.publish(Snapshot("test", services=speaks_http("reviews", *many, f"new-{version}")))
        await served(server)
    await served(server, "outbound|8080||new-49")
    heard = await client.hear(number)
    assert len(heard.resources) == 401
    while "outbound|8080||new-49" not in names_in(heard):
        await client.say(number, request(CLUSTER, response_nonce=heard.nonce, version_info=heard.version_info))
        heard = await client.hear(number)
    assert int(heard.nonce) <= 3


async def test_connections_by_the_hundreds_make_room_for_who_calls(server: Control) -> None:
    silent = [await server.connect() for _ in range(module.MOST_CONNECTIONS + 20)]
    await served(server)
    for stream in silent:
        stream.socket.close()


async def test_connections_with_calls_are_not_pushed_out(server: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_CONNECTIONS", 3)
    clients = []
    for _ in range(3):
        client = await discovery(server)
        number = await client.call()
        await client.say(number, request(CLUSTER))
        await client.hear(number)
        clients.append((client, number))
    assert await answer_to(server, PREFACE) == b""
    for client, number in clients:
        await client.say(number, request(ENDPOINT, "outbound|8080||reviews"))
        assert (await client.hear(number)).type_url == ENDPOINT
        await client.stream.aclose()
    with trio.fail_after(10):
        while server.port.rows():  # noqa: ASYNC110
            await trio.sleep(0.005)


async def test_slow_lines_are_waited_for_not_for_ever(server: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_BYTES", 0.2)
    stream = await server.connect()
    await stream.send_all(b"PR")
    with trio.fail_after(10):
        assert await stream.receive_some() == b""


async def test_a_crowd_of_different_clients_is_bounded(server: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("composemesh.xds.worlds.MOST_ASKERS", 3)
    client = await discovery(server)
    statuses = []
    for each in range(5):
        number = await client.call()
        await client.say(number, request(CLUSTER, node=f"node-{each}"))
        if each < 3:
            assert len((await client.hear(number)).resources) == 1
        else:
            statuses.append((await client.status(number))["grpc-status"])
    assert statuses == ["8", "8"]
    monkeypatch.undo()
    await client.stream.aclose()


async def test_resets_of_the_socket_are_no_news(server: Control) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(20):
            stream = await server.connect()
            await stream.send_all(PREFACE + SETTINGS)
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
        await served(server)
    assert [line for line in logs if line["log_level"] != "info"] == []
