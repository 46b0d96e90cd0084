"""Filters for tests, as plugins write them, and how to put them into a mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from composemesh.model.filter import FilterUse
from composemesh.plugin import Exchange
from mesh.net import Net


def use(net: Net, what: type, *, service: str = "", config: Any = None, **how: Any) -> None:
    """Put one more filter in force, of a service or of the mesh."""
    name = what.__name__.lower()
    if name not in net.filters:
        net.filters.add(name, what, "a test")
    one = FilterUse(name, config, **how)
    snapshot = net.snapshot.value
    if service:
        uses = {**snapshot.filters, service: (*snapshot.filters.get(service, ()), one)}
        net.snapshot.publish(replace(snapshot, filters=uses))
    else:
        net.snapshot.publish(replace(snapshot, mesh=replace(snapshot.mesh, filters=(*snapshot.mesh.filters, one))))


def only(hook: str, do: Callable[..., Any], name: str = "Only") -> type:
    """A filter that has this hook alone."""

    def __init__(self: object, config: object) -> None:
        pass

    if hook == "around":

        async def around(self: object, x: Exchange, then: Any) -> None:
            await do(x, then)

        return type(name, (), {"__init__": __init__, hook: around})
    return type(name, (), {"__init__": __init__, hook: lambda self, *given: do(*given)})


def head_of(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer in HTTP/1.1."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    pairs: Sequence[tuple[str, str]] = [(n.lower(), v) for n, _, v in (line.partition(": ") for line in lines)]
    return int(status.split()[1]), dict(pairs), body
