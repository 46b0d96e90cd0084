"""Servers that are processes of their own, and what may happen to those: stopped in their tracks, or killed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from composemesh.model.policy import OutlierDetection, Retry
from composemesh.model.workload import Workload
from mesh.net import GET, PORT, Net, read_until
from mesh.policy import say

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
"""


@asynccontextmanager
async def serving(net: Net, workload: Workload) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A server of that workload, once it listens."""
    address = workload.addresses[0]
    command = [sys.executable, "-c", SERVER, address, str(PORT)]
    process = subprocess.Popen(command)  # noqa: ASYNC220 - it returns at once
    try:
        with trio.fail_after(30):
            while True:
                try:
                    await (await trio.open_tcp_stream(address, PORT)).aclose()
                    break
                except OSError:
                    await trio.sleep(0.02)
        net.listening[address] |= {PORT}
        await net.settled(workload)
        yield process
    finally:
        process.kill()
        process.wait()


async def call(net: Net, to: Workload, seconds: float, durations: list[float]) -> None:
    """A caller that sends one request after the other, and must be answered each time."""
    client = await net.connect(to)
    until = trio.current_time() + seconds
    while (began := trio.current_time()) < until:
        await client.send_all(GET)
        answer = await read_until(client, b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        if not answer.endswith(b"ok"):
            await read_until(client, b"ok")
        durations.append(trio.current_time() - began)
        await trio.sleep(0.005)


@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL])
async def test_one_of_two_servers_is_struck_and_no_request_is_lost(net: Net, blow: signal.Signals) -> None:
    """A stopped process still has its connections accepted by the kernel, and its requests taken: only time tells."""
    victim, other = net.add("app"), net.add("app")
    retry = Retry(attempts=2, on=frozenset({"gateway-error"}), per_try_timeout=0.4)
    outliers = OutlierDetection(consecutive_5xx=0, consecutive_gateway_errors=2, base_ejection_time=3600.0)
    say(net, retry=retry, outliers=outliers)
    durations: list[float] = []
    async with serving(net, victim) as process, serving(net, other), trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(call, net, other, 2.5, durations)
        await trio.sleep(0.5)
        process.send_signal(blow)
    assert len(durations) > 50
    assert max(durations) < 2.0  # one try's time, and another try, on a machine that may be busy
    late = [record for record in net.records.all[-20:] if record.destination.workload == victim.name]
    assert not late  # it was left out before long
