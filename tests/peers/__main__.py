"""`make peers`: try every peer once and print the table of docs/reference/peers.md."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import trio

from bench.processes import NotHere
from mesh.net import running_net

from .catalogue import PEERS, Peer
from .trial import Failed


async def tried(peer: Peer) -> tuple[str, bool]:
    """What came of it, and whether that is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = ""
        try:
            async with running_net() as net:
                try:
                    outcome = await peer.trial(net, Path(folder))
                except (Failed, NotHere) as failed:
                    return f"**failed**: {failed}", True
        except* trio.BrokenResourceError:
            pass
        return outcome, False


def main() -> int:
    print("| peer | version | is the | other end | through the mesh |\n|---|---|---|---|---|")
    failures = 0
    for peer in PEERS:
        if missing := peer.missing():
            version, outcome, failed = "", f"not tried: {missing}", False
        else:
            version, (outcome, failed) = peer.version(), trio.run(tried, peer)
        failures += failed
        print(f"| {peer.name} | {version} | {peer.role} | {peer.against} | {outcome} |", flush=True)
    return min(1, failures)


sys.exit(main())
