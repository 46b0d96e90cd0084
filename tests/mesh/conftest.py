"""The fixtures of this folder: a mesh on loopback, with the fast lane open and closed where that could matter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from composemesh.proxy.reactor import Reactor
from mesh.net import Net, running_net

_HTTP1 = (
    "bad_input",
    "failures",
    "filters",
    "hostile_clients",
    "hostile_servers",
    "http",
    "limits",
    "races",
    "upgrades",
)
BOTH_WAYS = frozenset(f"test_{name}" for name in _HTTP1)
"""The tests of HTTP/1.1, each of which is to pass with the lane and without."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "net" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in BOTH_WAYS:
        metafunc.parametrize("lane", [True, False], ids=["lane", "tasks"], indirect=True)


@pytest.fixture
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether exchanges may take the fast lane."""
    is_open = bool(getattr(request, "param", True))
    monkeypatch.setattr(Reactor, "quick", is_open)
    return is_open


@pytest.fixture
async def net(lane: bool) -> AsyncIterator[Net]:
    async with running_net() as running:
        yield running
