"""Asking a mesh over its Unix socket, against a real server on a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import pytest

from composemesh.stack.client import MeshClient
from composemesh.stack.errors import UserError

ANSWERS = {
    "/api/v1/status": (200, b'{"project": "shop"}'),
    "/api/v1/graph": (200, b'{"edges": []}'),
    "/api/v1/graph?window=60s": (200, b'{"edges": [], "window_seconds": 60}'),
    "/api/v1/graph?window=0%26x": (400, b'{"error": "window: say a duration.", "hint": "Try 60s."}'),
    "/api/v1/graph?window=html": (200, b"<html>"),
    "/api/v1/graph?window=list": (200, b"[]"),
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder whose admin.sock answers. Its path is too long for a Unix socket's address."""
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    monkeypatch.chdir(folder)
    server = UnixStreamServer("admin.sock", Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_answers_are_the_apis(folder: Path) -> None:
    client = MeshClient(folder / "admin.sock")
    assert client.status() == {"project": "shop"}
    assert client.graph() == {"edges": []}
    assert client.graph("60s") == json.loads(ANSWERS["/api/v1/graph?window=60s"][1])


def test_a_refusal_is_the_apis_own_words(folder: Path) -> None:
    with pytest.raises(UserError, match=r"^window: say a duration\. Try 60s\.$"):
        MeshClient(folder / "admin.sock").graph("0&x")


@pytest.mark.parametrize("window", ["html", "list"])
def test_an_answer_that_is_none_is_refused(folder: Path, window: str) -> None:
    with pytest.raises(UserError):
        MeshClient(folder / "admin.sock").graph(window)


def test_a_mesh_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"does not answer on .*admin\.sock .*`composemesh ls`"):
        MeshClient(tmp_path / "admin.sock").status()
