"""Speaks many protocols: HTTP/1.1 in all its forms on 8080, a greeting over TCP on 2525, and UDP on 5353.

/  who asks, as JSON · /bytes/N · /chunks/N · /slow/SECONDS · /endless/length|chunks, which never end
/upgrade  then all that is said comes back loud
POST /echo sends the body back while it comes · PUT /  how long the body was
"""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseRequestHandler, ThreadingTCPServer, ThreadingUDPServer
from typing import Any

PIECE = 65536
waiting: list[Any] = []


class Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        _, kind, *rest = self.path.split("/")
        match kind:
            case "bytes":
                self.begin(("Content-Length", rest[0]))
                for _ in range(int(rest[0]) // PIECE):
                    self.say(bytes(PIECE))
                self.say(bytes(int(rest[0]) % PIECE))
            case "chunks":
                self.begin(("Transfer-Encoding", "chunked"))
                for number in range(int(rest[0])):
                    self.say_chunk(b"%d\n" % number)
                self.say_chunk(b"")
            case "endless":  # a length that is never reached, or chunks without an end
                self.begin(("Content-Length", "1000000") if rest[0] == "length" else ("Transfer-Encoding", "chunked"))
                while True:
                    self.say(b"more") if rest[0] == "length" else self.say_chunk(b"more")
                    self.wfile.flush()
                    time.sleep(0.05)
            case "slow":
                waiting.append(self)
                print("asked", flush=True)
                time.sleep(float(rest[0]))
                self.whole(f"waited at {socket.gethostname()}")
                self.wfile.flush()
                waiting.remove(self)
            case "upgrade":
                self.send_response(101)
                self.send_header("Connection", "Upgrade")
                self.send_header("Upgrade", self.headers["Upgrade"])
                self.end_headers()
                self.wfile.flush()
                while data := self.rfile.read1(1000):
                    self.connection.sendall(data.upper())
                self.close_connection = True
            case _:
                peer = self.client_address[0].removeprefix("::ffff:")
                here = self.connection.getsockname()[0].removeprefix("::ffff:")
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.whole(json.dumps({"host": socket.gethostname(), "peer": peer, "here": here, "headers": headers}))

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.begin(("Transfer-Encoding", "chunked"))
        for data in self.body():
            self.say_chunk(data)
        self.say_chunk(b"")

    def handle_expect_100(self) -> bool:
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def do_PUT(self) -> None:
        self.whole(str(sum(len(piece) for piece in self.body())))

    def body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers["Content-Length"])
        while left and (data := self.rfile.read1(min(left, PIECE))):
            left -= len(data)
            yield data

    def whole(self, text: str) -> None:
        self.begin(("Content-Length", str(len(text))))
        self.say(text.encode())

    def begin(self, length: tuple[str, str]) -> None:
        self.send_response(200)
        self.send_header(*length)
        self.end_headers()

    def say(self, data: bytes) -> None:
        if self.command != "HEAD":
            self.wfile.write(data)

    def say_chunk(self, data: bytes) -> None:
        self.say(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6  # and IPv4, mapped
    request_queue_size = 128


class Greeting(BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"220 talker\r\n")
        while data := self.request.recv(1000):
            self.request.sendall(b"250 " + data)


class Datagrams(BaseRequestHandler):
    def handle(self) -> None:
        data, sock = self.request
        sock.sendto(f"{data.decode()} from {self.client_address[0]}".encode(), self.client_address)


class Tcp(ThreadingTCPServer):
    daemon_threads = True


class Udp(ThreadingUDPServer):
    daemon_threads = True


if __name__ == "__main__":
    for other in (Tcp(("", 2525), Greeting), Udp(("", 5353), Datagrams)):
        threading.Thread(target=other.serve_forever, daemon=True).start()
    web = Server(("::", 8080), Web)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=web.shutdown).start())
    web.serve_forever(poll_interval=0.02)
    web.socket.close()
    while waiting:  # as a well-made application does: no new connections, and what is in flight ends
        time.sleep(0.01)
