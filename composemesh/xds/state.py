"""State of the world: every request says all that is wanted, an answer of a whole type holds all there is."""

from __future__ import annotations

from collections.abc import Mapping

from composemesh.xds.resources.resource import Resource
from composemesh.xds.talk import Push, Request
from composemesh.xds.watch import ANY, Draft, Found, Watch


class StateWatch(Watch):
    """One type on a stream of this variant."""

    def hear(self, request: Request) -> None:
        """Raises TooMuch."""
        names = set(request.names)
        if not self._heard or not request.nonce:
            # A type that this stream never spoke of may come with a nonce of an earlier stream.
            self._wildcard = ANY in names or (self.type.whole and not names and not self._names)
            self._forget(self._names - names)
            self._want(names - {ANY})
            self._owed |= self._names
            self._heard = self._answer = True
            while self._sent:  # it asks as if it had heard nothing of these
                self._take_back(self._sent.popitem()[1])
            return
        latest = next(reversed(self._sent), None)
        if request.nonce != self.nonce:
            return  # an answer to what was overtaken: the answer to the latest is still to come
        if latest is not None:
            self._judge(request, latest)
        if names != self._names or self._wildcard:
            self._resubscribe(names)

    nonce = ""
    """Of the latest push."""

    def push(self, draft: Draft, found: Found, nonce: str, now: float) -> Push:
        self.nonce = nonce
        return super().push(draft, found, nonce, now)

    def _judge(self, request: Request, latest: str) -> None:
        """Envoy holds its word back while clusters warm up, and speaks once for several answers: then the version is
        of the latest, which is in effect, and the error of one before it."""
        if request.error is not None and request.version != self._sent[latest].push.version:
            self._refuse(latest, request.error)
        else:
            earlier = [nonce for nonce in self._sent if nonce != latest]
            self._accept(latest)
            if request.error is not None and earlier:
                self._refuse(earlier[-1], request.error)
        self._sent.clear()

    def _resubscribe(self, names: set[str]) -> None:
        new = names - {ANY} - self._names
        if names:
            self._wildcard = ANY in names
        self._forget(self._names - names)
        if not self._wildcard:
            for name in self._told.keys() - self._names - new:
                del self._told[name]
        self._want(new)
        self._owed |= new
        self._answer = self._answer or bool(new)

    def _spoken(self, draft: Draft, after: Mapping[str, Resource | None], nonce: str) -> Push:
        shown = [each for each in after.values() if each is not None] if self.type.whole else draft.resources
        return Push(self.type.url, self.version, nonce, tuple(shown))
