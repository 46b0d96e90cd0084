"""Delta: requests say what changes in what is wanted, answers what changes in what there is."""

from __future__ import annotations

from collections.abc import Mapping

from composemesh.xds.resources.resource import Resource
from composemesh.xds.talk import DeltaRequest, Push
from composemesh.xds.watch import ANY, MOST_NAMES, Draft, Found, TooMuch, Watch


class DeltaWatch(Watch):
    """One type on a stream of this variant."""

    def hear(self, request: DeltaRequest, found: Found) -> None:
        """Raises TooMuch."""
        if request.nonce in self._sent:
            if request.error is not None:
                self._refuse(request.nonce, request.error)
            else:
                self._accept(request.nonce)
        subscribe = set(request.subscribe)
        if not self._heard:
            self._heard = self._answer = True
            self._wildcard = self.type.whole and not subscribe
            if len(request.initial) > MOST_NAMES:
                raise TooMuch(f"more than {MOST_NAMES} versions of {self.type.word}s")
            for name, version in request.initial.items():
                # Of another version only the version is known; that is enough to see that it is another.
                had = found.get(name)
                same = had is not None and had.version == version
                self._told[name] = had if same else Resource(name, version, b"")
            self._want(subscribe - {ANY})
            self._owed |= self._names - request.initial.keys()
        elif subscribe:
            self._want(subscribe - {ANY})
            self._owed |= subscribe - {ANY}  # again, too: a client that asks anew has lost it
        self._wildcard = (self._wildcard or ANY in subscribe) and ANY not in request.unsubscribe
        self._forget(set(request.unsubscribe) - {ANY})
        if not self._wildcard:
            for name in self._told.keys() - self._names:
                del self._told[name]
        self._at_rest_with = None

    def _spoken(self, draft: Draft, after: Mapping[str, Resource | None], nonce: str) -> Push:
        return Push(self.type.url, self.version, nonce, tuple(draft.resources), (*draft.missing, *draft.gone))
