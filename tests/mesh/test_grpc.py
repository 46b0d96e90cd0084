"""gRPC through the mesh, grpcio on both ends: what records tell of it. gRPC's own cases: `test_grpc_interop`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent import futures
from functools import partial
from typing import Any

import pytest
import trio

from composemesh.model.flag import Flag
from mesh.net import PORT, Net

grpc = pytest.importorskip("grpc", reason="grpcio is not installed (extra `test`)")

LARGE = b"x" * 3_000_000


def _echo(request: bytes, context: Any) -> bytes:
    context.send_initial_metadata(
        [(key, value) for key, value in context.invocation_metadata() if key.startswith("x-echo")]
    )
    context.set_trailing_metadata((("x-echo-trailing-bin", b"\xab\xab"),))
    return request


def _fail(request: bytes, context: Any) -> None:
    context.abort(grpc.StatusCode.NOT_FOUND, "nothing of that name: 100 %")


def _slow(request: bytes, context: Any) -> bytes:
    stopped = futures.Future[None]()
    context.add_callback(lambda: stopped.set_result(None))
    stopped.result(timeout=10)
    return b"too late"


def _sum(requests: Iterator[bytes], context: Any) -> bytes:
    return b"%d" % sum(len(request) for request in requests)


def _count(request: bytes, context: Any) -> Iterator[bytes]:
    for number in range(int(request)):
        yield b"%d" % number


def _ping_pong(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    for request in requests:
        yield request.upper()


@pytest.fixture
def service(net: Net) -> Iterator[str]:
    """A gRPC server as a workload's application; where the caller reaches it."""
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo),
        "Fail": grpc.unary_unary_rpc_method_handler(_fail),
        "Slow": grpc.unary_unary_rpc_method_handler(_slow),
        "Sum": grpc.stream_unary_rpc_method_handler(_sum),
        "Count": grpc.unary_stream_rpc_method_handler(_count),
        "PingPong": grpc.stream_stream_rpc_method_handler(_ping_pong),
    }
    app = net.add("app")
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))
    server.add_insecure_port(f"{app.addresses[0]}:{PORT}")
    server.start()
    net.listening[app.addresses[0]] |= {PORT}
    host, port = net.way_to(app.addresses[0])
    yield f"{host}:{port}"
    server.stop(None).wait()


async def call(target: str, use: Callable[[Any], Any]) -> Any:
    """Use a channel in a thread, since grpcio blocks."""

    def run() -> Any:
        with grpc.insecure_channel(target, options=[("grpc.max_receive_message_length", 1 << 26)]) as channel:
            return use(channel)

    return await trio.to_thread.run_sync(run)


def _echoed(message: bytes, channel: Any) -> Any:
    return channel.unary_unary("/test.Echo/Echo")(message)


async def test_unary_empty_and_large(net: Net, service: str) -> None:
    for message in (b"", b"hello", LARGE):
        assert await call(service, partial(_echoed, message)) == message
    record = await net.records.next(3)
    assert (record.protocol, record.response_code, record.grpc_status, record.path) == (
        "grpc",
        200,
        0,
        "/test.Echo/Echo",
    )


async def test_custom_metadata_both_ways(net: Net, service: str) -> None:
    def use(channel: Any) -> Any:
        metadata = (("x-echo-initial", "text"), ("x-echo-initial-bin", b"\x00\x01"))
        return channel.unary_unary("/test.Echo/Echo").with_call(b"m", metadata=metadata)

    _, done = await call(service, use)
    assert (
        dict(done.initial_metadata()).items() >= {"x-echo-initial": "text", "x-echo-initial-bin": b"\x00\x01"}.items()
    )
    assert dict(done.trailing_metadata())["x-echo-trailing-bin"] == b"\xab\xab"


async def test_streaming_four_ways(net: Net, service: str) -> None:
    total = await call(service, lambda c: c.stream_unary("/test.Echo/Sum")(iter([b"a" * 1000] * 200)))
    assert total == b"200000"
    counted = await call(service, lambda c: list(c.unary_stream("/test.Echo/Count")(b"500")))
    assert counted == [b"%d" % number for number in range(500)]

    def converse(channel: Any) -> list[bytes]:
        heard: list[bytes] = []

        def words() -> Iterator[bytes]:
            for word in (b"one", b"two", b"three"):
                yield word
                while len(heard) < (b"one", b"two", b"three").index(word) + 1:
                    time.sleep(0.001)  # each answer comes before the next question: neither side is buffered

        for answer in channel.stream_stream("/test.Echo/PingPong")(words()):
            heard.append(answer)  # noqa: PERF402 - watched by `words`
        return heard

    assert await call(service, converse) == [b"ONE", b"TWO", b"THREE"]


async def test_status_and_message_of_a_failure(net: Net, service: str) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        await call(service, lambda channel: channel.unary_unary("/test.Echo/Fail")(b""))
    assert failure.value.code() is grpc.StatusCode.NOT_FOUND
    assert failure.value.details() == "nothing of that name: 100 %"
    record = await net.records.next()
    assert (record.response_code, record.grpc_status) == (200, 5)


async def test_a_deadline_and_a_cancellation_reach_the_server(net: Net, service: str) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        await call(service, lambda channel: channel.unary_unary("/test.Echo/Slow")(b"", timeout=0.3))
    assert failure.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    def cancel(channel: Any) -> bool:
        pending = channel.unary_unary("/test.Echo/Slow").future(b"")
        time.sleep(0.2)
        pending.cancel()
        return bool(pending.cancelled())

    assert await call(service, cancel)
    late, cancelled = [await net.records.next(number) for number in (1, 2)]
    # The server keeps the deadline too: whichever of the two was heard first ended the call.
    assert late.grpc_status == 4 or late.flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION
    assert cancelled.flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION


async def test_nobody_there_is_unavailable_and_says_why(net: Net, service: str) -> None:
    await call(service, lambda channel: channel.unary_unary("/test.Echo/Echo")(b"m"))
    for workload in net.discovered.value.workloads:
        if workload.compose_service == "app":
            net.remove(workload)
    with pytest.raises(grpc.RpcError) as failure:
        await call(service, lambda channel: channel.unary_unary("/test.Echo/Echo")(b"m"))
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "app has no running endpoint (UH)" in failure.value.details()
