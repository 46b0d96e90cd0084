"""One stream of discovery requests and answers, and the order in which a client learns things. No socket, no clock.

Make before break: clusters and their endpoints first, then the listeners and routes that name them, and what is gone
goes last, when nothing names it any more. A cluster that changes loses its endpoints until it is told them again
(Envoy warms it anew, and asks for nothing), so they are sent behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from composemesh.xds.delta import DeltaWatch
from composemesh.xds.resource_types import TYPES, type_of
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE
from composemesh.xds.state import StateWatch
from composemesh.xds.talk import DeltaRequest, Push, Request
from composemesh.xds.watch import Found, TooMuch, Watch

MOST_TYPES = 32
"""Asked for on one stream."""
World = Mapping[str, Found]
"""The resources for one kind of client, by type and name. Immutable: another content is another world."""

WatchT = TypeVar("WatchT", bound=Watch)


class Session(Generic[WatchT]):
    """What is said on a stream. `hear` what the client says, `see` what the world becomes, send what `next` returns
    until it returns None; look again at `wake_at`."""

    def __init__(self) -> None:
        self.world: World = {}
        self.began = False
        """Whether it has seen a world."""
        self._watches: dict[str, WatchT] = {}
        self._nonce = 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {', '.join(map(repr, self._watches.values()))}>"

    @property
    def watches(self) -> Iterator[WatchT]:
        """In the order of pushes."""
        yield from (self._watches[url] for url in TYPES if url in self._watches)
        yield from (watch for url, watch in self._watches.items() if url not in TYPES)

    def see(self, world: World) -> None:
        """The world is this from now on."""
        self.world, self.began = world, True

    def next(self, now: float) -> Push | None:
        """What is to be sent now, if anything. `now` is seconds on any clock that only goes forward."""
        ready = [watch for watch in self.watches if not watch.waits(now)]
        for watch in ready:
            if watch.type.url in (LISTENER, ROUTE) and self._waiting(now, CLUSTER, ENDPOINT):
                continue  # what they name is on its way
            if push := self._push(watch, now, removals=watch.type.url != CLUSTER):
                return push
        # Everything else has been said; and who refused newer routes still goes by older ones.
        named = [self._watches[url] for url in (LISTENER, ROUTE) if url in self._watches]
        clusters = self._watches.get(CLUSTER)
        if clusters in ready and not self._waiting(now, *TYPES) and not any(watch.words for watch in named):
            return self._push(clusters, now, removals=True)
        return None

    def wake_at(self, now: float) -> float:
        """When time alone may change what `next` returns."""
        return min((watch.waits_until(now) for watch in self._watches.values()), default=float("inf"))

    def _waiting(self, now: float, *urls: str) -> bool:
        return any(self._watches[url].waits(now) for url in urls if url in self._watches)

    def _push(self, watch: WatchT, now: float, *, removals: bool) -> Push | None:
        found = self._found(watch.type.url)
        draft = watch.draft(found, removals=removals)
        if draft is None:
            return None
        self._nonce += 1
        push = watch.push(draft, found, str(self._nonce), now)
        if watch.type.url == CLUSTER and ENDPOINT in self._watches:
            self._watches[ENDPOINT].owe(resource.name for resource in draft.resources)
        return push

    def _found(self, url: str) -> Found:
        return self.world.get(url, _NOTHING)

    def _watch(self, url: str, make: type[WatchT]) -> WatchT:
        watch = self._watches.get(url)
        if watch is None:
            if len(self._watches) >= MOST_TYPES:
                raise TooMuch(f"more than {MOST_TYPES} types of resources")
            watch = self._watches[url] = make(type_of(url))
        return watch


class StateSession(Session[StateWatch]):
    """State of the world."""

    def hear(self, request: Request) -> None:
        """Raises TooMuch."""
        self._watch(request.url, StateWatch).hear(request)


class DeltaSession(Session[DeltaWatch]):
    """Delta."""

    def hear(self, request: DeltaRequest) -> None:
        """Raises TooMuch."""
        self._watch(request.url, DeltaWatch).hear(request, self._found(request.url))


_NOTHING: Found = {}
