"""A caller that speaks gRPC-Web, as the spine sees it: a caller that speaks gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composemesh.model.flag import Flag
from composemesh.proxy.between import Between
from composemesh.proxy.codec.grpc_web import Call, answers_in_grpc, asks_in_grpc_web
from composemesh.proxy.codec.parts import NO_FIELDS
from composemesh.proxy.refuse import Cut

if TYPE_CHECKING:
    from composemesh.proxy.codec.parts import Fields, RequestHead, ResponseHead
    from composemesh.proxy.exchange import Downstream, Exchange, Upstream


def bridged(x: Exchange, down: Downstream) -> Downstream:
    """The caller's end of a call in gRPC-Web, which from here on is one in gRPC; of any other request, as it is.

    Raises Malformed.
    """
    if not asks_in_grpc_web(x.head.values):
        return down
    x.record.protocol = "grpc"
    x.via = web = GrpcWebDownstream(down, x.head)
    web.take(x)
    return web


class GrpcWebDownstream(Between):
    """What goes through it is gRPC on this side, and gRPC-Web on the other."""

    __slots__ = ("_call", "_grpc")

    def __init__(self, down: Downstream, head: RequestHead) -> None:
        super().__init__(down)
        self._call = Call(head.values)
        self._grpc = False
        """Whether the answer is gRPC's: then there is something to be done about it."""

    def __repr__(self) -> str:
        return f"<GrpcWebDownstream {self._call!r} of {self._down!r}>"

    @property
    def trailers(self) -> Fields:
        return NO_FIELDS  # gRPC-Web has none after a request

    def take(self, x: Exchange) -> None:
        """Turn what has come of the request into gRPC. Raises Malformed."""
        x.body = self._call.request(x.body)
        if x.whole:
            self._call.request_ended()
        x.head = self._call.request_head(x.head, empty=x.whole and not x.body)

    async def read(self, x: Exchange) -> bytes:
        while payload := await self._down.read(x):
            message = self._call.request(payload)
            if message:
                return message
        self._call.request_ended()
        return b""

    async def respond(self, x: Exchange, head: ResponseHead, fields: Fields, payload: bytes, ended: bool) -> None:
        self._grpc = answers_in_grpc(fields)
        if self._grpc:
            head, fields = self._call.response_head(head, fields)
            payload = self._call.response(payload)
        await self._down.respond(x, head, fields, payload, ended)

    async def send(self, payload: bytes) -> None:
        await self._down.send(self._call.response(payload) if self._grpc else payload)

    async def finish(self, trailers: Fields) -> None:
        if self._grpc:
            await self._down.send(self._call.trailers(trailers))
            trailers = NO_FIELDS
        await self._down.finish(trailers)

    async def tunnel(self, x: Exchange, up: Upstream, head: ResponseHead, fields: Fields, data: bytes) -> None:
        raise Cut(Flag.UPSTREAM_PROTOCOL_ERROR)  # nobody has asked for one
