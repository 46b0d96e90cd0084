"""The processes of a run: started, awaited, weighed by `/proc`, and ended by their own number whatever happens."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

READY_SECONDS = 15.0
END_SECONDS = 5.0
TICK = 1 / os.sysconf("SC_CLK_TCK")
LOOPBACK = "127.0.0.1"


class NotHere(Exception):
    """A peer that cannot take part; the message is one clear line."""


class Running:
    """One started program with the children it forked."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name, self.process, self.log = name, process, log

    def cpu_seconds(self) -> float:
        """User and system time of the whole family so far (proc(5), stat fields 14 and 15)."""
        return sum(_cpu_ticks(pid) for pid in _family(self.process.pid)) * TICK

    def resident_bytes(self) -> int:
        return sum(resident_bytes(pid) for pid in _family(self.process.pid))

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@contextmanager
def running(name: str, command: list[str], folder: Path) -> Iterator[Running]:
    """Run `command` in a session of its own: Ctrl-C reaches only us, and we end it in order. Raises NotHere."""
    log = folder / f"{name}.log"
    with log.open("wb") as sink:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
            )
        except FileNotFoundError as error:
            raise NotHere(f"{name}: there is no {error.filename}") from None
    try:
        yield Running(name, process, log)
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_answer(port: int, programs: list[Running], answers: Callable[[int], bool]) -> None:
    """Return once somebody `answers` behind `port`. Raises NotHere when a program ends or time is up."""
    deadline = time.monotonic() + READY_SECONDS
    while not answers(port):
        for program in programs:
            if program.process.poll() is not None:
                raise NotHere(f"{program.name} ended at once: {program.last_words()}")
        if time.monotonic() > deadline:
            raise NotHere(f"{programs[0].name} did not answer within {READY_SECONDS:.0f} s")
        time.sleep(0.02)


def free_port() -> int:
    """A port of the loopback that nobody has at this moment."""
    with socket.create_server((LOOPBACK, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in children:
        yield from _family(int(child))


def _cpu_ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def resident_bytes(pid: int) -> int:
    """Memory of one process that lies in RAM (proc(5), statm), 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
