"""The same policies where HTTP/2 and gRPC are spoken: streams for connections, statuses in heads and trailers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.policy import ConnectionLimits, OutlierDetection, Retry
from mesh.http2 import Peer, serving
from mesh.net import Net
from mesh.policy import bound, say

GRPC = (b"content-type", b"application/grpc")
UNAVAILABLE = [(b":status", b"200"), GRPC, (b"grpc-status", b"14"), (b"grpc-message", b"not yet")]


def on(*words: str) -> Retry:
    return Retry(attempts=2, on=frozenset(words), back_off=0.001)


class App:
    """An HTTP/2 application: what to do about each stream, the last for all that follow; and what it has seen."""

    def __init__(self, *steps: Callable[[Peer, int], None]) -> None:
        self.steps = list(steps)
        self.connections = 0
        self.heads: list[dict[bytes, bytes]] = []
        self.bodies: dict[int, bytes] = {}

    async def __call__(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        peer = Peer(stream, client=False)
        await peer.flush()
        while True:
            try:
                event = await peer.next(h2.events.Event)
            except (AssertionError, trio.TooSlowError):
                return
            if isinstance(event, h2.events.RequestReceived):
                self.heads.append(dict(event.headers))
                self.bodies[len(self.heads)] = b""
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[len(self.heads)] += event.data
            elif isinstance(event, h2.events.StreamEnded):
                step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
                with suppress(h2.exceptions.ProtocolError):  # it was given up meanwhile
                    step(peer, event.stream_id)
                await peer.flush()


def fine(peer: Peer, stream: int) -> None:
    peer.h2.send_headers(stream, [(b":status", b"200")])
    peer.h2.send_data(stream, b"ok", end_stream=True)


def unavailable(peer: Peer, stream: int) -> None:
    """Nothing but a head, which says it all: as servers do that have nothing to say."""
    peer.h2.send_headers(stream, UNAVAILABLE, end_stream=True)


def too_late(peer: Peer, stream: int) -> None:
    """The same in trailers, when a part of the answer has gone out."""
    peer.h2.send_headers(stream, [(b":status", b"200"), GRPC])
    peer.h2.send_data(stream, b"some of it")
    peer.h2.send_headers(stream, [(b"grpc-status", b"14")], end_stream=True)


def refuse(peer: Peer, stream: int) -> None:
    peer.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)


def cancel(peer: Peer, stream: int) -> None:
    peer.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)


async def test_a_call_that_is_answered_unavailable_is_made_again_with_its_message(net: Net) -> None:
    app, workload = App(unavailable, unavailable, fine), net.add("app")
    say(net, retry=on("unavailable"))
    await net.serve(workload, app)
    client = Peer(await net.connect(workload), client=True)
    number = client.ask(GRPC, method=b"POST", end=False)
    await client.flush()
    await trio.testing.wait_all_tasks_blocked(0.005)
    client.h2.send_data(number, b"message", end_stream=True)
    await client.flush()
    assert (await client.answer())[1] == b"ok"
    assert list(app.bodies.values()) == [b"message"] * 3
    assert [head[b"x-envoy-attempt-count"] for head in app.heads] == [b"1", b"2", b"3"]
    assert (await net.records.next()).attempts == 3


async def test_what_comes_in_trailers_comes_too_late(net: Net) -> None:
    app, workload = App(too_late, fine), net.add("app")
    say(net, retry=on("unavailable"))
    await net.serve(workload, app)
    client = Peer(await net.connect(workload), client=True)
    client.ask(GRPC, method=b"POST")
    await client.flush()
    assert (await client.answer())[2][b"grpc-status"] == b"14"
    record = await net.records.next()
    assert (record.attempts, record.grpc_status, record.flag) == (1, 14, Flag.NONE)


async def test_a_stream_that_is_refused_is_opened_again_and_one_that_is_cancelled_is_not(net: Net) -> None:
    app, workload = App(refuse, fine, cancel), net.add("app")
    say(net, retry=on("refused-stream"))
    await net.serve(workload, app)
    client = Peer(await net.connect(workload), client=True)
    client.ask(method=b"POST")
    await client.flush()
    assert (await client.answer())[1] == b"ok"
    client.ask(method=b"POST")
    await client.flush()
    assert (await client.answer())[0][b"x-composemesh-flag"] == b"UC"


async def test_without_a_rule_a_refused_stream_goes_again_with_all_of_its_body(net: Net) -> None:
    app, workload = App(refuse, fine), net.add("app")
    await net.serve(workload, app)
    client = Peer(await net.connect(workload), client=True)
    number = client.ask(method=b"POST", end=False)
    await client.flush()
    await trio.testing.wait_all_tasks_blocked(0.005)
    client.h2.send_data(number, b"all of it", end_stream=True)
    await client.flush()
    assert (await client.answer())[1] == b"ok"
    assert list(app.bodies.values()) == [b"all of it"] * 2


async def test_streams_are_requests_and_wait_for_a_connection_like_others(net: Net) -> None:
    app, workload = App(fine), net.add("app")
    say(net, connections=ConnectionLimits(max_connections=1, max_requests_per_connection=3, max_concurrent_streams=2))
    await net.serve(workload, app)
    client = Peer(await net.connect(workload), client=True)
    for _ in range(12):
        client.ask()
    await client.flush()
    for _ in range(12):
        await client.next(h2.events.StreamEnded)
    assert len(app.heads) == 12
    assert app.connections == 4
    limits = bound(net).limits
    assert limits is not None
    await trio.testing.wait_all_tasks_blocked(0.005)
    assert (limits.requests, limits.connections) == (0, 0)


async def test_a_try_is_given_up_also_where_its_body_has_nowhere_to_go(net: Net) -> None:
    """The server's window takes ten bytes of the request, and then nothing happens any more."""
    workload = net.add("app")
    settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10}

    async def never(peer: Peer, event: h2.events.Event) -> None:
        await trio.sleep_forever()  # nor does it read on, which would open the window

    say(net, retry=Retry(attempts=0, per_try_timeout=0.1))
    await net.serve(workload, serving(never, settings))
    client = Peer(await net.connect(workload), client=True)
    for _ in range(2):  # the second finds the settings known
        number = client.ask(method=b"POST", end=False)
        client.h2.send_data(number, b"x" * 100, end_stream=True)
        await client.flush()
        head, _, _ = await client.answer()
        assert (head[b":status"], head[b"x-composemesh-flag"]) == (b"504", b"UT")


