"""What a balancer is asked, and what it needs to know of those it picks from. Pure, as all of this folder."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol, TypeVar


class Candidate(Protocol):
    """A target, as a balancer sees it."""

    @property
    def name(self) -> str:
        """Of the workload: the same after a restart, and on every plan."""
        ...

    @property
    def host(self) -> str:
        """The address at which it is reached."""
        ...

    @property
    def active(self) -> int:
        """Requests in flight."""
        ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


class Asked:
    """What of a request, or of a connection, decides who gets it."""

    __slots__ = ("address", "key")

    def __init__(self, address: str = "", key: bytes | None = None) -> None:
        self.address = address
        """The one that the caller connected to."""
        self.key = key
        """What a consistent hash is made of; None where the request has none."""

    def __repr__(self) -> str:
        return f"<Asked {self.address} key={self.key!r}>"


class Picker(Protocol):
    """A balancer of one destination. It outlives plans, and so do its turns and rings."""

    def pick(
        self, targets: Sequence[CandidateT], passed_over: Collection[CandidateT], asked: Asked
    ) -> CandidateT | None:
        """The target for the next request; None where all are passed over."""
        ...
