"""A caller in a container: makes one call of a kind and prints, as JSON, what it was told.

ask.py get URL [NAME:VALUE …]     method HEAD as head; status 0 and the reason where there was no answer
ask.py try URL [NAME:VALUE …]     the same for two seconds only
ask.py echo URL MIB [chunked]     sends a body and reads it back at the same time
ask.py pause URL                  lets a large answer wait before it reads it
ask.py upgrade URL TEXT           asks for another protocol, and speaks it
ask.py raw HOST PORT TEXT          sends text, with \\r\\n written out, and reads to the end
ask.py tcp|udp HOST PORT TEXT     what comes back; TCP: what is said before we speak, too
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

PIECE = 65536


def call(
    method: str, url: str, headers: dict[str, str] | None = None, *, pause: float = 0.0, limit: float = 20
) -> dict[str, Any]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=limit)
    began = time.monotonic()
    try:
        connection.request(method, parts.path or "/", headers=headers or {})
        answer = connection.getresponse()
        time.sleep(pause)
        text = answer.read()
    except (OSError, http.client.HTTPException) as problem:
        return {"status": 0, "reason": repr(problem), "seconds": time.monotonic() - began}
    return {
        "status": answer.status,
        "headers": {name.lower(): value for name, value in answer.getheaders()},
        "length": len(text),
        "body": text[:4000].decode(errors="replace"),
        "sha256": hashlib.sha256(text).hexdigest(),
        "seconds": time.monotonic() - began,
    }


def echo(url: str, mib: str, *how: str) -> dict[str, Any]:
    """Both directions at once: the answer begins long before the last byte of the request has left."""
    parts = urlsplit(url)
    size = int(mib) << 20
    piece = bytes(range(256)) * (PIECE // 256)
    here = socket.create_connection((parts.hostname, parts.port or 80), timeout=20)
    length = "Transfer-Encoding: chunked" if "chunked" in how else f"Content-Length: {size}"
    here.sendall(f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{length}\r\n\r\n".encode())
    digest = hashlib.sha256()

    def send() -> None:
        for number in range(size // PIECE):
            data = number.to_bytes(4, "big") + piece[4:]
            digest.update(data)
            here.sendall(b"%x\r\n%s\r\n" % (len(data), data) if "chunked" in how else data)
        if "chunked" in how:
            here.sendall(b"0\r\n\r\n")

    sender = threading.Thread(target=send)
    sender.start()
    answer = http.client.HTTPResponse(here, method="POST")
    answer.begin()
    back, got = hashlib.sha256(), 0
    while data := answer.read(PIECE):
        back.update(data)
        got += len(data)
    sender.join()
    return {"status": answer.status, "length": got, "whole": back.digest() == digest.digest()}


def upgrade(url: str, text: str) -> dict[str, Any]:
    parts = urlsplit(url)
    here = socket.create_connection((parts.hostname, parts.port or 80), timeout=20)
    here.sendall(
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += here.recv(1)
    here.sendall(text.encode())
    return {"head": head.decode(), "said": here.recv(1000).decode()}


def tcp(host: str, port: str, text: str) -> dict[str, Any]:
    began = time.monotonic()
    try:
        here = socket.create_connection((host, int(port)), timeout=3)
        here.settimeout(20)
        banner = here.recv(1000).decode()
        heard = time.monotonic() - began
        here.sendall(text.encode() + b"\n")
        return {"banner": banner, "seconds": heard, "said": here.recv(1000).decode()}
    except OSError as problem:
        return {"banner": "", "reason": repr(problem)}


def raw(host: str, port: str, text: str) -> dict[str, Any]:
    here = socket.create_connection((host, int(port)), timeout=10)
    here.sendall(text.replace("\\r\\n", "\r\n").encode())
    said = b""
    while data := here.recv(PIECE):
        said += data
    return {"said": said.decode(errors="replace")}


def udp(host: str, port: str, text: str) -> dict[str, Any]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.settimeout(5)
        here.sendto(text.encode(), (host, int(port)))
        said, (address, _) = here.recvfrom(1000)
    return {"said": said.decode(), "from": address}


WAYS: dict[str, Callable[..., dict[str, Any]]] = {
    "echo": echo,
    "upgrade": upgrade,
    "raw": raw,
    "tcp": tcp,
    "udp": udp,
}


def main(kind: str, *words: str) -> dict[str, Any]:
    match kind, words:
        case "get" | "head", (url, *fields):
            return call(kind.upper(), url, dict(field.split(":", 1) for field in fields))
        case "try", (url, *fields):
            return call("GET", url, dict(field.split(":", 1) for field in fields), limit=2)
        case "pause", (url,):
            return call("GET", url, pause=1.0)
        case _:
            return WAYS[kind](*words)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