async def test_one_stream_too_many_is_told_in_grpc(net: Net) -> None:
    workload, seen = net.add("app"), trio.Event()

    def never(peer: Peer, stream: int) -> None:
        seen.set()

    say(net, connections=ConnectionLimits(max_requests=1))
    await net.serve(workload, App(never))
    client = Peer(await net.connect(workload), client=True)
    client.ask(GRPC, method=b"POST")
    await client.flush()
    with trio.fail_after(5):
        await seen.wait()
    client.ask(GRPC, method=b"POST")
    await client.flush()
    head, _, _ = await client.answer()
    assert head[b"grpc-status"] == b"14"
    assert b"UO" in head[b"grpc-message"]
    assert head[b"x-envoy-overloaded"] == b"true"


async def test_calls_that_fail_eject_their_server_wherever_they_say_so(net: Net) -> None:
    good, heads, trailers = [net.add("app") for _ in range(3)]
    say(net, outliers=OutlierDetection(consecutive_5xx=2, base_ejection_time=3600.0, max_ejection_percent=100))
    for workload, step in ((good, fine), (heads, unavailable), (trailers, too_late)):
        await net.serve(workload, App(step))
    client = Peer(await net.connect(good), client=True)
    for number in range(1, 13):
        client.ask(GRPC, method=b"POST")
        await client.flush()
        await client.answer()
        await net.records.next(number)
    outliers = bound(net).outliers
    assert outliers is not None
    assert [outliers.until(each.life) > 0 for each in (good, heads, trailers)] == [False, True, True]
    assert {record.destination.workload for record in net.records.all[6:]} == {good.name}
