"""What a small request costs: `PYTHONPATH=.:tests python -m wire.h2.cost` prints microseconds, ours beside h2's own.

A gRPC call through a proxy comes in at a server's side and goes out at a client's, and the answer comes back. The
two ends beyond are h2's, and not counted.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import h2.config
import h2.connection
import h2.events

from composemesh.proxy.codec.h2 import BodyCame, ClientConnection, RequestOpened, ResponseHeadCame, ServerConnection
from composemesh.proxy.codec.h2 import Trailers as TrailersCame

_REQUEST = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/helloworld.Greeter/SayHello"),
    (b":authority", b"greeter:50051"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python/1.66 grpc-c/43 (linux; chttp2)"),
    (b"te", b"trailers"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]
_RESPONSE = [
    (b":status", b"200"),
    (b"content-type", b"application/grpc"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
]
_TRAILERS = [(b"grpc-status", b"0"), (b"grpc-message", b"")]
_MESSAGE = b"\0\0\0\0\x07hello12"


def _plain(*, client: bool) -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=client, header_encoding=None))
    connection.initiate_connection()
    return connection


class Ours:
    """The two sides of a proxy, by this project's codec."""

    def __init__(self) -> None:
        self.server, self.client = ServerConnection(), ClientConnection()

    def forward(self, data: bytes) -> bytes:
        """A request, on to the other side."""
        opened, came = self.server.receive(data)
        assert isinstance(opened, RequestOpened)
        assert isinstance(came, BodyCame)
        self.server.acknowledge(came.stream, came.flow)
        head = opened.head
        stream = self.client.send_head(head.method, head.authority, head.path, head.fields)
        self.client.send_data(stream, came.payload, came.end)
        return self.client.data_to_send()

    def answer(self, data: bytes) -> bytes:
        """An answer, back."""
        head, came, trailers = self.client.receive(data)
        assert isinstance(head, ResponseHeadCame)
        assert isinstance(came, BodyCame)
        assert isinstance(trailers, TrailersCame)
        self.client.acknowledge(came.stream, came.flow)
        self.server.send_head(head.stream, head.head.status, head.head.fields)
        self.server.send_data(head.stream, came.payload)
        self.server.send_trailers(head.stream, trailers.fields)
        return self.server.data_to_send()


class Theirs:
    """The same by h2 alone."""

    def __init__(self) -> None:
        self.server, self.client = _plain(client=False), _plain(client=True)

    def forward(self, data: bytes) -> bytes:
        opened, came, *_ = self.server.receive_data(data)
        assert isinstance(opened, h2.events.RequestReceived)
        assert isinstance(came, h2.events.DataReceived)
        self.server.acknowledge_received_data(came.flow_controlled_length, opened.stream_id)
        self.client.send_headers(opened.stream_id, opened.headers)
        self.client.send_data(opened.stream_id, came.data, end_stream=True)
        return self.client.data_to_send()

    def answer(self, data: bytes) -> bytes:
        head, came, trailers, *_ = self.client.receive_data(data)
        assert isinstance(head, h2.events.ResponseReceived)
        assert isinstance(came, h2.events.DataReceived)
        assert isinstance(trailers, h2.events.TrailersReceived)
        self.client.acknowledge_received_data(came.flow_controlled_length, head.stream_id)
        self.server.send_headers(head.stream_id, head.headers)
        self.server.send_data(head.stream_id, came.data)
        self.server.send_headers(head.stream_id, trailers.headers, end_stream=True)
        return self.server.data_to_send()


def _settle(one: Any, other: Any) -> None:
    """Exchange the settings."""
    for _ in range(3):
        for speaker, hearer in ((one, other), (other, one)):
            data = speaker.data_to_send()
            hearer.receive(data) if hasattr(hearer, "receive") else hearer.receive_data(data)


def unary(made: Callable[[], Ours | Theirs], calls: int = 2000, runs: int = 3) -> float:
    """Microseconds of the proxy's for one call: the best of several runs."""
    best = float("inf")
    for _ in range(runs):
        proxy, caller, callee = made(), _plain(client=True), _plain(client=False)
        _settle(caller, proxy.server)
        _settle(proxy.client, callee)
        spent = 0.0
        for n in range(calls):
            stream = 2 * n + 1
            caller.send_headers(stream, [*_REQUEST, (b"x-request-id", b"%032x" % n)])
            caller.send_data(stream, _MESSAGE, end_stream=True)
            data = caller.data_to_send()
            began = time.perf_counter()
            data = proxy.forward(data)
            spent += time.perf_counter() - began
            callee.receive_data(data)
            callee.send_headers(stream, _RESPONSE)
            callee.send_data(stream, _MESSAGE)
            callee.send_headers(stream, _TRAILERS, end_stream=True)
            data = callee.data_to_send()
            began = time.perf_counter()
            data = proxy.answer(data)
            spent += time.perf_counter() - began
            caller.receive_data(data)
        best = min(best, spent / calls * 1e6)
    return best


def relayed(size: int = 64 << 20) -> float:
    """Bytes a second of one body through both sides."""
    client, server = ClientConnection(), ServerConnection()
    _settle(client, server)
    stream = client.send_head(b"POST", b"a", b"/", [])
    piece, sent = b"x" * (1 << 18), 0
    began = time.perf_counter()
    while sent < size:
        sent += client.send_data(stream, piece)
        for event in server.receive(client.data_to_send()):
            if isinstance(event, BodyCame):
                server.acknowledge(stream, event.flow)
        client.receive(server.data_to_send())
    return size / (time.perf_counter() - began)


def idle_memory(connections: int = 200) -> float:
    """Bytes of one connection that has been set up and has served one call."""
    message = _plain(client=True)
    message.send_headers(1, _REQUEST)
    message.send_data(1, _MESSAGE, end_stream=True)
    data = message.data_to_send()
    tracemalloc.start()
    held = []
    for _ in range(connections):
        server = ServerConnection()
        server.receive(data)
        server.send_head(1, 200, _RESPONSE[1:], True)
        server.data_to_send()
        held.append(server)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used / len(held)


if __name__ == "__main__":
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    print(f"unary gRPC call, both sides     {unary(Ours, calls):7.1f} µs   h2 alone {unary(Theirs, calls):7.1f} µs")
    print(f"one body, sent and received     {relayed() / 1e6:7.0f} MB/s")
    print(f"a connection at rest            {idle_memory() / 1024:7.1f} KiB")
