"""One HTTP/2 connection, over memory and in no time: who says nothing, takes nothing, or is told goodbye."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import hpack
import pytest
import trio
import trio.testing
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame

from composemesh.xds import attention, http2
from composemesh.xds.call import CLOSED_WINDOW, Call
from composemesh.xds.grpc import RpcError, Status, head
from composemesh.xds.http2 import Answer, Connection
from mesh.discovery import Client

OK = [(b":status", b"200")]
DONE = [(b"grpc-status", b"0")]


@asynccontextmanager
async def connected(answer: Answer, room: int | None = None) -> AsyncIterator[tuple[Client, Connection]]:
    """A client, and the connection that serves it. `room` is 0 for a line that holds nothing while nobody reads."""
    ours, theirs = trio.testing.lockstep_stream_pair() if room == 0 else trio.testing.memory_stream_pair()
    connection = Connection(ours, answer)
    client = Client(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        if room is None:
            await client.flush()
        try:
            yield client, connection
        finally:
            nursery.cancel_scope.cancel()


async def echo(call: Call) -> None:
    """Answers with what it is sent, a call that carries no gRPC included."""
    call.begin(OK)
    while data := await call.receive():
        await call.send(data)
    call.finish(DONE)


async def test_a_call_there_and_back(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(echo) as (client, connection):
        number = await client.call()
        await client.send(number, b"x" * 1_000_000, end=True)
        assert (await client.status(number))["grpc-status"] == "0"
        assert client.body[number] == b"x" * 1_000_000
        assert not connection.busy


async def test_answers_follow_the_clients_window(autojump_clock: trio.testing.MockClock) -> None:
    sent = trio.Event()

    async def answer(call: Call) -> None:
        call.begin(OK)
        await call.send(b"y" * 200_000)
        sent.set()
        call.finish(DONE)

    async with connected(answer) as (client, _):
        client.reads_body = False
        number = await client.call()
        with trio.move_on_after(1):
            while True:
                await client._read()
        assert len(client.body[number]) == 65_535
        assert not sent.is_set()
        client.h2.increment_flow_control_window(200_000)
        client.h2.increment_flow_control_window(200_000, number)
        await client.flush()
        assert (await client.status(number))["grpc-status"] == "0"
        assert len(client.body[number]) == 200_000


async def test_a_window_that_stays_closed_ends_the_call(autojump_clock: trio.testing.MockClock) -> None:
    async def answer(call: Call) -> None:
        call.begin(OK)
        await call.send(b"y" * 200_000)

    async with connected(answer) as (client, _):
        client.reads_body = False
        number = await client.call()
        began = trio.current_time()
        with trio.fail_after(2 * CLOSED_WINDOW):
            while number not in client.ended:
                await client._read()
        assert client.headers[number]["grpc-status"] == str(int(Status.UNAVAILABLE))
        assert trio.current_time() - began >= CLOSED_WINDOW


@pytest.mark.parametrize("end", [False, True])
async def test_errors_become_statuses(autojump_clock: trio.testing.MockClock, end: bool) -> None:
    async def answer(call: Call) -> None:
        if call.path == "/begun":
            call.begin(head())
        if call.path == "/bug":
            raise KeyError("a bug")
        async with trio.open_nursery():
            raise RpcError(Status.INVALID_ARGUMENT, "50 % ä")

    async with connected(answer) as (client, _):
        for path, status in (("/begun", "3"), ("/bare", "3"), ("/bug", "13")):
            number = await client.call(path)
            if end:
                client.h2.end_stream(number)
                await client.flush()
            answered = await client.status(number)
            assert answered["grpc-status"] == status
            assert "bug" not in answered["grpc-message"]


async def test_who_gives_up_cancels_its_call_alone(autojump_clock: trio.testing.MockClock) -> None:
    ended: list[str] = []

    async def answer(call: Call) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(call.path)

    async with connected(answer) as (client, connection):
        first, _second = await client.call("/first"), await client.call("/second")
        client.h2.reset_stream(first)
        await client.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["/first"]
        assert connection.busy
    assert sorted(ended) == ["/first", "/second"]


async def seconds_until_the_end(client: Client, meanwhile: Callable[[], object] = lambda: None) -> float:
    began = trio.current_time()
    with trio.fail_after(10_000):
        try:
            while True:
                meanwhile()
                await client._read()
        except (EOFError, trio.BrokenResourceError):
            return trio.current_time() - began


async def test_who_never_calls_is_left(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(echo) as (client, connection):
        assert await seconds_until_the_end(client) <= attention.FIRST_CALL + 2 * http2.LOOK
        assert connection.why == "it made no call"


async def test_who_calls_no_more_is_left_later_and_in_peace(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(echo) as (client, connection):
        number = await client.call()
        client.h2.end_stream(number)
        await client.flush()
        await client.status(number)
        assert attention.IDLE <= await seconds_until_the_end(client) <= attention.IDLE + 2 * http2.LOOK
        assert connection.why == ""


async def test_a_silent_client_with_a_call_stays_if_it_lives(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It gives one: h2 answers a PING by itself when it is read."""

    async with connected(echo) as (client, connection):
        await client.call()
        with trio.move_on_after(1000):
            while True:
                await client._read()
        assert connection.busy  # it stayed


