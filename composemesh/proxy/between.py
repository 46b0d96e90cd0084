"""Something between a caller and the spine: the caller's end in all but what it does itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composemesh.model.flag import Flag
    from composemesh.proxy.cluster import Cluster
    from composemesh.proxy.codec.parts import Fields, ResponseHead
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream


class Between:
    """The base of what stands there: each method passes on to the end behind it, which subclasses call `_down`.

    What stays the same for an exchange is read once; the rest is asked each time. Raises what that end raises.
    """

    __slots__ = (
        *("_down", "edge", "filters", "hub", "introduction", "load", "peer_address", "peer_text", "port"),
        *("reactor", "source"),
    )

    def __init__(self, down: Downstream) -> None:
        self._down = down
        self.edge = down.edge
        self.filters = down.filters
        self.hub = down.hub
        self.introduction = down.introduction
        self.load = down.load
        self.peer_address = down.peer_address
        self.peer_text = down.peer_text
        self.port = down.port
        self.reactor = down.reactor
        self.source = down.source

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._down!r}>"

    @property
    def why(self) -> Flag:
        return self._down.why

    @property
    def trailers(self) -> Fields:
        return self._down.trailers

    def cluster(self) -> Cluster:
        return self._down.cluster()

    async def read(self, x: Exchange) -> bytes:
        return await self._down.read(x)

    async def interim(self, head: ResponseHead) -> None:
        await self._down.interim(head)

    async def respond(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> None:
        await self._down.respond(x, head, fields, payload, ended)

    async def send(self, payload: bytes) -> None:
        await self._down.send(payload)

    async def finish(self, trailers: Fields) -> None:
        await self._down.finish(trailers)

    async def tunnel(self, x: Exchange, up: Upstream, head: ResponseHead, fields: Fields, data: bytes) -> None:
        await self._down.tunnel(x, up, head, fields, data)
