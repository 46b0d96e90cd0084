"""The applications of Istio's samples, as far as their callers can tell them apart: `several.py NAME WORD PORT...`

helloworld  says which version it is · httpbin  says what it was asked · tcp-echo  puts its word before what it hears
tornado     takes a WebSocket and sends back what comes (RFC 6455, small unfragmented texts)
"""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer

NAME, WORD, *PORTS = sys.argv[1:]
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Web(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        if NAME == "tornado":
            self.web_socket()
        elif NAME == "helloworld":
            self.say(f"Hello version: {WORD}, instance: {socket.gethostname()}\n")
        else:
            self.say(json.dumps({"path": self.path, "headers": dict(self.headers)}))

    def say(self, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def web_socket(self) -> None:
        key = self.headers["Sec-WebSocket-Key"]
        accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
        self.send_response(101)
        for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        while head := self.rfile.read(2):
            length = head[1] & 0x7F
            mask = self.rfile.read(4)
            payload = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.rfile.read(length)))
            self.connection.sendall(bytes([head[0], length]) + payload)
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


class Echo(StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            self.wfile.write(f"{WORD} ".encode() + line)


class Tcp(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    for port in PORTS:
        server = Tcp(("", int(port)), Echo) if NAME == "tcp-echo" else ThreadingHTTPServer(("", int(port)), Web)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    signal.pause()
