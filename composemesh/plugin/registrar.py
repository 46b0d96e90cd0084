"""Where a plugin says which names stand for its classes."""

from __future__ import annotations

from typing import Protocol

from composemesh.config.kinds.kind import Kind


class Registrar(Protocol):
    """Lets names of the configuration stand for classes. Each name once: who comes first keeps it.

    A class may be given by its import path, `package.module:Class`, and is then imported when it is first needed.
    """

    def filter(self, name: str, what: type | str) -> None:
        """`x-mesh: {filters: [{NAME: …}]}`, for the mesh or for a service: see Filter."""
        ...

    def source(self, name: str, what: type | str) -> None:
        """`x-mesh: {discovery: {NAME: …}}`: see Source. Made of its `Config`."""
        ...

    def sink(self, name: str, what: type | str) -> None:
        """`x-mesh: {sinks: {NAME: …}}`: see Sink. Made of its `Config`."""
        ...

    def balancer(self, name: str, what: type | str) -> None:
        """`x-mesh: {load_balancer: NAME}` of a service: see Balancer. Made of the Balance that applies."""
        ...

    def kind(self, group: str, name: str, what: Kind | str) -> None:
        """Documents of `apiVersion: GROUP/…` and `kind: NAME`: see Kind."""
        ...
