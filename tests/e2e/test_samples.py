"""Istio's smaller samples with Istio's own files, each at its gateway: helloworld, httpbin, tcp-echo, websockets."""

from __future__ import annotations

import base64
import json
import os
import re
import socket
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from e2e.meshed import meshed, until
from environment.project import Project

pytestmark = [pytest.mark.docker, pytest.mark.root]

SAMPLES = """
services:
  helloworld-v1:
    <<: *app
    command: [python3, /apps/several.py, helloworld, v1, "5000"]
    networks: {default: {aliases: [helloworld]}}
  helloworld-v2:
    <<: *app
    command: [python3, /apps/several.py, helloworld, v2, "5000"]
    networks: {default: {aliases: [helloworld]}}
  httpbin:
    <<: *app
    command: [python3, /apps/several.py, httpbin, "", "8000"]
  tcp-echo-v1:
    <<: *app
    command: [python3, /apps/several.py, tcp-echo, one, "9000"]
    networks: {default: {aliases: [tcp-echo]}}
  tcp-echo-v2:
    <<: *app
    command: [python3, /apps/several.py, tcp-echo, two, "9000"]
    networks: {default: {aliases: [tcp-echo]}}
  tornado:
    <<: *app
    command: [python3, /apps/several.py, tornado, "", "8888"]
    expose: ["8888"]
"""


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory, python_image: str) -> Iterator[Project]:
    with meshed(tmp_path_factory.mktemp("samples"), python_image, SAMPLES) as made:
        yield made


class Sample:
    """Istio's files of one sample, with a free port in the place of the gateway's."""

    def __init__(self, project: Project, shared_data: Callable[[str], Path]) -> None:
        self._project = project
        self._shared = shared_data
        with socket.socket() as sock:
            sock.bind(("", 0))
            self.port: int = sock.getsockname()[1]

    async def apply(self, name: str) -> None:
        text = self._shared(f"istio/{name}").read_text()
        text = re.sub(r"(number|port): (80|31400)$", rf"\1: {self.port}", text, flags=re.MULTILINE)
        self._project.write(text, "sample.yaml")
        await self._project.mesh("apply", "-f", "sample.yaml")

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        def ask() -> tuple[int, str]:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as problem:
                return problem.code, problem.read().decode()
            except OSError:
                return 0, ""

        return await trio.to_thread.run_sync(ask)

    async def until_served(self, path: str) -> None:
        async def served() -> bool:
            return (await self.get(path))[0] == 200

        await until(served)


@pytest.fixture
def sample(samples: Project, shared_data: Callable[[str], Path]) -> Sample:
    return Sample(samples, shared_data)


async def test_helloworld(sample: Sample) -> None:
    await sample.apply("helloworld/helloworld-gateway.yaml")
    await sample.until_served("/hello")
    said = Counter([(await sample.get("/hello"))[1].split(",")[0] for _ in range(20)])
    assert set(said) == {"Hello version: v1", "Hello version: v2"}
    assert (await sample.get("/else"))[0] == 404


async def test_httpbin(sample: Sample) -> None:
    await sample.apply("httpbin/httpbin-gateway.yaml")
    await sample.until_served("/get")
    _, text = await sample.get("/headers?a=b", **{"X-Forwarded-For": "192.0.2.1"})
    said = json.loads(text)
    headers = {name.lower(): value for name, value in said["headers"].items()}
    assert said["path"] == "/headers?a=b"
    assert headers["x-forwarded-proto"] == "http"
    assert "x-request-id" in headers
    assert headers["x-envoy-external-address"] == "127.0.0.1"  # who is believed, and not what it says


async def test_tcp_echo_in_shares(sample: Sample) -> None:
    await sample.apply("tcp-echo/tcp-echo-all-v1.yaml")

    async def say() -> str:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", sample.port)
        except OSError:
            return ""
        async with stream:
            await stream.send_all(b"hello\n")
            try:
                return (await stream.receive_some()).decode()
            except trio.BrokenResourceError:
                return ""

    async def served() -> bool:
        return bool(await say())

    await until(served)
    assert {await say() for _ in range(20)} == {"one hello\n"}
    await sample.apply("tcp-echo/tcp-echo-20-v2.yaml")
    said = Counter([await say() for _ in range(100)])
    assert set(said) == {"one hello\n", "two hello\n"}
    assert abs(said["two hello\n"] - 20) <= 2


async def test_websockets(sample: Sample) -> None:
    await sample.apply("websockets/route.yaml")

    async def connect() -> trio.SocketStream | None:
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", sample.port)
        except OSError:
            return None
        key = base64.b64encode(os.urandom(16)).decode()
        head = ["GET /echo HTTP/1.1", "Host: localhost", "Connection: Upgrade", "Upgrade: websocket"]
        head += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", "", ""]
        await stream.send_all("\r\n".join(head).encode())
        if b" 101 " in await stream.receive_some():
            return stream
        await stream.aclose()
        return None

    stream = None
    with trio.fail_after(20):
        while (stream := await connect()) is None:  # noqa: ASYNC110
            await trio.sleep(0.1)
    async with stream:
        for text in (b"hello", b"", b"again"):
            mask = os.urandom(4)
            masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(text))
            await stream.send_all(bytes([0x81, 0x80 | len(text)]) + mask + masked)
            frame = bytes([0x81, len(text)]) + text
            heard = b""
            with trio.fail_after(10):
                while len(heard) < len(frame):
                    heard += await stream.receive_some()
            assert heard == frame