async def test_a_client_that_gives_none_is_left(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(echo) as (client, connection):
        await client.call()
        while not connection.why:  # noqa: ASYNC110 - nothing is read, so nothing tells
            await trio.sleep(1)
        assert connection.why == "it gives no sign of life"


async def test_a_client_that_takes_nothing_is_left(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(echo, room=0) as (_client, connection):
        while not connection.why:  # noqa: ASYNC110
            await trio.sleep(1)
        assert connection.why in ("it takes nothing of what is sent", "it made no call")


async def test_goodbye(autojump_clock: trio.testing.MockClock) -> None:
    async def answer(call: Call) -> None:
        call.begin(head())
        await trio.sleep_forever()

    async with connected(answer) as (client, connection):
        number = await client.call()
        await trio.testing.wait_all_tasks_blocked()
        connection.drain()
        connection.drain()
        frames = await frames_until_the_end(client)
    (goodbye,) = [frame for frame in frames if isinstance(frame, GoAwayFrame)]
    assert (goodbye.error_code, goodbye.last_stream_id) == (0, number)
    *_, last = [frame for frame in frames if frame.stream_id == number and isinstance(frame, HeadersFrame)]
    assert "END_STREAM" in last.flags
    said = dict(hpack.Decoder().decode(next(f for f in frames if isinstance(f, HeadersFrame)).data, raw=True))
    assert said[b":status"] == b"200"


async def frames_until_the_end(client: Client) -> list[Frame]:
    """h2's own client takes no frame after a GOAWAY, which gRPC's and Envoy's do."""
    data = b""
    with trio.fail_after(20):
        while more := await client.stream.receive_some(65536):
            data += more
    frames = []
    while data:
        frame, size = Frame.parse_frame_header(memoryview(data[:9]))
        frame.parse_body(memoryview(data[9 : 9 + size]))
        frames.append(frame)
        data = data[9 + size :]
    return frames


async def test_goodbye_to_who_does_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(echo) as (client, connection):
        await trio.testing.wait_all_tasks_blocked()
        connection.drain()
        assert await client.farewell() is not None


async def test_mutants_of_an_honest_conversation_raise_nothing(autojump_clock: trio.testing.MockClock) -> None:
    theirs, ours = trio.testing.memory_stream_pair()
    client = Client(theirs)
    first, second = await client.call(), await client.call("/another")
    await client.send(first, b"x" * 100)
    await client.send(second, b"y", end=True)
    client.h2.reset_stream(first)
    client.h2.ping(b"12345678")
    await client.flush()
    honest = bytes(await ours.receive_some(1 << 20))
    chance = random.Random(7)
    for _ in range(300):
        mutant = bytearray(honest)
        for _ in range(chance.randint(1, 6)):
            place, length = chance.randrange(24, len(mutant)), chance.randint(1, 12)
            match chance.randrange(3):
                case 0:
                    mutant[place] = chance.randrange(256)
                case 1:
                    del mutant[place : place + length]
                case _:
                    mutant[place:place] = chance.randbytes(length)
        near, far = trio.testing.memory_stream_pair()
        await far.send_all(bytes(mutant))
        await far.send_eof()
        await Connection(near, echo).run()
