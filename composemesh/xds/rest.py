"""Discovery over REST: a DiscoveryRequest as JSON is posted now and then, and answered with what is new, or 304.

Envoy sends no error by this way. It keeps asking with the version that it has, so who does not take an answer that it
got twice has refused it. Once may be an accident: an answer that came too late for it. Who has
neither a version nor a name begins anew each time, and refuses nothing: an Envoy that refuses its first answer has no
version, but always a name.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import trio

from composemesh.xds import messages
from composemesh.xds.bootstrap import polled
from composemesh.xds.messages import Malformed
from composemesh.xds.resource_types import TYPES, ResourceType
from composemesh.xds.resources import Node
from composemesh.xds.roster import Roster, clean
from composemesh.xds.state import StateWatch
from composemesh.xds.talk import Push, Request
from composemesh.xds.watch import Found, TooMuch, Watch
from composemesh.xds.worlds import TooMany, Worlds

MOST_BYTES = 4 << 20
"""Of a request's body."""
MOST_POLLERS = 4096
FORGOTTEN = 300.0
"""Seconds after its last poll; an Envoy that has nothing to do polls every few."""
MOST_TEXTS = 64
"""Answers that are kept as JSON, for the next client."""
TRIES = 2
"""Answers that are not taken, after which they count as refused."""
REFUSED = "It keeps asking with the version that it had (over REST, Envoy sends no reason: its log has it)."
_PATHS = {f"/v3/discovery:{each.word}s": each for each in TYPES.values()}


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = field(default=((b"content-type", b"application/json"),))


def refusal(status: int, error: str) -> Reply:
    """A reply that says what is wrong, in one line of JSON."""
    return Reply(status, json.dumps({"error": error}).encode() + b"\n")


class Poller:
    """Somebody who polls for some resources of one type."""

    def __init__(self, type_: ResourceType, node: str, address: str) -> None:
        self.node = node
        self.address = address
        self.seen = 0.0
        self._watch = StateWatch(type_)
        self._tries = 0
        self._pushes = 0

    def __repr__(self) -> str:
        return f"<Poller {self.node!r:.40} {self.address} {self._watch!r}>"

    @property
    def watches(self) -> Iterable[Watch]:
        return (self._watch,)

    def poll(self, request: Request, found: Found, now: float) -> Push | None:
        """What is new to it; None for nothing. Raises TooMuch."""
        self.seen = now
        self._hear(replace(request, url=self._watch.type.url, nonce=self._watch.nonce, error=None))
        push = self._push(found, now)
        if self._tries >= TRIES:
            self._watch.refusals.words = REFUSED
        if push is not None and push.version == request.version:  # an earlier mesh told it the same
            self._watch.hear(replace(request, url=push.url, nonce=push.nonce, error=None))
            return None
        return push

    def _hear(self, asked: Request) -> None:
        """What its version says of our last answer."""
        watch = self._watch
        took = bool(asked.version) and asked.version == watch.version
        if watch.pending and not took and (asked.version or self.node):
            self._tries += 1
            if self._tries < TRIES or not asked.version:
                self._anew(asked)  # without a version it may as well have been started again
            else:
                watch.hear(replace(asked, error=REFUSED))
            return
        self._tries = 0
        refused = bool(watch.words)
        if took != refused and asked.version and watch.version:
            watch.hear(asked)  # it took the answer; or has what it had before the one that it refused
        else:
            self._anew(asked)  # it has begun anew, or we have; or it took what seemed to be refused

    def _anew(self, asked: Request) -> None:
        if self._watch.words:
            self._watch = StateWatch(self._watch.type)
        self._watch.hear(replace(asked, nonce=""))

    def _push(self, found: Found, now: float) -> Push | None:
        draft = self._watch.draft(found, removals=True)
        if draft is None:
            return None
        self._pushes += 1
        return self._watch.push(draft, found, str(self._pushes), now)


class Rest:
    """The resources, for everybody who polls."""

    def __init__(self, worlds: Worlds, roster: Roster) -> None:
        self._worlds = worlds
        self._roster = roster
        self._pollers: OrderedDict[tuple[object, ...], Poller] = OrderedDict()
        self._texts: OrderedDict[tuple[object, ...], bytes] = OrderedDict()

    def refuse(self, method: str, path: str, *, origin: str) -> Reply | None:
        """Why a request is refused before its body is read; None where it is not."""
        if origin:
            return refusal(403, "web pages are not told about the mesh")
        if path.partition("?")[0] not in _PATHS:
            return refusal(404, f"there are {', '.join(_PATHS)}; gRPC speaks HTTP/2")
        if method != "POST":
            return replace(refusal(405, "POST a DiscoveryRequest"), headers=((b"allow", b"POST"),))
        return None

    async def answer(self, path: str, host: str, body: bytes, address: str) -> Reply:
        """Answer a request that `refuse` let pass. `host` is whom it means: of Envoy, its name for us."""
        type_ = _PATHS[path.partition("?")[0]]
        await trio.to_thread.run_sync(messages.load)
        try:
            request = messages.request_of_json(body)
        except Malformed as problem:
            return refusal(400, f"that is no DiscoveryRequest: {clean(str(problem))}")
        if request.url not in ("", type_.url):
            return refusal(400, f"this is the address of {type_.word}s")
        node = request.node or Node("")
        try:
            async with self._worlds.of(node) as world:
                poller = self._poller(type_, node, request, address)
                push = poller.poll(request, world.value.get(type_.url, {}), trio.current_time())
        except TooMany:
            return refusal(503, "there are too many different clients")
        except TooMuch as problem:
            return refusal(400, str(problem))
        return Reply(304, headers=()) if push is None else Reply(200, await self._text(push, host[:100]))

    def _poller(self, type_: ResourceType, node: Node, request: Request, address: str) -> Poller:
        """Envoy asks for each cluster's endpoints by itself, so names are a part of who asks."""
        host = address.rpartition(":")[0]
        key = (host, node.id, type_.url, request.names)
        long_ago = trio.current_time() - FORGOTTEN
        poller = self._pollers.pop(key, None)
        if poller is None:
            poller = Poller(type_, node.id, host)
            self._roster.add(poller)
        while self._pollers:
            oldest, other = next(iter(self._pollers.items()))
            if other.seen > long_ago and len(self._pollers) < MOST_POLLERS:
                break
            del self._pollers[oldest]
            self._roster.remove(other)
        self._pollers[key] = poller
        return poller

    async def _text(self, push: Push, server: str) -> bytes:
        # Of endpoints and routes an answer holds what is new alone, which its version doesn't tell.
        key = (push.url, push.version, server, tuple(each.name for each in push.resources))
        text = self._texts.get(key)
        if text is None:
            source = polled(server)
            text = self._texts[key] = await trio.to_thread.run_sync(messages.response_as_json, push, source)
            while len(self._texts) > MOST_TEXTS:
                self._texts.popitem(last=False)
        return text
