"""`composemesh export envoy` as its users run it, on a running demo and without any mesh."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml

import composemesh
from environment.tools import find
from unit.xds.envoy import validate
from xds.stack import ask, until

REPOSITORY = Path(composemesh.__file__).parents[1]


async def run(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command, to its end."""
    command = [sys.executable, "-m", "composemesh", "-p", "demo", *arguments]
    environment = {"PYTHONPATH": str(REPOSITORY), "COMPOSEMESH_STATE_DIR": str(state), "PATH": "/usr/bin:/bin"}
    done = await trio.run_process(command, env=environment, capture_stdout=True, capture_stderr=True, check=False)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def found_at(said: str) -> dict[str, tuple[str, int]]:
    """Where the caller finds the others, as the comments say."""
    lines = (line.lstrip("# ").split() for line in said.splitlines() if " at 127." in line)
    places = {words[0].partition(":")[0]: words[2].rpartition(":") for words in lines}
    return {host: (address, int(port)) for host, (address, _, port) in places.items()}


async def test_what_is_printed_on_the_demo_serves(tmp_path: Path, nursery: trio.Nursery) -> None:
    state, program = tmp_path / "state", find("envoy")
    if program is None:
        pytest.skip("Envoy is not here: `make environment` fetches it")
    nursery.start_soon(run, state, "demo", "--seconds", "60")

    async def serves() -> bool:
        return "serving" in (await run(state, "status", "--format", "json")).stdout

    await until(serves)
    said = await run(state, "export", "envoy", "productpage")
    assert said.returncode == 0, said.stderr
    made: dict[str, Any] = yaml.safe_load(said.stdout)
    assert validate(made, tmp_path) == ""
    assert made["node"]["id"] == "sidecar~productpage"
    whole = json.loads((await run(state, "export", "envoy", "productpage", "--static", "--format", "json")).stdout)
    assert validate(whole, tmp_path) == ""
    assert "dynamic_resources" not in whole

    command = [str(program), "--config-yaml", json.dumps(made), "--disable-hot-restart", "--concurrency", "1"]
    nursery.start_soon(partial(trio.run_process, [*command, "-l", "off"], check=False))
    reviews = found_at(said.stdout)["reviews"]

    async def answers() -> bool:
        return (await ask(reviews, "/reviews/0")).status == 200

    await until(answers)
    stranger = await run(state, "export", "envoy", "nobody")
    assert (stranger.returncode, "No workload 'nobody' runs." in stranger.stderr) == (1, True)
    nursery.cancel_scope.cancel()


async def test_without_a_mesh_there_is_what_can_be_said(tmp_path: Path) -> None:
    said = await run(tmp_path, "export", "envoy", "productpage", "--format", "json", "--xds", "10.1.2.3:15099")
    made = json.loads(said.stdout)
    assert validate(made, tmp_path) == ""
    assert "10.1.2.3" in json.dumps(made["static_resources"])
    for wrong, code, reason in (
        (("--xds", "nowhere"), 2, "is not HOST:PORT"),
        (("--listen", "1.2.3.4/1"), 2, "neither original_dst nor an IPv4 network"),
        (("--static",), 1, "only a mesh that runs can be written down"),
    ):
        said = await run(tmp_path, "export", "envoy", "productpage", *wrong)
        assert (said.returncode, reason in said.stderr) == (code, True), said.stderr
