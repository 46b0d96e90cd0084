"""helloworld: says which version and which instance answered."""

from __future__ import annotations

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

VERSION = os.environ.get("SERVICE_VERSION", "v1")
INSTANCE = os.environ.get("HOSTNAME") or socket.gethostname()


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one segment

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path in ("/hello", "/health"):
            self.answer(200, f"Hello version: {VERSION}, instance: {INSTANCE}\n" if path == "/hello" else "ok\n")
        else:
            self.answer(404, "not found\n")

    do_HEAD = do_GET

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())


class Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True


if __name__ == "__main__":
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "5000").rpartition(":")
    server = Server((host or "0.0.0.0", int(port)), Hello)
    # Process 1 of a container gets no default action for a signal: without a handler SIGTERM would do nothing.
    signal.signal(signal.SIGTERM, lambda *_: Thread(target=server.shutdown).start())
    print(f"listening on {server.server_address[0]}:{server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    # Threads still wait for kept-alive clients to ask again. One that woke up while the interpreter takes itself
    # apart could crash it: so nothing is taken apart.
    os._exit(0)
