"""What plugins bring along, by the commands about a mesh that runs: the mesh knows it, who asks does not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from composemesh.cli.root import root
from composemesh.stack.errors import CallError, UserError
from composemesh.stack.state import MeshEntry, StateFolder
from composemesh.testing import running_mesh

PLUGIN = """
from dataclasses import dataclass
from composemesh.plugin import ConnectionLimits, DestinationPolicy, Kind, TrafficPolicy, setting, settings

API = 1

@dataclass(frozen=True)
class Spec:
    service: str = setting("Which service.")
    requests: int = setting("At a time.", 100)

def apply(context, spec, draft):
    policy = TrafficPolicy(connections=ConnectionLimits(max_requests=spec.requests))
    draft.policies.append((context, DestinationPolicy(context.host(spec.service), policy, origin=context.origin())))

def register(mesh):
    mesh.kind("example.com", "Busy", Kind("Busy", "example.com", settings(Spec), apply, versions=("v1",)))
"""
COMPOSE = "x-mesh: {plugins: [busy.py]}\nservices: {web: {}}\n"
DOCUMENT = """# at most
apiVersion: example.com/v1
kind: Busy
metadata: {name: web}
spec: {service: web, requests: 7}
"""

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command, as another process would run it, about the mesh that `running_mesh` runs in `tmp_path`."""
    (tmp_path / "busy.py").write_text(PLUGIN)
    (tmp_path / "busy.py").chmod(0o600)
    (tmp_path / "states").mkdir()
    (tmp_path / "states" / "test").symlink_to(tmp_path / "state")
    monkeypatch.setenv("COMPOSEMESH_STATE_DIR", str(tmp_path / "states"))

    async def invoke(*arguments: str) -> Result:
        folder = StateFolder(tmp_path / "states", "test")
        folder.write(MeshEntry.of_this_process("test", {}, admin_url="http://127.0.0.1"))
        call = partial(CliRunner().invoke, root, ["-p", "test", *arguments], catch_exceptions=True)
        return await trio.to_thread.run_sync(call)

    return invoke


async def test_they_are_compared_applied_and_deleted_by_their_files(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "busy.yaml"
    file.write_text(DOCUMENT)
    async with running_mesh(COMPOSE, folder=tmp_path) as mesh:
        compared = await run("diff", "-f", str(file))
        assert compared.exit_code == 0, compared.output
        assert compared.stderr == ""
        assert "+spec: {service: web, requests: 7}" in compared.stdout.splitlines()
        assert "changes policy of web" in compared.stdout.splitlines()
        assert (await run("apply", "-f", str(file))).stdout == "busy/web created\n"

        file.write_text(DOCUMENT.replace("7", "9"))
        compared = await run("diff", "-f", str(file))
        assert "-spec: {service: web, requests: 7}" in compared.stdout.splitlines()
        assert "+spec: {service: web, requests: 9}" in compared.stdout.splitlines()
        assert mesh.view.snapshot.value.policies["web"].policy.connections.max_requests == 7

        gone = await run("delete", "-f", str(file))
        assert (gone.stdout, gone.stderr) == ("busy/web deleted\n", "")
        assert not mesh.view.snapshot.value.policies


async def test_what_is_wrong_with_them_is_told_and_nothing_is_deleted(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "busy.yaml"
    async with running_mesh(COMPOSE, folder=tmp_path) as mesh:
        file.write_text(DOCUMENT)
        await run("apply", "-f", str(file))
        file.write_text(DOCUMENT + "---\nkind: Busy\nmetadata: {name: other}\n")
        for command in ("delete", "diff"):
            refused = await run(command, "-f", str(file))
            assert refused.exit_code == 1
            assert f"error: {file}:7: This document has no `apiVersion`" in refused.stderr
        assert mesh.view.snapshot.value.policies

        file.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n")
        for_kubernetes = await run("delete", "-f", str(file))
        assert isinstance(for_kubernetes.exception, UserError)
        assert "no resource in it that could be deleted" in str(for_kubernetes.exception)


async def test_a_kind_that_there_is_not_is_no_empty_list(run: Run, tmp_path: Path) -> None:
    async with running_mesh(COMPOSE, folder=tmp_path):
        assert "No resources" in (await run("get", "busy")).stdout
        for call in (
            ("get", "nonsense"),
            ("get", "vs,nonsense"),
            ("delete", "nonsense", "web"),
            ("delete", "nonsense/web"),
        ):
            refused = (await run(*call)).exception
            assert isinstance(refused, CallError)
            assert "No kind 'nonsense': there are VirtualService, " in str(refused)
            assert ", Busy" in str(refused)


FILTERED = """
x-mesh:
  filters: [{headers: {request: {set: {x-stage: test}}}}]
services:
  web: {x-mesh: {filters: [{headers: {response: {remove: [x-debug]}}}]}}
"""


async def test_filters_on_the_way_are_explained(run: Run, tmp_path: Path) -> None:
    async with running_mesh(FILTERED, folder=tmp_path):
        said = await run("explain", "caller", "http://web:9080/")
    assert said.exit_code == 0, said.output
    lines = [line for line in said.stdout.splitlines() if line.startswith("through")]
    file = tmp_path / "compose.yaml"
    assert lines == [
        f"through filter headers of the mesh ({file}:3)",
        f"through filter headers of service web ({file}:5)",
    ]
