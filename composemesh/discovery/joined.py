"""Processes of this host that joined the mesh (`composemesh run`): workloads for as long as they stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from composemesh.model.workload import HOST, Attachment, Discovered, Kind, Workload
from composemesh.runtime.latest import Latest

HOME = "127.0.0.1"
"""Where a process listens, and where the mesh reaches it."""
MOST = 48
"""Each holds a connection of the admin socket, which has 64."""
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class Unwelcome(Exception):
    """A process that cannot join; the message is one sentence for whoever starts it."""


class Joined:
    """A source of what comes by itself."""

    def __init__(self) -> None:
        self._workloads: Latest[tuple[Workload, ...]] = Latest(())

    def __repr__(self) -> str:
        return f"<Joined {len(self._workloads.value)} processes>"

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        """Publish who is here, for ever."""
        async for workloads in self._workloads:
            publish(Discovered(workloads))

    @contextmanager
    def joining(self, name: str, version: str, port: int, pid: int, others: Discovered) -> Iterator[Workload]:
        """Be a workload while the block runs. `others` is all that runs. Raises Unwelcome.

        A name is free unless a container has it, or a process with the same version: two versions are one service.
        """
        workload = _workload(name, version, port, pid)
        self._welcome(workload, version, others)
        self._workloads.publish((*self._workloads.value, workload))
        try:
            yield workload
        finally:
            self._workloads.publish(tuple(each for each in self._workloads.value if each is not workload))

    def _welcome(self, workload: Workload, version: str, others: Discovered) -> None:
        name = workload.compose_service
        if len(self._workloads.value) >= MOST:
            raise Unwelcome(f"{MOST} processes have joined this mesh, and there is no room for more.")
        for each in others.workloads:
            aliases = {alias for place in each.attachments for alias in place.aliases}
            if each.kind is Kind.CONTAINER and name in {each.compose_service, each.name, *aliases}:
                raise Unwelcome(
                    f"The name {name} is taken by container {each.name}: stop it, or choose another name."
                )
        for each in self._workloads.value:
            if each.compose_service == name and each.labels.get("version", "") == version:
                raise Unwelcome(
                    f"The name {name} is taken by process {each.pid}: choose another, or another --version of it."
                )
            if workload.ports == each.ports:
                raise Unwelcome(f"Port {workload.ports[0]} is process {each.pid}'s, {each.name}: choose another.")


def _workload(name: str, version: str, port: int, pid: int) -> Workload:
    if not _LABEL.fullmatch(name) or name.isdigit():
        raise Unwelcome(
            f"{name[:64]!a} is no name for a service: up to 63 lowercase letters, digits and dashes, the first and "
            "last a letter or digit, not all of them digits."
        )
    if version and not _VERSION.fullmatch(version):
        raise Unwelcome(f"{version[:64]!a} is no name for a version: letters, digits, `.`, `_` and `-`.")
    if not 0 < port < 65536:
        raise Unwelcome(f"{port} is no port: 1 to 65535.")
    return Workload(
        id=f"process:{name}:{version}",
        name=f"{name}-{version}" if version else name,
        compose_service=name,
        started=datetime.now(UTC).isoformat(),
        pid=pid,
        attachments=(Attachment(HOST, HOST, (HOME,)),),
        ports=(port,),
        labels={"version": version} if version else {},
        kind=Kind.PROCESS,
    )
