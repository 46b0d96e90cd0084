"""Processes that join by the Unix socket, over a real one: who is told what, and for how long they are there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from composemesh.admin.joining import LONGEST, read_request
from composemesh.admin.mesh_view import MeshView
from composemesh.admin.processes import Processes
from composemesh.capture.doors import ProcessCapture
from composemesh.discovery.joined import Joined
from composemesh.discovery.registry import Registry
from composemesh.routing.names import Names
from composemesh.stack.errors import UserError
from composemesh.stack.membership import Joining, Membership, connected

from .conftest import Served

PORT = 19480
CALLS = {"ratings": PORT + 1}


@pytest.fixture
async def joined(mesh: MeshView, nursery: trio.Nursery) -> AsyncIterator[Joined]:
    """The mesh takes processes in."""
    source, registry = Joined(), Registry()
    mesh.discovered = registry.discovered
    capture = ProcessCapture(registry.discovered, mesh.snapshot, Names())
    mesh.processes = Processes(source, capture)
    nursery.start_soon(registry.run, [source])
    nursery.start_soon(capture.run)
    yield source
    for each in capture.captures.value.captured.values():
        for sock in each.outbound:
            sock.close()
    await capture.rest()


@asynccontextmanager
async def member(server: Served, **said: Any) -> AsyncIterator[tuple[Membership, Any]]:
    async with connected(server.socket) as membership:
        with trio.fail_after(10):
            doors = await membership.ask(Joining(**{"name": "report", "port": PORT, "calls": CALLS, **said}))
        yield membership, doors


async def gone(mesh: MeshView) -> None:
    with trio.fail_after(10):
        while mesh.discovered.value.workloads:
            await mesh.discovered.after(mesh.discovered.version)


async def test_a_process_is_there_for_as_long_as_its_connection(
    server: Served, mesh: MeshView, joined: Joined
) -> None:
    async with member(server, version="v1") as (_, doors):
        (workload,) = mesh.discovered.value.workloads
        assert workload.name == "report-v1"
        assert {(door.service, door.port) for door in doors} >= {("report", PORT), ("ratings", PORT + 1)}
    captured = list(mesh.processes.capture.captures.value.captured.values())
    await gone(mesh)
    for each in captured:
        for sock in each.outbound:  # as the proxy does when a workload has gone
            sock.close()


async def test_who_is_unwelcome_is_told_why(server: Served, joined: Joined) -> None:
    async with member(server):
        with pytest.raises(UserError, match="The name report is taken by process"):
            async with member(server):
                pass
        with pytest.raises(UserError, match="no name for a service"):
            async with member(server, name="No Name"):
                pass


async def test_nobody_joins_by_tcp_token_or_not(server: Served, joined: Joined) -> None:
    body = json.dumps({"name": "report", "port": PORT})
    for token in ("", "Authorization: Bearer the-token-of-this-mesh"):
        status, said = await server.post("/api/v1/processes", body, *([token] if token else []))
        assert status in (401, 403), said


async def test_a_mesh_that_takes_nobody_says_so(server: Served) -> None:
    with pytest.raises(UserError, match="still starting"):
        async with member(server):
            pass


async def test_nobody_answers_where_there_is_no_mesh(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not answer"):
        async with connected(tmp_path / "no.sock"):
            pass


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"nonsense",
        b"\xff",
        b"[" * 30_000,
        b'{"name": 1}',
        b'{"port": true}',
        b'{"port": "80"}',
        b'{"calls": []}',
        b'{"calls": {"a": 0}}',
        b'{"calls": {"a": true}}',
        b'{"calls": {"a": 65536}}',
    ],
)
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"is (no|not) "):
        read_request(body)


async def test_one_that_says_too_much_is_cut_short(server: Served, joined: Joined) -> None:
    with pytest.raises(UserError, match="more than"):
        async with member(server, calls={"a" * (LONGEST + 1): 80}):
            pass


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
WORDS = st.sampled_from(["name", "version", "port", "pid", "calls", "more"])


@given(st.dictionaries(WORDS, VALUES, max_size=6))
def test_whatever_is_sent_is_read_or_refused(said: dict[str, object]) -> None:
    try:
        read = read_request(json.dumps(said).encode())
    except ValueError:
        return
    assert {word: type(value) for word, value in read.items()} == {
        "name": str,
        "version": str,
        "port": int,
        "pid": int,
        "calls": dict,
    }
