"""Every peer that is on this machine, tried once through the mesh."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mesh.net import Net
from peers.catalogue import PEERS, Peer


@pytest.mark.peers
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.name} as {peer.role}")
async def test_a_peer_through_the_mesh(peer: Peer, net: Net) -> None:
    if reason := peer.missing():
        pytest.skip(reason)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to the users that databases run as
        assert await peer.trial(net, Path(folder))
