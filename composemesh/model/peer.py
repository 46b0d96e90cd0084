"""Who stands at either end of an exchange."""

from __future__ import annotations

import enum
from typing import Final


class PeerKind(enum.StrEnum):
    """The kind of a graph node (admin API, `graph`)."""

    SERVICE = "service"
    GATEWAY = "gateway"
    EXTERNAL = "external"
    """Outside the project, called by it."""
    UNKNOWN = "unknown"
    """Outside the mesh, calling into it."""


class Peer:
    """One end of an exchange, bound once for each workload and never per request.

    Compared by identity, so that a table keyed by a pair of peers costs two pointer hashes; `key` compares values.
    """

    __slots__ = ("captured", "kind", "service", "version", "workload")

    def __init__(self, service: str, version: str, workload: str, kind: PeerKind, *, captured: bool) -> None:
        self.service = service
        self.version = version
        self.workload = workload
        """The workload's name (Istio's source_workload), or "unknown"."""
        self.kind = kind
        self.captured = captured
        """Whether a sidecar of this mesh stands here, and so reports on it (Istio's label `reporter`)."""

    @property
    def key(self) -> tuple[str, str, str, str, bool]:
        return (self.kind.value, self.service, self.version, self.workload, self.captured)

    def __repr__(self) -> str:
        return f"<{self.kind} {self.service}/{self.version} {self.workload}>"


UNKNOWN: Final = Peer("unknown", "unknown", "unknown", PeerKind.UNKNOWN, captured=False)
