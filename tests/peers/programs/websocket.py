"""`websocket.py serve ADDRESS PORT` or `websocket.py ask URL`: Python's websockets, echoing or asking."""

from __future__ import annotations

import sys

from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

BINARY = bytes(range(256)) * 4096


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


def ask(url: str) -> None:
    with connect(url, max_size=None) as connection:
        for message in ("hello", "", BINARY, *map(str, range(100))):
            connection.send(message)
            if connection.recv() != message:
                raise SystemExit("another message came back")
        if not connection.ping().wait(5):
            raise SystemExit("no pong")
    if connection.close_code != 1000:
        raise SystemExit(f"closed with {connection.close_code}")
    print("ok")


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(sys.argv[2])
    else:
        with serve(echo, sys.argv[2], int(sys.argv[3]), max_size=None) as server:
            server.serve_forever()
