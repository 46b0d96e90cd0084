"""What a trial is made of: a server as a workload's application, a client as a process of the caller."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import trio
import trio.testing

from bench.processes import await_answer, running
from composemesh.model.flag import Flag
from composemesh.model.record import Record
from environment.folder import HOME
from environment.tools import find
from mesh.net import PORT, Net

PROGRAMS = Path(__file__).parent / "programs"
NODE_MODULES = HOME / "node" / "node_modules"
PATIENCE = 60.0
"""Seconds for a client to have done; compilers among them take a few on a busy machine."""
EXCHANGES = 21
"""What every client of ours asks: an upload of 200 kB, and twenty GETs."""


class Failed(Exception):
    """What a peer did or saw through the mesh is not what it should be."""


Commands = Callable[[Path, str, int], list[list[str]]]
"""How to start a server: from a folder of its own, the address and the port, a command for each of its programs.

The last of them is the one that listens there."""


@asynccontextmanager
async def serving(net: Net, folder: Path, server: Commands, port: int = PORT) -> AsyncIterator[str]:
    """Run a server as a new workload's application; yields ADDRESS:PORT where processes of the caller reach it.

    Raises NotHere where it does not come up.
    """
    app = net.add("app")
    address = app.addresses[0]
    with ExitStack() as stack:
        programs = [
            stack.enter_context(running(f"server-{number}", ["env", *_environment(), *command], folder))
            for number, command in enumerate(server(folder, address, port))
        ]
        ready = answers if programs[1:] else _listens
        await_answer(port, programs, lambda port: ready(address, port))
        net.listening[address] |= {port}
        await trio.testing.wait_all_tasks_blocked()  # until the mesh has heard of the workload
        await net.settled(app)
        host, way = net.way_to(address, port)
        yield f"{host}:{way}"


async def asked(*command: str | Path, **environment: str | Path) -> str:
    """What a client prints. Raises Failed with its last words where it does not end well."""
    own = [f"{name}={value}" for name, value in environment.items()]
    with trio.move_on_after(PATIENCE):
        done = await trio.run_process(
            ["env", *_environment(), *own, *map(str, command)], capture_stdout=True, capture_stderr=True, check=False
        )
        said = done.stdout.decode(errors="replace")
        if done.returncode:
            raise Failed(f"exit {done.returncode}: {(done.stderr.decode(errors='replace') or said).strip()[-500:]}")
        return said
    raise Failed(f"no end within {PATIENCE:.0f} s")


async def recorded(net: Net, count: int = EXCHANGES) -> list[Record]:
    """The records of a trial, once there are so many. Raises Failed where one tells of a failure."""
    try:
        await net.records.next(count)
    except trio.TooSlowError:
        raise Failed(f"{len(net.records.all)} records instead of {count}") from None
    if bad := [record for record in net.records.all if record.flag is not Flag.NONE]:
        raise Failed(f"{len(bad)} records of a failure, the first: {bad[0]!r}")
    return net.records.all


def program(name: str) -> str:
    """The path of a program that is on this machine."""
    return str(find(name) or name)


def python(file: str, *arguments: str) -> list[str]:
    return [sys.executable, str(PROGRAMS / file), *arguments]


def node(file: str, *arguments: str) -> list[str]:
    return [program("node"), str(PROGRAMS / file), *arguments]


def _environment() -> list[str]:
    return [f"NODE_PATH={NODE_MODULES}", f"PYTHONPATH={PROGRAMS}", "GO111MODULE=off"]


def answers(address: str, port: int) -> bool:
    """Whether a GET is served there: what stands behind a proxy has come up, too."""
    try:
        with socket.create_connection((address, port), 1) as asked:
            asked.settimeout(2)
            asked.sendall(b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return asked.recv(13) == b"HTTP/1.1 200 "
    except OSError:
        return False


def _listens(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), 1):
            return True
    except OSError:
        return False


def as_user(name: str, command: list[str]) -> list[str]:
    """The command as another user, where we are root: databases refuse to run as root."""
    return (
        ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups", *command]
        if os.geteuid() == 0
        else command
    )
