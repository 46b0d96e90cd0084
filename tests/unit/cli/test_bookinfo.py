"""What the demo makes of the mesh's graph, and how its reader reads."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from composemesh.cli.bookinfo import CALLS, SERVICES, Reader, bookinfo, missing


def edge(source: str, destination: str, requests: int = 3, errors: int = 0, protocol: str = "http") -> dict[str, Any]:
    return {
        "source": source,
        "destination": destination,
        "protocol": protocol,
        "requests": requests,
        "errors": errors,
    }


def graph(*edges: dict[str, Any]) -> dict[str, Any]:
    names = {name for one in edges for name in (one["source"], one["destination"])}
    nodes = []
    for name in names:
        service, _, version = name.partition(" ")
        nodes.append({"id": name, "service": service, "version": version or "latest", "kind": "service"})
    return {"nodes": nodes, "edges": list(edges)}


WHOLE = (
    edge("unknown", "productpage"),
    edge("productpage", "details"),
    edge("productpage", "reviews v1"),
    edge("productpage", "reviews v2"),
    edge("productpage", "reviews v3"),
    edge("reviews v2", "ratings"),
    edge("reviews v3", "ratings"),
)


def without(*destinations: str) -> tuple[dict[str, Any], ...]:
    return tuple(one for one in WHOLE if one["destination"] not in destinations)


def test_nobody_is_missing() -> None:
    assert missing(graph(*WHOLE)) == []


@pytest.mark.parametrize("service", SERVICES)
def test_each_one_is_missed(service: str) -> None:
    assert missing(graph(*without(service))) == [service]


def test_errors_alone_are_no_answer() -> None:
    failed = edge("reviews v2", "ratings", requests=3, errors=3)
    assert missing(graph(*without("ratings"), failed)) == ["ratings"]
    some = edge("reviews v2", "ratings", requests=3, errors=2)
    assert missing(graph(*without("ratings"), some)) == []


def test_bytes_alone_are_no_answer() -> None:
    assert missing(graph(*without("details"), edge("productpage", "details", protocol="tcp"))) == ["details"]


def test_an_answer_to_somebody_else_is_not_the_call() -> None:
    direct = [edge("unknown", name) for name in ("details", "ratings", "reviews v1", "reviews v2", "reviews v3")]
    assert missing(graph(edge("unknown", "productpage"), *direct)) == [f"the call {a} → {b}" for a, b in CALLS]


def test_an_idle_mesh_misses_everyone() -> None:
    assert missing({"nodes": [], "edges": []}) == list(SERVICES)


def test_bookinfo_is_what_its_compose_file_says() -> None:
    processes = {process.name: process for process in bookinfo(Path("/x"))}
    assert processes.keys() == {"productpage", "details", "reviews-v1", "reviews-v2", "reviews-v3", "ratings"}
    assert [name for name, process in processes.items() if process.published] == ["productpage"]
    assert [name for name, process in processes.items() if "reviews" in process.aliases] == [
        "reviews-v1",
        "reviews-v2",
        "reviews-v3",
    ]


class Page:
    """Answers every connection with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []

    async def __call__(self, stream: trio.SocketStream) -> None:
        async with stream:
            self.requests.append(await stream.receive_some())
            await stream.send_all(self.answer)


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n<html></html>\n", 200),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n<html></html>", 503),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n<html> and then", 0),
        (b"", 0),
    ],
)
async def test_only_a_whole_page_counts(nursery: trio.Nursery, answer: bytes, status: int) -> None:
    page = Page(answer)
    listeners = await nursery.start(partial(trio.serve_tcp, page, 0, host="127.0.0.1"))
    reader = Reader("127.0.0.1", listeners[0].socket.getsockname()[1], per_second=1000)
    await reader.read(3)
    assert (reader.answered, reader.failed) == ((3, 0) if status == 200 else (0, 3))
    assert await reader.ask() == status
    assert page.requests[0].startswith(b"GET /productpage HTTP/1.1\r\n")


async def test_nobody_there() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    assert await Reader("127.0.0.1", port).ask() == 0


async def test_the_reader_takes_its_time(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader("nowhere", 1, per_second=10)

    async def ask(self: Reader) -> int:
        return 200

    monkeypatch.setattr(Reader, "ask", ask)
    await reader.read(20)
    assert trio.current_time() == pytest.approx(2.0, abs=0.01)
