"""A process that has run out of file descriptors: it neither exits nor spins, and serves again once it can."""

from __future__ import annotations

import os
import resource
import socket
import sys
import time
from pathlib import Path

import trio

from bench.processes import free_port, running
from mesh.net import GET, answering, ask

TESTS = Path(__file__).resolve().parents[1]
DESCRIPTORS = 64


def python_path() -> str:
    return f"{TESTS.parent}{os.pathsep}{TESTS}"


async def answered(port: int, *, seconds: float) -> bool:
    with trio.move_on_after(seconds):
        while True:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                    with trio.move_on_after(1):
                        return (await ask(stream, GET)).startswith(b"HTTP/1.1 200 ")
            except (OSError, AssertionError, trio.BrokenResourceError):
                pass
            await trio.sleep(0.05)
    return False


async def test_without_descriptors_it_waits_and_comes_back(tmp_path: Path, nursery: trio.Nursery) -> None:
    port, origin = free_port(), free_port()
    listeners = await trio.open_tcp_listeners(origin, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, answering(), listeners)
    mesh = [sys.executable, "-m", "bench.mesh", "--listen", str(port), "--origin", str(origin)]
    command = ["env", f"PYTHONPATH={python_path()}", *mesh]
    with running("mesh", command, tmp_path) as process:
        assert await answered(port, seconds=15)
        pid = process.process.pid
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        flood = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * DESCRIPTORS)]
        await trio.sleep(0.3)
        held = len(os.listdir(f"/proc/{pid}/fd"))
        assert held >= DESCRIPTORS - 4
        before, began = process.cpu_seconds(), time.monotonic()
        await trio.sleep(1)
        assert (process.cpu_seconds() - before) / (time.monotonic() - began) < 0.2
        assert process.process.poll() is None
        for client in flood:
            client.close()
        assert await answered(port, seconds=2)
        said = process.log.read_text()
        assert "Traceback" not in said
        assert said.count("cannot accept") < 10
        with trio.fail_after(3):
            while len(os.listdir(f"/proc/{pid}/fd")) > held - DESCRIPTORS // 2:  # noqa: ASYNC110 - no event
                await trio.sleep(0.05)
    nursery.cancel_scope.cancel()
