"""An application: says who it is, at once, on any path; ends at SIGTERM, also as process 1.

It ends as it should: whoever has connected is still answered, and only then is the connection closed.
"""

from __future__ import annotations

import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        body = f"app {socket.gethostname()} {self.headers.get('x-forwarded-for')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6  # and IPv4, mapped
    daemon_threads = False  # so that server_close waits for them
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("::", 8080), Handler)
        self.clients: set[Any] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self.clients.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.clients.discard(request)
        super().shutdown_request(request)

    def end(self) -> None:
        """Take in who has connected already, and answer what they have asked."""
        self.socket.setblocking(False)
        try:
            while True:
                self.process_request(*self.socket.accept())
        except BlockingIOError:
            pass
        for client in tuple(self.clients):
            try:
                client.shutdown(socket.SHUT_RD)  # what has come is still read, and then an end
            except OSError:
                pass
        self.server_close()


if __name__ == "__main__":
    server = Server()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.serve_forever()
    finally:
        server.end()
