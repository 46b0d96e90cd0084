"""What a load generator saw in one round, and how to find the programs that generate, serve and proxy."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from environment.tools import find

from .processes import NotHere


@dataclass(frozen=True)
class Load:
    """What the client side saw in one round; latencies in microseconds, 0 where a load has none to speak of."""

    amount: int
    """Requests answered, bytes moved, or connections opened."""
    per_second: float
    p50: float = 0.0
    p99: float = 0.0
    errors: int = 0


class Generate(Protocol):
    """How a port is loaded: until the context is left the load stands, so that its memory can be weighed."""

    def __call__(self, port: int, connections: int, seconds: int, folder: Path) -> AbstractContextManager[Load]: ...


def program(name: str) -> str:
    """The path of an installed program. Raises NotHere."""
    found = find(name)
    if found is None:
        raise NotHere(f"{name} is not installed (`make bench` as root on Debian does)")
    return str(found)
