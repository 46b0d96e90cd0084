"""Two hosts on one wire, and a mesh that is told of them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from netns.namespaces import Host, Mesh, close_all, held, start


@pytest.fixture
def app() -> Iterator[Host]:
    """The workload to capture."""
    with held("shop-app-1") as host:
        yield host


@pytest.fixture
def peer(app: Host) -> Iterator[Host]:
    """A host outside the mesh, on one wire with `app`, which has both address families."""
    with held("shop-peer-1") as host:
        wire = ["ip", "link", "add", "eth0", "netns", str(app.pid), "type", "veth"]
        subprocess.run([*wire, "peer", "name", "eth0", "netns", str(host.pid)], check=True)
        for number, end in enumerate((app, host), start=1):
            end.addresses = {socket.AF_INET: f"10.99.7.{number}", socket.AF_INET6: f"fd99:7::{number}"}
            end.run("ip", "address", "add", f"{end.addresses[socket.AF_INET]}/24", "dev", "eth0")
            end.run("ip", "address", "add", f"{end.addresses[socket.AF_INET6]}/64", "dev", "eth0", "nodad")
            end.run("ip", "link", "set", "eth0", "up")
        yield host


@pytest.fixture
async def mesh(nursery: trio.Nursery) -> AsyncIterator[Mesh]:
    """Start a capture of these hosts; it ends with the test, and so does every connection."""
    yield lambda *hosts, **options: start(nursery, *hosts, **options)
    close_all()
