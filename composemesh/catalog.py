"""What a name of the configuration stands for: a class, and who brought it along.

Built-ins and plugins stand in the same catalogs. What is listed by its import path is imported when it is first asked
for, so that a long catalog costs a start nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Taken(Exception):
    """A name stands for something already. The text says for whose."""


class Entry(Generic[T]):
    """One name."""

    __slots__ = ("_what", "came_from", "name", "role")

    def __init__(self, role: str, name: str, what: T | str, came_from: str) -> None:
        self.role = role
        """`filter`, `source`, `sink`, `balancer` or `kind`."""
        self.name = name
        self.came_from = came_from
        """A distribution with its version, or a file."""
        self._what = what

    def __repr__(self) -> str:
        return f"<Entry {self.role} {self.name} of {self.came_from}>"

    def load(self) -> T:
        """What the name stands for. Raises whatever its import raises."""
        if isinstance(self._what, str):
            module, _, path = self._what.partition(":")
            found: Any = import_module(module)
            for step in path.split("."):
                found = getattr(found, step)
            self._what = found
        return self._what  # type: ignore[return-value]


class Catalog(Generic[T]):
    """All names of one role, in the order in which they were added."""

    def __init__(self, role: str) -> None:
        self.role = role
        self._entries: dict[str, Entry[T]] = {}

    def __repr__(self) -> str:
        return f"<Catalog of {self.role}s {list(self._entries)}>"

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> T:
        """What a name stands for. Raises KeyError, and whatever its import raises."""
        return self._entries[name].load()

    @property
    def entries(self) -> tuple[Entry[T], ...]:
        return tuple(self._entries.values())

    def add(self, name: str, what: T | str, came_from: str) -> None:
        """Let a name stand for a class, or for what an import path (`module:Class`) leads to.

        Raises Taken: whoever came first keeps a name, so a plugin never changes what another's configuration means.
        """
        holder = self._entries.get(name)
        if holder is not None:
            raise Taken(f"the {self.role} `{name}` is {holder.came_from}'s already")
        self._entries[name] = Entry(self.role, name, what, came_from)


@dataclass(slots=True)
class Catalogs:
    """Every catalog of one mesh."""

    filters: Catalog[type] = field(default_factory=lambda: Catalog("filter"))
    sources: Catalog[type] = field(default_factory=lambda: Catalog("source"))
    sinks: Catalog[type] = field(default_factory=lambda: Catalog("sink"))
    balancers: Catalog[type] = field(default_factory=lambda: Catalog("balancer"))
    kinds: Catalog[Any] = field(default_factory=lambda: Catalog("kind"))
    """By `GROUP/NAME`."""
    incomplete: bool = False
    """Whether a plugin that was asked for is not here: a name that nobody knows may be its, and no typing error."""

    @property
    def entries(self) -> tuple[Entry[Any], ...]:
        """All names, catalog by catalog."""
        catalogs: tuple[Catalog[Any], ...] = (self.filters, self.sources, self.sinks, self.balancers, self.kinds)
        return tuple(entry for catalog in catalogs for entry in catalog.entries)
