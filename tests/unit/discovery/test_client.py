"""The client against a server that says the engine's bytes, and worse ones."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from composemesh.discovery.docker.client import (
    ANSWER_LIMIT,
    CONNECTIONS,
    EVENT_LIMIT,
    DockerClient,
    EngineError,
    EngineSilent,
    EngineUnreachable,
    EventStream,
)
from composemesh.discovery.docker.connection import Endpoint
from unit.discovery.engine import Engine, answer

HEAD = b"HTTP/1.1 200 OK\r\n"


def says(data: bytes, *, then_close: bool = False) -> Callable[[trio.SocketStream], Awaitable[None]]:
    """A script that sends these bytes."""

    async def script(stream: trio.SocketStream) -> None:
        await stream.send_all(data)
        if then_close:
            await stream.aclose()

    return script


async def is_silent(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


def a_line(text: str) -> bool:
    return text == "".join(char for char in text if char.isprintable()) and text.endswith((".", "?"))


# -- where the engine is --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "host", "port", "authority"),
    [
        ("unix:///var/run/docker.sock", "/var/run/docker.sock", "", 0, "docker"),
        ("tcp://10.0.0.7:2376", "", "10.0.0.7", 2376, "10.0.0.7:2376"),
        ("tcp://engine", "", "engine", 2375, "engine:2375"),
        ("http://[::1]:2375", "", "::1", 2375, "[::1]:2375"),
    ],
)
def test_an_endpoint_is_spelled_as_in_docker_host(text: str, path: str, host: str, port: int, authority: str) -> None:
    endpoint = Endpoint.parse(text)
    assert (endpoint.path, endpoint.host, endpoint.port, endpoint.authority) == (path, host, port, authority)


@pytest.mark.parametrize(
    "text", ["", "ssh://me@host", "unix://", "tcp://host:many", "tcp://", "npipe:////./pipe/x", "//["]
)
def test_an_endpoint_of_another_kind_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(EngineUnreachable) as refused:
        DockerClient(text)
    assert a_line(str(refused.value))


async def test_a_missing_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineUnreachable, match="does not exist: start Docker") as refused:
        await DockerClient(f"unix://{tmp_path}/none.sock").get("version")
    assert f"{tmp_path}/none.sock" in str(refused.value)


async def test_a_socket_without_a_listener_is_told_from_a_missing_one(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "docker.sock"))
    with pytest.raises(EngineUnreachable, match="No engine listens at Docker's socket"):
        await DockerClient(f"unix://{tmp_path}/docker.sock").get("version")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_lack_of_permission_says_how_to_get_it(number: int) -> None:
    # Said by the kernel to users only; the tests may run as root.
    reason = Endpoint.parse("unix:///var/run/docker.sock").explain(PermissionError(number, "Permission denied"))
    assert (
        reason == "No permission to use Docker's socket /var/run/docker.sock: run as root or join the group `docker`."
    )


async def test_a_tcp_port_where_nothing_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        with pytest.raises(EngineUnreachable, match="check DOCKER_HOST") as refused:
            await DockerClient(f"tcp://127.0.0.1:{port}").get("version")
    assert a_line(str(refused.value))


async def test_tcp_works_like_the_socket(engine: Engine, nursery: trio.Nursery) -> None:
    listeners = await nursery.start(trio.serve_tcp, engine._serve, 0)
    port = listeners[0].socket.getsockname()[1]
    async with DockerClient(f"tcp://127.0.0.1:{port}") as client:
        assert await client.negotiate() == "1.41"
    assert f"Host: 127.0.0.1:{port}".lower().encode() in engine.heads[0].lower()


# -- questions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "oldest", "agreed"),
    [
        ("1.41", "1.12", "1.41"),
        ("1.99", "1.24", "1.51"),
        ("1.99", "1.60", "1.60"),
        ("1.24", None, "1.24"),
        (None, None, "1.51"),
        (7, [], "1.51"),
        ("\u0661.\u0664", "1.x", "1.51"),
        ("1" * 50 + ".1", "", "1.51"),
    ],
)
async def test_the_newest_version_that_both_know_is_spoken(
    engine: Engine, newest: object, oldest: object, agreed: str
) -> None:
    engine.scripts["/version"] = says(answer({"ApiVersion": newest, "MinAPIVersion": oldest}))
    async with engine.running(), DockerClient(engine.endpoint) as client:
        assert await client.negotiate() == agreed
        with pytest.raises(EngineError):
            await client.get("nothing")
        assert engine.heads[-1].startswith(f"GET /v{agreed}/nothing HTTP/1.1".encode())


async def test_questions_share_one_connection(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client:
        for _ in range(5):
            await client.get("version")
        assert engine.most_connections == 1


async def test_many_questions_at_once_take_few_connections(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client:
        await client.negotiate()
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(client.get, "version")
        assert len(engine.asked) == 51
        assert engine.most_connections <= CONNECTIONS


async def test_what_goes_into_a_path_is_quoted_and_only_get_is_spoken(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client:
        with pytest.raises(EngineError):
            await client.get("containers", "../images/x\r\nEvil: y?a=b#c", "json", filters='{"a": "&"}')
    assert engine.heads[-1].split(b" ")[1] == (
        b"/v1.41/containers/..%2Fimages%2Fx%0D%0AEvil%3A%20y%3Fa%3Db%23c/json?filters=%7B%22a%22%3A+%22%26%22%7D"
    )
    assert all(head.startswith(b"GET ") for head in engine.heads)
    assert b"evil" not in engine.heads[-1].lower().partition(b"\r\n")[2]


async def test_an_idle_connection_that_the_engine_closed_is_replaced_in_silence(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client:
        await client.negotiate()
        (idle,) = engine.connections
        await trio.aclose_forcefully(idle)
        assert await client.get("version")
        assert engine.asked == ["/version", "/version"]


async def test_a_connection_that_the_engine_wants_closed_is_not_kept(engine: Engine) -> None:
    engine.scripts["/version"] = says(HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}", then_close=True)
    async with engine.running(), DockerClient(engine.endpoint) as client:
        assert await client.get("version") == {}
        assert "0 idle" in repr(client)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (b"", "closed the connection"),
        (HEAD, "closed the connection"),
        (HEAD + b"Content-Length: 10\r\n\r\n{", "closed the connection"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no Docker engine"),
        (b"\x15\x03\x01\x00\x02\x02\x50", "no Docker engine"),
        (b"220 mail ESMTP\r\n\r\n", "no Docker engine"),
        (HEAD + b"Content-Length: 9\r\n\r\n<!DOCTYPE", "no Docker engine"),
        (HEAD + b"Content-Length: 4\r\n\r\nnull", "no Docker engine"),
        (HEAD + b"Content-Length: 2\r\n\r\n\xff\xfe", "no Docker engine"),
        (HEAD + b"Content-Length: 60000\r\n\r\n" + b"[" * 60000, "no Docker engine"),
    ],
)
async def test_what_is_no_answer_of_an_engine_is_one_clear_line(engine: Engine, said: bytes, message: str) -> None:
    engine.scripts["/version"] = says(said, then_close=True)
    async with engine.running(), DockerClient(engine.endpoint) as client:
        with pytest.raises(EngineUnreachable, match=message) as refused:
            await client.negotiate()
    assert a_line(str(refused.value))


async def test_an_endless_answer_is_given_up(engine: Engine) -> None:
    async def for_ever(stream: trio.SocketStream) -> None:
        await stream.send_all(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b" " * (1 << 20)
        while True:
            await stream.send_all(b"%x\r\n%b\r\n" % (len(piece), piece))

    engine.scripts["/version"] = for_ever
    async with engine.running(), DockerClient(engine.endpoint) as client:
        with pytest.raises(EngineUnreachable, match=f"longer than {ANSWER_LIMIT >> 20} MiB"):
            await client.negotiate()


async def test_an_engine_that_hangs_is_given_up_and_the_next_question_gets_a_new_connection(
    engine: Engine, autojump_clock: MockClock
) -> None:
    engine.scripts["/version"] = is_silent
    async with engine.running(), DockerClient(engine.endpoint, timeout=7) as client:
        with pytest.raises(EngineSilent, match="did not answer within 7 s"):
            await client.negotiate()
        assert trio.current_time() == pytest.approx(7, abs=0.5)
        engine.scripts.clear()
        assert await client.negotiate() == "1.41"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"message": "No such container: x"}', "No such container: x"),
        (b'{"message": "a\\u001b[31m\\nb"}', "a [31m b"),
        (b"<h1>403 Forbidden</h1>", "<h1>403 Forbidden</h1>"),
        (b"", "no reason given"),
        (b'{"message": null}', "None"),
        (b"[1]", "[1]"),
        (b'{"other": 1}', '{"other": 1}'),
    ],
)
async def test_the_engines_own_error_in_one_printable_line(engine: Engine, body: bytes, message: str) -> None:
    wire = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    engine.scripts["/containers"] = says(wire)
    async with engine.running(), DockerClient(engine.endpoint) as client:
        with pytest.raises(EngineError) as refused:
            await client.get("containers", "json")
        assert (refused.value.status, refused.value.message) == (403, message)
        assert str(refused.value) == f"Docker answered 403: {message}."
        assert await client.get("version"), "the connection is still good"
        assert engine.most_connections == 1


async def test_cancelled_midway_the_connection_is_closed(engine: Engine) -> None:
    engine.scripts["/slow"] = is_silent
    async with engine.running(), DockerClient(engine.endpoint) as client:
        await client.negotiate()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.get, "slow")
            await engine.until(lambda: "/slow" in engine.asked)
            nursery.cancel_scope.cancel()
        assert "0 idle" in repr(client)
        assert await client.get("version")


# -- events ---------------------------------------------------------------------------------------------------


async def test_events_come_whole_however_they_are_cut(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client, client.events() as events:
        await engine.say_bytes(b'{"a"')
        await engine.say_bytes(b': 1}\n{"a": 2}\n\n{"a"')
        await engine.say_bytes(b": 3}\n")
        assert [await anext(events) for _ in range(3)] == [{"a": 1}, {"a": 2}, {"a": 3}]


async def test_filters_and_since_are_asked_for(engine: Engine) -> None:
    filters = {"type": ["container"]}
    async with (
        engine.running(),
        DockerClient(engine.endpoint) as client,
        client.events(filters=filters, since="12.5"),
    ):
        pass
    assert b"/v1.41/events?filters=%7B%22type%22%3A+%5B%22container%22%5D%7D&since=12.5 " in engine.heads[-1]


async def test_an_unreadable_event_is_told_as_an_empty_one(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client, client.events() as events:
        await engine.say_bytes(b'nonsense\n[1]\n{"a": 1}\n' + b"[" * 50000 + b"\n")
        assert [await anext(events) for _ in range(4)] == [{}, {}, {"a": 1}, {}]


async def test_an_endless_event_is_skipped_and_never_kept(engine: Engine, nursery: trio.Nursery) -> None:
    async def shout() -> None:
        await engine.say_bytes(b'{"a": "')
        for _ in range(6):
            await engine.say_bytes(b"x" * (EVENT_LIMIT // 2))
        await engine.say_bytes(b'"}\n{"a": 1}\n')

    async with engine.running(), DockerClient(engine.endpoint) as client, client.events() as events:
        nursery.start_soon(shout)
        assert [await anext(events), await anext(events)] == [{}, {"a": 1}]


async def test_the_feed_ends_with_the_engines_stream(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client, client.events() as events:
        await engine.say_bytes(b'{"a": 1}\n{"cut')
        await engine.end_events()
        assert [event async for event in events] == [{"a": 1}]


async def test_an_engine_that_dies_midway_through_an_event(engine: Engine) -> None:
    async with DockerClient(engine.endpoint) as client:
        async with engine.running():
            subscription = client.events()
            events = await subscription.__aenter__()
            await engine.say_bytes(b'{"a": 1}\n{"cut')
        assert await anext(events) == {"a": 1}
        with pytest.raises(EngineUnreachable, match="closed the connection"):
            await anext(events)
        await subscription.__aexit__(None, None, None)


async def test_a_refused_subscription_is_the_engines_error(engine: Engine) -> None:
    engine.scripts["/events"] = says(answer({"message": "denied by policy"}, 403, "Forbidden"))
    async with engine.running(), DockerClient(engine.endpoint) as client:
        with pytest.raises(EngineError, match="403: denied by policy"):
            async with client.events():
                pytest.fail("nobody subscribed us")


async def test_a_subscription_is_over_when_its_block_is(engine: Engine) -> None:
    async with engine.running(), DockerClient(engine.endpoint) as client:
        async with client.events():
            await engine.subscribed()
        await engine.until(lambda: len(engine.connections) == 1)


class _Pieces:
    """A connection that delivers these pieces of body."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self.pieces = list(pieces)

    async def data(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


@settings(max_examples=100)
@given(
    events=st.lists(st.dictionaries(st.text(), st.text(), min_size=1), max_size=8), cuts=st.lists(st.integers(1, 40))
)
def test_any_cutting_gives_the_same_events(events: list[dict[str, str]], cuts: list[int]) -> None:
    wire = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    pieces = []
    for cut in cuts:
        pieces.append(wire[:cut])
        wire = wire[cut:]
    pieces.append(wire)

    async def collect() -> list[dict[str, Any]]:
        stream = EventStream(_Pieces(piece for piece in pieces if piece))  # type: ignore[arg-type]
        return [event async for event in stream]

    assert trio.run(collect) == events
