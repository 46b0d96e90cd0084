"""A service that answers with what it was asked. Run as a script, with `address:port` to listen on."""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        length = int(self.headers.get("content-length", 0))
        body = self.rfile.read(length).decode() if length else ""
        fields: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            fields.setdefault(name.lower(), []).append(value)
        said = {
            "who": os.environ["HOSTNAME"],
            "method": self.command,
            "path": self.path,
            "fields": fields,
            "body": body,
        }
        text = json.dumps(said).encode()
        self.send_response(int(self.headers.get("x-answer", 200)))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.send_header("x-old", "of the application")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    host, _, port = sys.argv[1].rpartition(":")
    ThreadingHTTPServer((host, int(port)), Echo).serve_forever()
