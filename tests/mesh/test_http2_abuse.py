"""Floods in HTTP/2 against a running proxy: each ends its own connection, soon and cheaply, and nobody else's."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import h2.events
import h2.exceptions
import pytest
import trio
import trio.testing

from bench.processes import await_answer, free_port, resident_bytes, running
from composemesh.proxy.codec.h2.frames import PREFACE
from environment.tools import find
from mesh.net import Net
from mesh.test_exhaustion import python_path
from mesh.test_hostile_clients import resident
from mesh.test_http2 import Peer
from wire.h2.abuses import ABUSES, Steps
from wire.h2.raw import ACK, settings

MOST_FRAMES = 2000
MOST_MEMORY = 20_000_000
BATCH = 20
"""Frames sent before the proxy gets to see them: what is on its way when it has had enough."""
BODY = b"x" * 8000
ROUND = 25
"""Requests of a well-behaved client with nobody else there, and as many amid each flood."""
BREATH = 0.05
"""Seconds until an attacker whose connection was ended comes back."""
ONE_FLOOD = 0.05
"""Seconds of processor time that a flood may cost before it has been ended."""
STALL = 0.25
"""Seconds that a busy machine may add to any wait. Whoever hangs on a flood waits longer than that."""
HELLO = PREFACE + settings() + settings(flags=ACK)


async def serve_bodies(stream: trio.SocketStream) -> None:
    """An application that answers all that it is asked, and bears whatever is taken back."""
    peer = Peer(stream, client=False)
    await peer.flush()
    while data := await stream.receive_some():
        for event in peer.h2.receive_data(data):
            try:
                if isinstance(event, h2.events.RequestReceived):
                    peer.h2.send_headers(event.stream_id, [(b":status", b"200")])
                    peer.h2.send_data(event.stream_id, BODY, end_stream=True)
                elif isinstance(event, h2.events.DataReceived):
                    peer.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            except h2.exceptions.ProtocolError:
                pass  # the stream was reset in the same breath
        await peer.flush()


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False


async def ask(peer: Peer) -> None:
    """One good request, answered whole."""
    peer.request(b"/page")
    await peer.flush()
    head = await peer.next(h2.events.ResponseReceived)
    assert dict(head.headers)[b":status"] == b"200", head
    await peer.next(h2.events.StreamEnded)


def batches(steps: Steps) -> list[tuple[int, bytes]]:
    """Twice as many frames as any flood may last for, in pieces: how many there are in each, and their bytes."""
    cut, total = [], 0
    while total <= 2 * MOST_FRAMES and sum(len(raw) for _, raw in cut) < 16_000_000:
        frames, raw = 0, b""
        while frames < BATCH:
            count, step = next(steps)
            frames, raw = frames + count, raw + step
        cut.append((frames, raw))
        total += frames
    return cut


async def flood(
    stream: trio.SocketStream, pieces: list[tuple[int, bytes]], after_each: Callable[[], Awaitable[object]]
) -> int:
    """Send until the connection has ended; how many frames that took. `after_each` piece is awaited."""
    sent = 0
    ended = trio.Event()

    async def listen() -> None:
        try:
            while await stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass
        ended.set()

    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        try:
            await stream.send_all(HELLO)
            for frames, raw in pieces:
                await stream.send_all(raw)
                sent += frames
                await after_each()
                if ended.is_set():
                    break
        except trio.BrokenResourceError:
            pass
        with trio.move_on_after(5):
            await ended.wait()
        nursery.cancel_scope.cancel()
    return sent


@pytest.mark.parametrize("name", ABUSES)
async def test_an_abuse_ends_its_own_connection_and_nobody_elses(net: Net, name: str) -> None:
    app = net.add("app")
    await net.serve(app, serve_bodies)
    neighbour = Peer(await net.connect(app), client=True)
    await ask(neighbour)
    before = resident()

    async def until_quiet() -> None:
        await trio.testing.wait_all_tasks_blocked(0.001)

    frames = await flood(await net.connect(app), batches(ABUSES[name]()), until_quiet)
    assert frames <= MOST_FRAMES
    assert resident() - before < MOST_MEMORY
    await ask(neighbour)
    await until_quiet()
    assert len(net.fleet.sidecars[net.caller.life].connections) == 1
    assert net.fleet.planner.endpoints[app.life].active == 0


async def test_others_are_served_as_fast_and_memory_stays(
    programs: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One proxy, in a process of its own, bears all floods in turn, each again as soon as it has been ended.

    What the floods cost is told by the processor's time, which does not depend on what else the machine does.
    """
    programs("nghttpd")
    (tmp_path / "page").write_bytes(BODY)
    port, origin = free_port(), free_port()
    server = [str(find("nghttpd")), "--no-tls", "--address", "127.0.0.1", "--htdocs", str(tmp_path), str(origin)]
    mesh = ["env", f"PYTHONPATH={python_path()}", sys.executable, "-m", "bench.mesh"]
    quiet: list[float] = []
    amid: list[float] = []
    grown: dict[str, int] = {}
    floods = 0

    async def attack(pieces: list[tuple[int, bytes]]) -> None:
        nonlocal floods
        while True:
            floods += 1
            await flood(await trio.open_tcp_stream("127.0.0.1", port), pieces, trio.lowlevel.checkpoint)
            await trio.sleep(BREATH)

    async def measure(client: Peer, into: list[float]) -> None:
        for _ in range(ROUND):
            began = time.perf_counter()
            await ask(client)
            into.append(time.perf_counter() - began)

    cost = 0.0
    with (
        running("nghttpd", server, tmp_path),
        running("mesh", [*mesh, "--listen", str(port), "--origin", str(origin)], tmp_path) as proxy,
    ):
        await_answer(port, [proxy], listens)
        client = Peer(await trio.open_tcp_stream("127.0.0.1", port), client=True)
        await measure(client, [])
        for name, steps in ABUSES.items():
            pieces = batches(steps())
            cost += proxy.cpu_seconds()
            await measure(client, quiet)
            cost -= 2 * proxy.cpu_seconds()
            before = resident_bytes(proxy.process.pid)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attack, pieces)
                await measure(client, amid)
                nursery.cancel_scope.cancel()
            cost += proxy.cpu_seconds()
            grown[name] = resident_bytes(proxy.process.pid) - before
        await client.stream.aclose()
    p99, p99_amid = (sorted(each)[len(each) * 99 // 100] for each in (quiet, amid))
    with capsys.disabled():
        print(
            f"\n  {floods} floods of {cost / floods * 1e3:.1f} ms, at most {max(grown.values()) / 1e6:.1f} MB more;",
            end="",
        )
        print(f" p99 {p99 * 1e3:.1f} ms without, {p99_amid * 1e3:.1f} ms amid them")
    assert {name: more for name, more in grown.items() if more > MOST_MEMORY} == {}
    assert floods >= len(ABUSES)
    assert cost / floods < ONE_FLOOD
    assert p99_amid < 2 * p99 + STALL
