"""What clients and we say to each other on a stream, as values. `messages` reads and writes their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from composemesh.xds.resources.node import Node
from composemesh.xds.resources.resource import Resource


@dataclass(frozen=True, slots=True)
class Request:
    """A DiscoveryRequest: "of this type I want these, and this is what I make of your last answer"."""

    url: str
    names: tuple[str, ...] = ()
    version: str = ""
    """What the client has in effect."""
    nonce: str = ""
    """Of the answer that this one acknowledges, or refuses; empty where there was none."""
    error: str | None = None
    """Why that answer is refused, in the client's words."""
    node: Node | None = None
    """Mostly in the first request of a stream alone."""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest: what is wanted from now on, and what no more."""

    url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial: Mapping[str, str] = field(default_factory=dict)
    """Name → version of what the client has from an earlier stream."""
    nonce: str = ""
    error: str | None = None
    node: Node | None = None


@dataclass(frozen=True, slots=True)
class Push:
    """A DiscoveryResponse or DeltaDiscoveryResponse."""

    url: str
    version: str
    nonce: str
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()
    """Delta only: what there is no more, or never was."""

    def __repr__(self) -> str:
        removed = f" -{len(self.removed)}" if self.removed else ""
        return f"<Push {self.url.rpartition('.')[2]} #{self.nonce} {self.version}: {len(self.resources)}{removed}>"
