"""Every peer that is on this machine, tried once through the mesh."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mesh.net import Net
from peers.catalogue import PEERS, Peer


@pytest.fixture(params=PEERS, ids=lambda peer: f"{peer.name} as {peer.role}")
def peer(request: pytest.FixtureRequest) -> Peer:
    """Not asked for in the test itself: a skip inside a task of trio's loses its reason."""
    found: Peer = request.param
    if reason := found.missing():
        pytest.skip(reason)
    return found


@pytest.mark.peers
async def test_a_peer_through_the_mesh(peer: Peer, net: Net) -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to the users that databases run as
        assert await peer.trial(net, Path(folder))
