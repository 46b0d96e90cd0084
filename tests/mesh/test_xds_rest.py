"""Discovery over REST, by sockets: what is answered, what is refused, over both versions of HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog.testing
import trio

from composemesh.model.snapshot import Snapshot
from composemesh.xds import http1
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT
from composemesh.xds.rest import MOST_BYTES
from mesh.discovery import discovery
from mesh.net import Net
from mesh.xds import Control, control, speaks_http

PATH = "/v3/discovery:clusters"


@pytest.fixture
async def server(net: Net) -> AsyncIterator[Control]:
    net.add("reviews")
    net.snapshot.publish(Snapshot("test", services=speaks_http("reviews")))
    async with control(net) as running:
        yield running
        status, said = await post(running, {"node": {"id": "honest"}})
        assert status == 200
        assert [each["name"] for each in said["resources"]] == ["outbound|8080||reviews"]


async def post(server: Control, request: dict[str, Any], path: str = PATH) -> tuple[int, Any]:
    body = json.dumps(request).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: mesh\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer = await exchange(await server.connect(), head.encode() + body)
    return status_of(answer), json.loads(answer.partition(b"\r\n\r\n")[2] or b"null")


async def exchange(stream: trio.SocketStream, data: bytes) -> bytes:
    """One request on a connection; its answer, whole."""
    with trio.fail_after(20):
        try:
            await stream.send_all(data)
        except trio.BrokenResourceError:
            pass  # it was answered before it was read
        answer = b""
        while True:
            more = await stream.receive_some()
            answer += more
            head, end, body = answer.partition(b"\r\n\r\n")
            if not more or (end and len(body) >= length_of(head)):
                return answer


def length_of(head: bytes) -> int:
    return next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


async def test_what_is_new_comes_once_and_then_304(server: Control) -> None:
    status, said = await post(server, {"node": {"id": "one"}})
    assert (status, said["type_url"]) == (200, CLUSTER)
    request = {"node": {"id": "one"}, "version_info": said["version_info"]}
    assert await post(server, request) == (304, None)
    assert server.states("one") == {"cluster": "synced"}


async def test_where_the_next_ones_come_from_is_the_name_that_the_client_has_for_us(server: Control) -> None:
    _, said = await post(server, {"node": {"id": "one"}})
    (cluster,) = said["resources"]
    source = cluster["eds_cluster_config"]["eds_config"]["api_config_source"]
    assert (source["api_type"], source["cluster_names"]) == ("REST", ["mesh"])
    assert "ads" not in json.dumps(said)


async def test_many_requests_on_one_connection(server: Control) -> None:
    stream = await server.connect()
    body = b'{"node": {"id": "one"}, "resource_names": ["outbound|8080||reviews"]}'
    request = b"POST /v3/discovery:endpoints HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    answers = [await exchange(stream, request) for _ in range(5)]
    assert {status_of(answer) for answer in answers} == {200}


async def test_pipelined_and_chunked_requests(server: Control) -> None:
    stream = await server.connect()
    chunked = b"POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n" % PATH.encode()
    first = await exchange(stream, chunked + chunked)
    assert status_of(first) == 200


async def test_over_http2_it_is_the_same(server: Control) -> None:
    client = await discovery(server)
    number = await client.call(PATH, "application/json")
    await client.send(number, b'{"node": {"id": "two"}}', end=True)
    assert (await client.status(number))[":status"] == "200"
    said = json.loads(client.body[number])
    again = await client.call(PATH, "application/json")
    await client.send(
        again, json.dumps({"node": {"id": "two"}, "version_info": said["version_info"]}).encode(), end=True
    )
    assert (await client.status(again))[":status"] == "304"
    gone = await client.call("/", "text/html")
    assert (await client.status(gone))[":status"] == "404"


@pytest.mark.parametrize(
    ("line", "rest", "status"),
    [
        ("GET /", "Host: a\r\n\r\n", 404),
        (f"GET {PATH}", "Host: a\r\n\r\n", 405),
        ("POST /v3/discovery:secrets", "Host: a\r\nContent-Length: 2\r\n\r\n{}", 404),
        (f"POST {PATH}", "Host: a\r\nOrigin: http://evil\r\nContent-Length: 2\r\n\r\n{}", 403),
        (f"OPTIONS {PATH}", "Host: a\r\nOrigin: http://evil\r\n\r\n", 403),
        (f"POST {PATH}", "Host: a\r\nContent-Length: 1\r\n\r\n{", 400),
        (f"POST {PATH}", "Host: a\r\nContent-Length: 4\r\n\r\n\xff\xfe[]", 400),
        (f"POST {PATH}", 'Host: a\r\nContent-Length: 22\r\n\r\n{"resource_names": {}}', 400),
        (f"POST {PATH}", "Content-Length: 2\r\n\r\n{}", 400),
        (f"POST {PATH}", "Host: a\r\nContent-Length: x\r\n\r\n", 400),
        (f"POST {PATH}", f"Host: a\r\nX: {'x' * 200_000}\r\n\r\n", 431),
        ("\0\1\2\3", "\r\n\r\n", 400),
    ],
)
async def test_requests_that_are_refused(server: Control, line: str, rest: str, status: int) -> None:
    request = f"{line} HTTP/1.1\r\n{rest}".encode("latin-1")
    assert status_of(await exchange(await server.connect(), request)) == status


@pytest.mark.parametrize(("path", "status"), [("/", 404), (PATH, 405)])
async def test_head_is_answered_without_a_body(server: Control, path: str, status: int) -> None:
    with structlog.testing.capture_logs() as logs:
        answer = await exchange(await server.connect(), f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head, end, body = answer.partition(b"\r\n\r\n")
        assert (status_of(head), end, body) == (status, b"\r\n\r\n", b"")
        assert length_of(head) > 0
        client = await discovery(server)
        number = await client.call(path, "text/html", method="HEAD")
        said = await client.status(number)
        assert (said[":status"], client.body[number]) == (str(status), b"")
        assert int(said["content-length"]) == length_of(head)
    assert [line for line in logs if line["log_level"] != "info"] == []


async def test_who_polls_without_a_version_or_a_name_refuses_nothing(server: Control) -> None:
    for _ in range(5):
        status, said = await post(server, {})
        assert (status, len(said["resources"])) == (200, 1)
    assert [problem for problem in server.port.problems() if problem.code == "xds-refused"] == []


async def test_a_request_of_another_type_than_its_path(server: Control) -> None:
    assert (await post(server, {"type_url": ENDPOINT}))[0] == 400


async def test_a_body_of_fifty_mib_is_not_read(server: Control) -> None:
    stream = await server.connect()
    head = b"POST /v3/discovery:clusters HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % (50 << 20)
    assert status_of(await exchange(stream, head + b" " * (MOST_BYTES + 200_000))) == 413


async def test_a_request_that_never_ends_is_left(server: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "PATIENCE", 0.3)
    answer = await exchange(await server.connect(), b"POST /v3/discovery:clusters HTTP/1.1\r\nHost: a\r\nContent-")
    assert answer == b""


async def test_the_end_of_the_mesh_waits_for_nobody_long(net: Net) -> None:
    """One polls, one has a call and reads, one has a call and doesn't, one says nothing."""
    net.snapshot.publish(Snapshot("test", services=speaks_http(*(f"service-{each}" for each in range(500)))))
    async with control(net) as server:
        await post(server, {})
        silent = await server.connect()
        stuck = await discovery(server)
        await stuck.say(await stuck.call(), b"\x22" + bytes([len(CLUSTER)]) + CLUSTER.encode())
        await server.until(cluster="waiting")
        began = trio.current_time()
        await server.end()
        assert trio.current_time() - began < 4
        assert await silent.receive_some() == b""
