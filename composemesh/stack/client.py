"""Ask a running mesh: its admin API, over the Unix socket in its state folder."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from composemesh.stack.errors import UserError

LONGEST_ADDRESS = 107
"""Bytes of a Unix socket's path: sun_path has 108, one of them the end."""


class MeshClient:
    """The admin API of one mesh. Every call is one connection; each raises UserError where the mesh is gone."""

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self.path = path
        self.timeout = timeout

    def status(self) -> dict[str, Any]:
        return self._get("/api/v1/status")

    def graph(self, window: str = "") -> dict[str, Any]:
        """`window` as the API takes it, e.g. ``60s``; empty for what the mesh takes by itself."""
        return self._get("/api/v1/graph", **({"window": window} if window else {}))

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        target = f"{path}?{urlencode(query)}" if query else path
        connection = _UnixConnection(self.path, self.timeout)
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            body = response.read()
            answer = json.loads(body) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise UserError(
                f"The mesh does not answer on {self.path} ({problem or type(problem).__name__}): "
                "`composemesh ls` shows which run; mesh.log beside it says more."
            ) from problem
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise UserError(f"The mesh refused {target}: {_reason(body) or f'status {response.status}'}")
        return answer


def _reason(body: bytes) -> str:
    """What an error answer says, in its JSON or as text."""
    text = body.decode(errors="replace").strip()
    try:
        said = json.loads(text)
    except ValueError:
        return text.partition("\n")[0]
    if isinstance(said, dict):
        return str(said.get("message") or said.get("error") or "")
    return ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with _short(self._path) as address:
            self.sock.connect(address)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """An address of the socket that fits: a long folder is named by an open descriptor instead."""
    if len(os.fsencode(path)) <= LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
