"""Ask a running mesh: its admin API, over the Unix socket in its state folder."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from composemesh.runtime.unix import address_of
from composemesh.stack.errors import UserError


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
        with address_of(self._path) as address:
            self.sock.connect(address)
