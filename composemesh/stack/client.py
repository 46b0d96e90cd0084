"""Ask a running mesh: its admin API, over the Unix socket in its state folder."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from composemesh.runtime.unix import address_of
from composemesh.stack.errors import UserError

Text = tuple[str, str]
"""A file's name, and what it says."""


class MeshClient:
    """The admin API of one mesh. Every call is one connection; each raises UserError where the mesh is gone."""

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self.path = path
        self.timeout = timeout

    def status(self) -> dict[str, Any]:
        return self._get("/api/v1/status")

    def plugins(self) -> list[dict[str, Any]]:
        """All that can be named in the configuration, and who brought it along."""
        found: list[dict[str, Any]] = self._get("/api/v1/plugins")["plugins"]
        return found

    def graph(self, window: str = "") -> dict[str, Any]:
        """`window` as the API takes it, e.g. ``60s``; empty for what the mesh takes by itself."""
        return self._get("/api/v1/graph", window=window)

    def resources(self, kind: str = "", name: str = "") -> list[dict[str, Any]]:
        """The Istio documents in force, each with where it stands and whether it was applied."""
        found: list[dict[str, Any]] = self._get("/api/v1/resources", kind=kind, name=name)["resources"]
        return found

    def kinds(self) -> list[str]:
        """The names of all kinds that documents may be of, those of plugins among them."""
        return [one["name"].rpartition("/")[2] for one in self.plugins() if one["role"] == "kind" and one["name"]]

    def change(
        self,
        files: Iterable[Text] = (),
        delete: Iterable[tuple[str, str]] = (),
        *,
        delete_files: Iterable[Text] = (),
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Apply the documents of some files, and delete by kind and name or what files name; all of it or nothing.

        The answer says what has changed, or, not `accepted`, what is wrong.
        """
        asked = {
            "files": _files(files),
            "delete": [{"kind": kind, "name": name} for kind, name in delete],
            "delete_files": _files(delete_files),
            "dry_run": dry_run,
        }
        return self._ask("POST", "/api/v1/resources", json.dumps(asked), also=422)

    def diff(self, files: Iterable[Text]) -> dict[str, Any]:
        """What applying the documents of some files would change, with a unified diff of each under `resources`."""
        return self._ask("POST", "/api/v1/diff", json.dumps({"files": _files(files)}))

    def undo(self) -> dict[str, Any]:
        """Take the last change back; the answer is that of a change. Raises UserError where there is none."""
        return self._ask("POST", "/api/v1/undo", also=422)

    def history(self) -> dict[str, Any]:
        """The changes that can be taken back, the newest first, under `steps`."""
        return self._get("/api/v1/history")

    def explain(
        self, caller: str, url: str, method: str, headers: Iterable[str], *, gateway: bool = False
    ) -> dict[str, Any]:
        """Which rule, policy and endpoint a request would meet. Headers are `NAME: VALUE`."""
        asked = [("caller", caller), ("url", url), ("method", method), *(("header", header) for header in headers)]
        if gateway:
            asked.append(("gateway", "true"))
        return self._ask("GET", f"/api/v1/explain?{urlencode(asked)}")

    def export_envoy(self, **asked: str) -> dict[str, Any]:
        """A bootstrap for an Envoy, and the addresses at which its caller finds the others."""
        return self._get("/api/v1/export/envoy", **asked)

    def stream(self, path: str, **query: str) -> Iterator[tuple[str, Any]]:
        """Server-sent events, name and value, until the mesh ends."""
        query = {name: value for name, value in query.items() if value}
        connection = _UnixConnection(self.path, None)
        try:
            connection.request("GET", f"{path}?{urlencode(query)}" if query else path)
            response = connection.getresponse()
            if response.status != 200:
                raise UserError(_reason(response.read()) or f"The mesh refused {path} with status {response.status}.")
            name = ""
            while line := response.readline():
                word, _, value = line.decode().rstrip("\n").partition(": ")
                if word == "event":
                    name = value
                elif word == "data":
                    yield name, json.loads(value)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise UserError(f"The mesh has stopped telling ({problem or type(problem).__name__}).") from problem
        finally:
            connection.close()

    def _get(self, path: str, **query: str) -> dict[str, Any]:
        query = {name: value for name, value in query.items() if value}
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def _ask(self, method: str, target: str, body: str | None = None, *, also: int = 0) -> dict[str, Any]:
        """One answer. `also` is a status besides 200 that is one, too."""
        connection = _UnixConnection(self.path, self.timeout)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            said = response.read()
            answer = json.loads(said) if response.status in (200, also) else None
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise UserError(
                f"The mesh does not answer on {self.path} ({problem or type(problem).__name__}): "
                "`composemesh ls` shows which run; mesh.log beside it says more."
            ) from problem
        finally:
            connection.close()
        if not isinstance(answer, dict):
            raise UserError(_reason(said) or f"The mesh refused {target} with status {response.status}.")
        return answer


def _files(texts: Iterable[Text]) -> list[dict[str, str]]:
    return [{"name": name, "text": text} for name, text in texts]


def _reason(body: bytes) -> str:
    """What an error answer says, in its JSON or as text."""
    text = body.decode(errors="replace").strip()
    try:
        said = json.loads(text)
    except ValueError:
        return text.partition("\n")[0]
    if isinstance(said, dict):
        return f"{said.get('error', '')} {said.get('hint', '')}".strip()
    return ""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        with address_of(self._path) as address:
            self.sock.connect(address)
