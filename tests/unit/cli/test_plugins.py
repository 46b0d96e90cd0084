"""`composemesh plugins`, without a mesh and of one that runs: every name, who brought it along, and what fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner
from rich.table import Table

from composemesh.cli.plugins import _table
from composemesh.cli.root import root
from composemesh.plugins import OURS
from composemesh.stack.client import MeshClient
from composemesh.testing import running_mesh

BROKEN = """
API = 1

class Broken:
    def __init__(self, config): pass
    def on_request(self, x): raise ValueError("<b>boom</b>")

def register(mesh):
    mesh.filter("broken", Broken)
"""
COMPOSE = """
x-mesh: {plugins: [broken.py, old.py]}
services: {web: {x-mesh: {filters: [broken]}}}
"""


def test_without_a_mesh_what_is_installed_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    done = CliRunner().invoke(root, ["plugins", "--format", "json"])
    assert done.exit_code == 0, done.output
    found = {(one["role"], one["name"]): one for one in json.loads(done.stdout)["plugins"]}
    assert found["sink", "access_log"]["from"] == OURS
    assert found["filter", "compress"]["from"] == "composemesh-compress 0.1.0"
    assert {one["state"] for one in found.values()} == {"loaded"}


async def test_a_mesh_tells_what_fails_and_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    (tmp_path / "broken.py").chmod(0o600)
    (tmp_path / "old.py").write_text("API = 0\n")
    (tmp_path / "old.py").chmod(0o600)
    async with running_mesh(COMPOSE, folder=tmp_path) as mesh:
        assert (await mesh.get("web")).status == 500
        answer = await trio.to_thread.run_sync(MeshClient(tmp_path / "state" / "admin.sock").plugins)
        rows = {(one["from"], one["name"]): one for one in answer}
        broken, old = rows[str(tmp_path / "broken.py"), "broken"], rows[str(tmp_path / "old.py"), ""]
        assert (broken["role"], broken["api"], broken["state"], broken["errors"]) == ("filter", 1, "failing", 1)
        assert broken["last_error"].startswith("ValueError: <b>boom</b> (")
        assert (old["state"], old["role"]) == ("left out", "plugin")
        assert "was written for API 0" in old["last_error"]
        codes = {problem.code for problem in mesh.problems}
        assert codes == {"filter-failed", "plugin-api"}
    table = _table(list(rows.values()))
    assert isinstance(table, Table)
    assert table.row_count == len(rows)
