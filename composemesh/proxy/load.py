"""What one listener carries, and how much of that is too much."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from composemesh.proxy.codec.parts import LIMITS

if TYPE_CHECKING:
    from composemesh.model.listener import ListenerLimits


class Load:
    """The connections and requests of one listener. Its limits may change at any time; what stands then goes on."""

    __slots__ = ("connections", "heads", "limits", "requests")

    def __init__(self, limits: ListenerLimits) -> None:
        self.heads = LIMITS
        """What a request's head may be."""
        self.follow(limits)
        self.connections = 0
        self.requests = 0
        """With the one about to be served."""

    def follow(self, limits: ListenerLimits) -> None:
        """From now on these count."""
        self.limits = limits
        if (limits.head, limits.fields) != (self.heads.head, self.heads.fields):
            self.heads = replace(LIMITS, head=limits.head, fields=limits.fields)

    def __repr__(self) -> str:
        return f"<Load connections={self.connections} requests={self.requests} of {self.limits}>"

    @property
    def full(self) -> bool:
        """Whether there is no room for one more connection."""
        return 0 < self.limits.connections <= self.connections

    @property
    def overfull(self) -> bool:
        """Whether the latest request is one too many."""
        return 0 < self.limits.requests < self.requests
