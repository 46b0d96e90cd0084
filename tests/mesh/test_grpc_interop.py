"""The cases of gRPC's interoperability tests, by their names there, with grpcio on both ends and a mesh between.

They are re-typed from the descriptions in grpc/grpc, doc/interop-test-descriptions.md. Messages are not protocol
buffers, which a proxy never looks into, but a line of JSON that says what to answer, and a payload after it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from typing import Any

import pytest
import trio

from composemesh.model.flag import Flag
from mesh.net import PORT, Net

grpc = pytest.importorskip("grpc", reason="grpcio is not installed (extra `test`)")

SERVICE = "grpc.testing.TestService"
REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
SPECIAL = (
    "\t\ntest with whitespace\r\nand Unicode BMP \N{WHITE SMILING FACE} and non-BMP \N{SMILING FACE WITH HORNS}\t\n"
)
INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
METADATA = ((INITIAL, "test_initial_metadata_value"), (TRAILING, b"\xab\xab\xab"))
GONE = (-1, Flag.DOWNSTREAM_CONNECTION_TERMINATION)


def message(size: int = 0, *, answers: tuple[int, ...] = (), code: int = 0, says: str = "") -> bytes:
    """A request with a payload of so many bytes."""
    return json.dumps({"answers": answers, "code": code, "says": says}).encode() + b"\n" + bytes(size)


def payload(request: bytes) -> bytes:
    return request.partition(b"\n")[2]


class Service:
    """The test service. It remembers whether a call was taken back."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()

    def unary(self, request: bytes, context: Any) -> bytes:
        self._echo_metadata(context)
        return b"".join(self._answer(request, context))

    def input(self, requests: Iterator[bytes], context: Any) -> bytes:
        self._watch(context)
        return b"%d" % sum(len(payload(request)) for request in requests)

    def output(self, request: bytes, context: Any) -> Iterator[bytes]:
        yield from self._answer(request, context)

    def duplex(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        self._watch(context)
        self._echo_metadata(context)
        for request in requests:
            yield from self._answer(request, context)

    def _watch(self, context: Any) -> None:
        def over() -> None:
            if not context.is_active():
                self.cancelled.set()

        if not context.add_callback(over):
            self.cancelled.set()  # it was over before this thread got to it

    def _echo_metadata(self, context: Any) -> None:
        sent = dict(context.invocation_metadata())
        if INITIAL in sent:
            context.send_initial_metadata([(INITIAL, sent[INITIAL])])
            context.set_trailing_metadata([(TRAILING, sent[TRAILING])])

    def _answer(self, request: bytes, context: Any) -> Iterator[bytes]:
        said = json.loads(request.partition(b"\n")[0])
        if said["code"]:
            context.abort(next(code for code in grpc.StatusCode if code.value[0] == said["code"]), said["says"])
        yield from map(bytes, said["answers"])

    def handlers(self) -> dict[str, Any]:
        return {
            "EmptyCall": grpc.unary_unary_rpc_method_handler(lambda request, context: b""),
            "UnaryCall": grpc.unary_unary_rpc_method_handler(self.unary),
            "StreamingInputCall": grpc.stream_unary_rpc_method_handler(self.input),
            "StreamingOutputCall": grpc.unary_stream_rpc_method_handler(self.output),
            "FullDuplexCall": grpc.stream_stream_rpc_method_handler(self.duplex),
        }


class Client:
    """The service's methods on a channel."""

    def __init__(self, channel: Any) -> None:
        self.empty = channel.unary_unary(f"/{SERVICE}/EmptyCall")
        self.unary = channel.unary_unary(f"/{SERVICE}/UnaryCall")
        self.input = channel.stream_unary(f"/{SERVICE}/StreamingInputCall")
        self.output = channel.unary_stream(f"/{SERVICE}/StreamingOutputCall")
        self.duplex = channel.stream_stream(f"/{SERVICE}/FullDuplexCall")
        self.unimplemented_method = channel.unary_unary(f"/{SERVICE}/UnimplementedCall")
        self.unimplemented_service = channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")


class Words:
    """Requests of a stream that is not over until it is told so."""

    def __init__(self, *words: bytes) -> None:
        self._said = list(words)
        self._more = threading.Condition()
        self._over = False

    def say(self, word: bytes) -> None:
        with self._more:
            self._said.append(word)
            self._more.notify()

    def end(self) -> None:
        with self._more:
            self._over = True
            self._more.notify()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._more:
            self._more.wait_for(lambda: self._said or self._over)
            if self._said:
                return self._said.pop(0)
        raise StopIteration


def empty_unary(client: Client, service: Service) -> None:
    assert client.empty(b"") == b""


def large_unary(client: Client, service: Service) -> None:
    assert client.unary(message(271828, answers=(314159,))) == bytes(314159)


def client_streaming(client: Client, service: Service) -> None:
    assert client.input(iter([message(size) for size in REQUEST_SIZES])) == b"74922"


def server_streaming(client: Client, service: Service) -> None:
    assert [len(answer) for answer in client.output(message(answers=RESPONSE_SIZES))] == list(RESPONSE_SIZES)


def ping_pong(client: Client, service: Service) -> None:
    words = Words()
    answers = client.duplex(words)
    for asked, answered in zip(REQUEST_SIZES, RESPONSE_SIZES, strict=True):
        words.say(message(asked, answers=(answered,)))
        assert len(next(answers)) == answered
    words.end()
    assert list(answers) == []


def empty_stream(client: Client, service: Service) -> None:
    assert list(client.duplex(iter(()))) == []


def custom_metadata(client: Client, service: Service) -> None:
    _, done = client.unary.with_call(message(271828, answers=(314159,)), metadata=METADATA)
    answers = client.duplex(iter([message(271828, answers=(314159,))]), metadata=METADATA)
    assert [len(answer) for answer in answers] == [314159]
    for call in (done, answers):
        assert dict(call.initial_metadata())[INITIAL] == "test_initial_metadata_value"
        assert dict(call.trailing_metadata())[TRAILING] == b"\xab\xab\xab"


def status_code_and_message(client: Client, service: Service) -> None:
    request = message(code=2, says="test status message")
    fails(lambda: client.unary(request), grpc.StatusCode.UNKNOWN, "test status message")
    fails(lambda: list(client.duplex(iter([request]))), grpc.StatusCode.UNKNOWN, "test status message")


def special_status_message(client: Client, service: Service) -> None:
    fails(lambda: client.unary(message(code=2, says=SPECIAL)), grpc.StatusCode.UNKNOWN, SPECIAL)


def unimplemented_method(client: Client, service: Service) -> None:
    fails(lambda: client.unimplemented_method(b""), grpc.StatusCode.UNIMPLEMENTED)


def unimplemented_service(client: Client, service: Service) -> None:
    fails(lambda: client.unimplemented_service(b""), grpc.StatusCode.UNIMPLEMENTED)


def cancel_after_begin(client: Client, service: Service) -> None:
    words = Words(message())
    call = client.input.future(words)
    call.cancel()
    words.end()
    assert call.code() is grpc.StatusCode.CANCELLED


def cancel_after_first_response(client: Client, service: Service) -> None:
    words = Words(message(27182, answers=(31415,)))
    answers = client.duplex(words)
    assert len(next(answers)) == 31415
    answers.cancel()
    fails(lambda: list(answers), grpc.StatusCode.CANCELLED)
    words.end()
    assert service.cancelled.wait(5)


def timeout_on_sleeping_server(client: Client, service: Service) -> None:
    words = Words(message(27182))
    fails(lambda: list(client.duplex(words, timeout=0.5)), grpc.StatusCode.DEADLINE_EXCEEDED)
    words.end()
    assert service.cancelled.wait(5)


def fails(call: Callable[[], Any], code: Any, details: str | None = None) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        call()
    assert failure.value.code() is code
    assert details is None or failure.value.details() == details


CASES: dict[Callable[[Client, Service], None], list[tuple[int, Flag]]] = {
    empty_unary: [(0, Flag.NONE)],
    large_unary: [(0, Flag.NONE)],
    client_streaming: [(0, Flag.NONE)],
    server_streaming: [(0, Flag.NONE)],
    ping_pong: [(0, Flag.NONE)],
    empty_stream: [(0, Flag.NONE)],
    custom_metadata: [(0, Flag.NONE)] * 2,
    status_code_and_message: [(2, Flag.NONE)] * 2,
    special_status_message: [(2, Flag.NONE)],
    unimplemented_method: [(12, Flag.NONE)],
    unimplemented_service: [(12, Flag.NONE)],
    cancel_after_begin: [],  # the client may take it back before a byte has left it
    cancel_after_first_response: [GONE],
    timeout_on_sleeping_server: [GONE],
}
"""What each case leaves behind in records: gRPC status and flag of each call."""
KEPT_BY_THE_SERVER = [(4, Flag.NONE)], [(4, Flag.DOWNSTREAM_CONNECTION_TERMINATION)]
"""A server keeps the deadline too: its word may come before the client's reset, or be on its way when that comes."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_a_case_of_the_interoperability_tests(net: Net, case: Callable[[Client, Service], None]) -> None:
    app, service = net.add("app"), Service()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, service.handlers()),))
    server.add_insecure_port(f"{app.addresses[0]}:{PORT}")
    server.start()
    net.listening[app.addresses[0]] |= {PORT}
    host, port = net.way_to(app.addresses[0])

    def run() -> None:
        with grpc.insecure_channel(f"{host}:{port}") as channel:
            grpc.channel_ready_future(channel).result(10)  # or a call may be over before it has a connection
            case(Client(channel), service)

    try:
        await trio.to_thread.run_sync(run)
        records = [await net.records.next(number) for number in range(1, len(CASES[case]) + 1)]
    finally:
        await trio.to_thread.run_sync(server.stop(None).wait)
    seen = [(record.grpc_status, record.flag) for record in records]
    assert seen == CASES[case] or (case is timeout_on_sleeping_server and seen in KEPT_BY_THE_SERVER)
    assert {record.protocol for record in net.records.all} <= {"grpc"}
