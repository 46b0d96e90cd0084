"""Workloads that are processes of this host: started, kept running, described as a source describes them, and ended.

For loopback mode. Each process is told in its environment where it finds the others, and so finds the mesh:
`REVIEWS_HOSTNAME`, `REVIEWS_SERVICE_PORT` and so on, the names that Bookinfo knows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog
import trio

from composemesh.capture.loopback import Doors, Member, listening_on
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.runtime.latest import Latest
from composemesh.stack.command import ended, running
from composemesh.stack.logfile import last_words

log = structlog.get_logger()

NETWORK = "loopback"
FIRST_DELAY = 0.1
LONGEST_DELAY = 5.0
"""Seconds before a process that ended is started again; they double."""
STEADY_AFTER = 10.0
"""Seconds of running after which the next end counts as the first again."""
POLL = 0.02
"""Seconds between looks at whether a process listens."""
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "TZ")
"""All that a process gets of our environment: what else stands there may mean something else to it."""


@dataclass(frozen=True, slots=True)
class Process:
    """A Python script that is one instance of a service. It takes `address:port` to listen on as its argument."""

    name: str
    """As a Compose service would be called, e.g. `reviews-v2`."""
    script: Path
    port: int
    aliases: tuple[str, ...] = ()
    """Other names that callers use."""
    calls: tuple[str, ...] = ()
    """Names of the services it calls."""
    environment: Mapping[str, str] = field(default_factory=dict)
    published: int = 0
    """The port on 127.0.0.1 that outsiders use, or the next free one; 0 for none."""

    @property
    def member(self) -> Member:
        """What loopback capture needs to know of it."""
        names = (self.name, *self.aliases)
        return Member(f"process:{self.name}", names, self.port, self.calls, self.published)


class Processes:
    """A source whose workloads it starts itself."""

    def __init__(
        self, processes: Sequence[Process], doors: Mapping[str, Doors], logs: Path, environ: Mapping[str, str]
    ) -> None:
        self.logs = logs
        """Folder: what each process prints goes to `<name>.log`."""
        self._processes = processes
        self._doors = doors
        self._inherited = {name: environ[name] for name in INHERITED if name in environ}
        self._running: dict[str, Workload] = {}
        self.discovered: Latest[Discovered] = Latest(Discovered())
        """What lives now, for loopback capture, which is made before there is a registry."""

    def __repr__(self) -> str:
        return f"<Processes {len(self._running)} of {len(self._processes)} running>"

    async def watch(self, publish: Callable[[Discovered], None]) -> None:
        """Run all processes for ever, publishing which of them live, first when all do.

        If cancelled, all have ended when it returns.
        """
        async with trio.open_nursery() as nursery:
            for process in self._processes:
                await nursery.start(self._keep, process)
            async for state in self.discovered:
                publish(state)

    async def _keep(self, process: Process, *, task_status: trio.TaskStatus[None]) -> None:
        delay = FIRST_DELAY
        while True:
            began = trio.current_time()
            code = await self._live(process, task_status)
            task_status = trio.TASK_STATUS_IGNORED
            if trio.current_time() - began > STEADY_AFTER:
                delay = FIRST_DELAY
            log.warning(
                "process ended", process=process.name, code=code, said=self.last_words(process.name), seconds=delay
            )
            await trio.sleep(delay)
            delay = min(delay * 2, LONGEST_DELAY)

    async def _live(self, process: Process, task_status: trio.TaskStatus[None]) -> int:
        """One life of a process, published while it lasts; its exit code. If cancelled, it has ended."""
        doors = self._doors[process.member.id]
        command = [sys.executable, "-E", "-s", "-B", str(process.script), ":".join(map(str, doors.home))]
        with (self.logs / f"{process.name}.log").open("ab") as output:
            # Its session is its own: Ctrl-C is for the mesh, which then ends its processes in its own order.
            async with running(command, self._environment(process, doors), output=output) as child:
                try:
                    self._lives(process, describe(process, doors, child.pid))
                    task_status.started()
                    return await ended(child)
                finally:
                    self._lives(process, None)

    def _lives(self, process: Process, workload: Workload | None) -> None:
        self._running.pop(process.name, None)
        if workload is not None:
            self._running[process.name] = workload
        self.discovered.publish(Discovered(tuple(self._running.values())))

    def _environment(self, process: Process, doors: Doors) -> dict[str, str]:
        environment = {**self._inherited, "HOSTNAME": process.name}
        for name, (host, port) in doors.calls.items():
            environment |= {f"{name.upper()}_HOSTNAME": host, f"{name.upper()}_SERVICE_PORT": str(port)}
        return environment | dict(process.environment)

    async def listening(self) -> None:
        """Wait until every process listens where it was told to."""
        for doors in self._doors.values():
            host, port = doors.home
            look = listening_on(host)
            while port not in look():  # noqa: ASYNC110  the kernel tells nobody when a stranger's socket listens
                await trio.sleep(POLL)

    def last_words(self, name: str) -> str:
        """The last line that a process printed; empty where it said nothing."""
        return last_words(self.logs / f"{name}.log")


def describe(process: Process, doors: Doors, pid: int) -> Workload:
    """A life of a process as the sources describe a container's."""
    member = process.member
    host, port = doors.home
    return Workload(
        id=member.id,
        name=process.name,
        compose_service=process.name,
        started=datetime.now(UTC).isoformat(),
        pid=pid,
        attachments=(Attachment(NETWORK, NETWORK, (host,), member.names),),
        ports=(port,),
    )
