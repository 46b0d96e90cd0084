"""The examples as real processes on loopback, and a stand-in for a service that remembers what it was asked."""

from __future__ import annotations

import http.client
import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"


class Reply(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Service:
    """One process of an example, ready when the constructor returns."""

    def __init__(self, script: Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-B", str(script), "127.0.0.1:0"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready.startswith("listening on 127.0.0.1:"), ready
        self.host, self.port = "127.0.0.1", int(ready.rpartition(":")[2])
        # What it prints from here on is read to nowhere, so that a full pipe never stops it.
        self.reading = threading.Thread(target=self.process.stdout.read)
        self.reading.start()

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Reply:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Reply(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.ask("GET", path, **headers)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reading.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


class Standin:
    """Answers every GET with one JSON document, once `gate` is open, and remembers the requests' headers."""

    def __init__(self, document: object = None) -> None:
        self.asked: list[Message[str, str]] = []
        self.gate = threading.Event()
        self.gate.set()
        standin = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                standin.asked.append(self.headers)
                standin.gate.wait(30)
                body = json.dumps(document).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass  # the caller's patience was shorter

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host, self.port = self.server.server_address[:2]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Callee(Protocol):
    """Where somebody listens."""

    @property
    def host(self) -> object: ...

    @property
    def port(self) -> int: ...


class Town:
    """Starts services of Bookinfo, each told where those that it calls are."""

    def __init__(self) -> None:
        self._open: list[Service | Standin] = []

    def start(self, name: str, callees: Mapping[str, Callee] | None = None, **environment: str) -> Service:
        for callee, service in (callees or {}).items():
            environment[f"{callee.upper()}_HOSTNAME"] = str(service.host)
            environment[f"{callee.upper()}_SERVICE_PORT"] = str(service.port)
        started = Service(EXAMPLES / "bookinfo" / "src" / f"{name}.py", **environment)
        self._open.append(started)
        return started

    def standin(self, document: object = None) -> Standin:
        self._open.append(standin := Standin(document))
        return standin

    def close(self) -> None:
        for each in reversed(self._open):
            each.close()


@pytest.fixture
def town() -> Iterator[Town]:
    made = Town()
    yield made
    made.close()
