"""`grpc_python.py serve ADDRESS PORT` or `grpc_python.py ask ADDRESS:PORT`: grpcio with plain bytes for messages."""

from __future__ import annotations

import sys
from concurrent import futures
from typing import Any

import grpc

ROOM = [("grpc.max_receive_message_length", 1 << 26)]


def fail(request: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing of that name")


def serve(address: str, port: str) -> None:
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(lambda request, context: request),
        "Count": grpc.unary_stream_rpc_method_handler(
            lambda request, context: map(b"%d".__mod__, range(int(request)))
        ),
        "PingPong": grpc.stream_stream_rpc_method_handler(lambda requests, context: map(bytes.upper, requests)),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
    }
    server = grpc.server(futures.ThreadPoolExecutor(4), options=ROOM)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    server.add_insecure_port(f"{address}:{port}")
    server.start()
    server.wait_for_termination()


def ask(target: str) -> None:
    with grpc.insecure_channel(target, options=ROOM) as channel:
        for message in (b"", b"hello", b"x" * 3_000_000):
            assert channel.unary_unary("/test.Echo/Echo")(message) == message
        assert list(channel.unary_stream("/test.Echo/Count")(b"500")) == [b"%d" % number for number in range(500)]
        assert list(channel.stream_stream("/test.Echo/PingPong")(iter([b"one", b"two"]))) == [b"ONE", b"TWO"]
        failed = channel.unary_unary("/test.Echo/Fail").future(b"")
        assert (failed.code(), failed.details()) == (grpc.StatusCode.NOT_FOUND, "nothing of that name")
    print("ok")


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](*sys.argv[2:])
