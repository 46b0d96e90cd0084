"""What every Bookinfo service needs: answer HTTP, call another service, end well on SIGTERM.

Standard library only, so that any image with Python runs it as it is.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

IDLE_TIMEOUT = 75.0
"""Seconds that a kept-alive connection may stay silent: nginx's figure."""

DRAIN_TIMEOUT = 5.0
"""Seconds that requests in flight have to end after SIGTERM; Docker sends SIGKILL after ten."""

LARGEST_BODY = 1 << 20

PASSED_ON = (
    # Tracing works only if every service hands these from the request it got to the requests it makes.
    "x-request-id",
    "traceparent",
    "tracestate",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "b3",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "sw8",
    # Who asks, for routes and policies that look at it.
    "end-user",
    "user-agent",
    "cookie",
    "authorization",
    "jwt",
)


class Request(NamedTuple):
    method: str
    path: str
    headers: http.client.HTTPMessage
    body: bytes

    def passed_on(self) -> dict[str, str]:
        """The headers that travel with the request from service to service."""
        return {name: self.headers[name] for name in PASSED_ON if name in self.headers}


class Answer(NamedTuple):
    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def as_json(value, status=200) -> Answer:
    return Answer(json.dumps(value).encode(), status)


class Upstream:
    """Another service, found as in Istio's sample: by `NAME_HOSTNAME`, `NAME_SERVICE_PORT` and `SERVICES_DOMAIN`."""

    def __init__(self, name: str) -> None:
        domain = os.environ.get("SERVICES_DOMAIN", "")
        self.name = name
        self.host = os.environ.get(f"{name.upper()}_HOSTNAME", name) + (f".{domain}" if domain else "")
        self.port = int(os.environ.get(f"{name.upper()}_SERVICE_PORT", "9080"))

    def get(self, path: str, headers: dict[str, str], timeout: float) -> tuple[int, object]:
        """GET a JSON document: its status and value, or status 0 and None where no good answer came in time.

        A connection of its own for each call: nothing is left over that a restart of the other side could break.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={k: v.encode("utf-8") for k, v in headers.items()})
            response = connection.getresponse()
            body = response.read()
            return response.status, json.loads(body) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError) as problem:
            print(f"{self.name} did not answer {path}: {problem!r}", flush=True)
            return 0, None
        finally:
            connection.close()


def serve(routes: dict) -> NoReturn:
    """Answer until SIGTERM or SIGINT, then let the requests in flight end, and end the process.

    `routes` maps "METHOD /path/pattern", a regular expression, to a function of the request and the pattern's groups.
    The command line's one argument is the port, or address:port; 9080 on every interface if there is none.
    """
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "9080").rpartition(":")
    server = _Server((host or "0.0.0.0", int(port)), _Handler)
    server.routes = [(re.compile(pattern), function) for pattern, function in routes.items()]
    for number in (signal.SIGTERM, signal.SIGINT):
        # Process 1 of a container gets no default action for a signal: without a handler SIGTERM would do nothing.
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening on {server.server_address[0]}:{server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.drain()
    # Threads still wait for kept-alive clients to ask again. One that woke up while the interpreter takes itself
    # apart could crash it: so nothing is taken apart.
    os._exit(0)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024
    routes: list

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.stopping = False
        self._busy = 0
        self._quiet = threading.Condition()

    @contextmanager
    def busy(self):
        with self._quiet:
            self._busy += 1
        try:
            yield
        finally:
            with self._quiet:
                self._busy -= 1
                self._quiet.notify_all()

    def drain(self) -> None:
        self.stopping = True
        self.server_close()
        with self._quiet:
            self._quiet.wait_for(lambda: self._busy == 0, DRAIN_TIMEOUT)

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that went away is no news
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Bookinfo"
    sys_version = ""
    timeout = IDLE_TIMEOUT
    wbufsize = -1  # head and body leave in one segment
    disable_nagle_algorithm = True

    def answer(self) -> None:
        with self.server.busy():
            start = time.perf_counter()
            try:
                answer = self.call()
            except _Refused as refused:
                answer = as_json({"error": refused.args[1]}, refused.args[0])
                self.close_connection = True
            self.respond(answer)
            self.wfile.flush()
            spent = f"{(time.perf_counter() - start) * 1000:.1f} ms"
        print(self.log_date_time_string(), self.command, ascii(self.path)[1:-1], answer.status, spent, flush=True)

    do_GET = do_HEAD = do_POST = answer

    def call(self) -> Answer:
        path = urlsplit(self.path).path
        request = Request(self.command, path, self.headers, self.read_body())
        asked = f"{'GET' if self.command == 'HEAD' else self.command} {path}"
        for pattern, function in self.server.routes:
            match = pattern.fullmatch(asked)
            if match is not None:
                return function(request, *match.groups())
        return as_json({"error": "not found"}, 404)

    def respond(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers:
            self.send_header(name, value)
        if self.server.stopping or self.close_connection:
            self.send_header("Connection", "close")  # which also closes it after this answer
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def read_body(self) -> bytes:
        if "transfer-encoding" in self.headers:
            return b"".join(self.chunks())
        length = self.headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit():
            raise _Refused(400, "content-length is not a number")
        return self.read(int(length))

    def chunks(self):
        left = LARGEST_BODY
        while True:
            size = self.rfile.readline(1024).split(b";")[0].strip()
            if not re.fullmatch(rb"[0-9a-fA-F]{1,8}", size):
                raise _Refused(400, "a chunk has no size")
            if int(size, 16) == 0:
                while self.rfile.readline(8192).strip():
                    pass  # trailers
                return
            left -= int(size, 16)
            if left < 0:
                raise _Refused(413, "the body is too large")
            yield self.read(int(size, 16))
            self.rfile.readline(8)  # what ends a chunk

    def read(self, length: int) -> bytes:
        if length > LARGEST_BODY:
            raise _Refused(413, "the body is too large")
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("the client left in the middle of its request")
        return body

    def log_message(self, *arguments) -> None:
        """One line for each request is enough, and `answer` prints it."""


class _Refused(Exception):
    """A request that cannot be read: status and reason."""
