"""The discovery services over gRPC: which method means what, and one stream from its first request to its end.

A stream is three tasks. One hears, and never waits for the client to read; one follows what the world becomes; one
pushes, and asks for the next push only when the last is on its way. So a client that does not read costs the memory
of one answer, and hears the newest state when it reads again, however much has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import structlog
import trio

from composemesh.runtime.latest import Latest
from composemesh.xds import messages
from composemesh.xds.call import Call
from composemesh.xds.grpc import Messages, RpcError, Status, deadline, framed, head
from composemesh.xds.messages import Malformed
from composemesh.xds.resource_types import TYPES
from composemesh.xds.resources import Generated, Node
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from composemesh.xds.roster import Roster, clean
from composemesh.xds.session import DeltaSession, StateSession
from composemesh.xds.watch import TooMuch, Watch
from composemesh.xds.worlds import TooMany, Worlds

log = structlog.get_logger()

MOST_HELD = 64 << 20
"""Bytes of messages that have begun and not ended, of all clients together."""

_SERVICES = {
    "discovery.v3.AggregatedDiscoveryService": ("AggregatedResources", ""),
    "cluster.v3.ClusterDiscoveryService": ("Clusters", CLUSTER),
    "endpoint.v3.EndpointDiscoveryService": ("Endpoints", ENDPOINT),
    "listener.v3.ListenerDiscoveryService": ("Listeners", LISTENER),
    "route.v3.RouteDiscoveryService": ("Routes", ROUTE),
}
METHODS = {
    f"/envoy.service.{service}/{variant}{what}": (delta, url)
    for service, (what, url) in _SERVICES.items()
    for variant, delta in (("Stream", False), ("Delta", True))
}
"""Path → whether it is delta, and the one type that it is about; empty for all."""


class Streams:
    """The streams of all clients."""

    def __init__(self, worlds: Worlds, roster: Roster) -> None:
        self.worlds = worlds
        self.roster = roster
        self.held = 0
        """Bytes of unfinished messages."""

    async def answer(self, call: Call, address: str) -> None:
        """Answer one gRPC call. Raises RpcError. If cancelled, the client's subscriptions are forgotten."""
        method = METHODS.get(call.path)
        if method is None:
            raise RpcError(Status.UNIMPLEMENTED, f"there is no method {clean(call.path, 100)}")
        limit = deadline(call.headers)
        with trio.CancelScope(deadline=trio.current_time() + limit if limit is not None else float("inf")):
            await Stream(self, call, address, *method).run()


class Stream:
    """One stream."""

    def __init__(self, streams: Streams, call: Call, address: str, delta: bool, url: str) -> None:
        self.node = ""
        self.address = address
        self._streams = streams
        self._call = call
        self._url = url
        self._session: Any = DeltaSession() if delta else StateSession()
        self._parse: Callable[[bytes], Any] = messages.delta_request if delta else messages.request
        self._said: Callable[[Any], bytes] = messages.delta_response if delta else messages.response
        self._news = trio.Event()
        self._unserved: set[str] = set()

    def __repr__(self) -> str:
        return f"<Stream {self.node!r:.40} {self.address} {self._session!r}>"

    @property
    def watches(self) -> Iterable[Watch]:
        return tuple(self._session.watches)

    async def run(self) -> None:
        """Until the client has no more to say. Raises RpcError."""
        try:
            async with trio.open_nursery() as nursery, AsyncExitStack() as kept:
                self._nursery, self._kept = nursery, kept
                self._call.begin(head())
                await self._hear_all()
                nursery.cancel_scope.cancel()
        finally:
            self._streams.roster.remove(self)
        self._call.fail(Status.OK, "")

    # === hearing ===

    async def _hear_all(self) -> None:
        heard, held = Messages(), 0
        try:
            while data := await self._call.receive():
                heard.feed(data)
                for message in heard:
                    await self._hear(message)
                self._streams.held += len(heard) - held
                held = len(heard)
                if self._streams.held > MOST_HELD:
                    raise RpcError(Status.RESOURCE_EXHAUSTED, "too many clients send large messages: try again")
        finally:
            self._streams.held -= held
        if heard:
            raise RpcError(Status.INVALID_ARGUMENT, "the last message is not complete")

    async def _hear(self, message: bytes) -> None:
        if not self._session.began:
            await trio.to_thread.run_sync(messages.load)  # protobuf comes with the first client of all
        try:
            request = self._parse(message)
        except Malformed as problem:
            raise RpcError(Status.INVALID_ARGUMENT, f"that is no discovery request: {clean(str(problem))}") from None
        if not self._session.began:
            await self._begin(request.node or Node(""))
        url = request.url or self._url
        if not url or (self._url and url != self._url):
            raise RpcError(Status.INVALID_ARGUMENT, "a request must say of which type, and this stream is of one")
        if url not in TYPES and url not in self._unserved:
            self._unserved.add(url)
            log.info("xds client asks for what is not served", node=clean(self.node, 100), type=clean(url, 100))
        try:
            self._session.hear(replace(request, url=url))
        except TooMuch as problem:
            raise RpcError(Status.RESOURCE_EXHAUSTED, str(problem)) from None
        self._news.set()
        await trio.lowlevel.checkpoint()

    async def _begin(self, node: Node) -> None:
        """The first request says who asks; from here on the client is told what concerns it."""
        try:
            world = await self._kept.enter_async_context(self._streams.worlds.of(node))
        except TooMany:
            raise RpcError(Status.RESOURCE_EXHAUSTED, "there are too many different clients") from None
        self.node = node.id
        self._session.see(world.value)
        self._streams.roster.add(self)
        self._nursery.start_soon(self._follow, world)
        self._nursery.start_soon(self._push)

    # === telling ===

    async def _follow(self, feed: Latest[Generated]) -> None:
        async for world in feed:
            self._session.see(world)
            self._news.set()

    async def _push(self) -> None:
        while True:
            self._news = trio.Event()
            while push := self._session.next(trio.current_time()):
                await self._call.send(framed(self._said(push)))
            with trio.move_on_at(self._session.wake_at(trio.current_time())):
                await self._news.wait()
