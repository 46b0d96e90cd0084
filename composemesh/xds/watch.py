"""What one client has and wants of one type of resource, on one stream. No socket, no clock.

A client is *told* resources; it takes a push as a whole, or refuses it. Then it is taken to have what it had before,
and is told the rest anew: see `refusals`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from composemesh.xds.refusals import Refusals
from composemesh.xds.resource_types import ResourceType
from composemesh.xds.resources.resource import Resource
from composemesh.xds.talk import Push

PATIENCE = 2.0
"""Seconds for which an answer that is not acknowledged holds up the next one. Envoy acknowledges clusters when they
are warm, that is, when their endpoints came too."""
MOST_NAMES = 20_000
"""Of one type, subscribed on one stream."""
MOST_BYTES = 3 << 20
"""Of one push that may as well be several: gRPC's clients take 4 MiB."""
MOST_AT_ONCE = 2000
"""Resources in such a push: what a client asks for that there is not costs us more than it costs the client."""
ANY = "*"

Found = Mapping[str, Resource]
"""The resources of a type by name."""


class TooMuch(Exception):
    """A client asks for more than anybody means. The message says of what."""


@dataclass(slots=True)
class Draft:
    """What there is to say, before it is said."""

    resources: list[Resource] = field(default_factory=list)
    """New to the client, or asked for."""
    missing: list[str] = field(default_factory=list)
    """Asked for, and not there."""
    gone: list[str] = field(default_factory=list)
    """The client has it, and shouldn't."""

    def __bool__(self) -> bool:
        return bool(self.resources or self.missing or self.gone)


@dataclass(frozen=True, slots=True)
class Sent:
    """A push that is not acknowledged yet, and what the client had before of what it changed."""

    push: Push
    before: Mapping[str, Resource | None]


class Watch:
    """The common part of both variants of the protocol. `hear` and `push` are what they differ in."""

    def __init__(self, type_: ResourceType) -> None:
        self.type = type_
        self.version = ""
        """Of the last push."""
        self.refusals = Refusals()
        self._heard = False
        self._wildcard = False
        self._names: set[str] = set()
        self._told: dict[str, Resource | None] = {}
        """None: the client was told that there is none."""
        self._owed: set[str] = set()
        """Names to send, whatever the client was told before."""
        self._answer = False
        """Whether the client waits for an answer, even an empty one."""
        self._sent: dict[str, Sent] = {}
        """By nonce, oldest first."""
        self._since = 0.0
        self._at_rest_with: Found | None = None

    def __repr__(self) -> str:
        wants = "all" if self._wildcard else len(self._names)
        return f"<{type(self).__name__} {self.type.word} wants {wants} told {len(self._told)} {self.state}>"

    @property
    def state(self) -> str:
        """`refused`, `waiting` for the client's word, or `synced`."""
        return "refused" if self.words else "waiting" if self._sent or not self.version else "synced"

    @property
    def words(self) -> str:
        """Why the client refused something that it has not got otherwise since; empty: it has all."""
        return self.refusals.words

    @property
    def refused(self) -> tuple[str, ...]:
        """The names of what it refused."""
        return self.refusals.names

    @property
    def pending(self) -> bool:
        """Whether a push is not acknowledged yet."""
        return bool(self._sent)

    def waits(self, now: float) -> bool:
        """Whether the client owes us a word on the last push, and not for too long."""
        return bool(self._sent) and now < self._since + PATIENCE

    def waits_until(self, now: float) -> float:
        """When it will have had enough time; infinity where it owes nothing."""
        return self._since + PATIENCE if self.waits(now) else float("inf")

    def owe(self, names: Iterable[str]) -> None:
        """Send these again, changed or not, where they are wanted."""
        wanted = self._names.intersection(names)
        if wanted:
            self._owed |= wanted
            self._at_rest_with = None

    def draft(self, found: Found, *, removals: bool) -> Draft | None:
        """What there is to say; None for nothing. Without `removals` the client keeps what is gone, for now."""
        if self._at_rest_with is found:
            return None
        self.refusals.recall(found)
        draft = self._difference(found)
        gone = draft.gone
        if not removals:
            draft.gone = []
        # The same content has the same version: what was refused once would be refused again.
        repeated = not (self._answer or self._owed) and self.refusals.killed(_version(self._after(draft)))
        if (draft or self._answer) and not repeated:
            return draft
        if removals or not gone:
            self._at_rest_with = found
        return None

    def push(self, draft: Draft, found: Found, nonce: str, now: float) -> Push:
        """Say it: from here on the client is taken to have it."""
        after = self._after(draft)
        self.version = _version(after)
        changed = (*(each.name for each in draft.resources), *draft.missing, *draft.gone)
        before = {name: self._told.get(name) for name in changed}
        push = self._spoken(draft, after, nonce)
        self._told = after
        self._owed.difference_update(changed)
        self._answer = False
        self._at_rest_with = None
        self._sent[nonce] = Sent(push, before)
        self._since = now
        return push

    def _spoken(self, draft: Draft, after: Mapping[str, Resource | None], nonce: str) -> Push:
        raise NotImplementedError

    def _difference(self, found: Found) -> Draft:
        draft, room = Draft(), MOST_BYTES
        names = self._names | found.keys() if self._wildcard else self._names
        for name in sorted(names):
            told = self._told.get(name)
            resource = found.get(name)
            if resource is not None and self.refusals.has(resource):
                resource = told if told and told.any_bytes else None
                if resource is None:
                    continue
            if resource is None and not self.type.whole:
                resource = told if told and told.any_bytes else self.type.empty(name)
            if resource is None:
                if name in self._owed or name not in self._told:
                    draft.missing.append(name)
            elif name in self._owed or told is None or told.version != resource.version:
                room -= len(resource.any_bytes)
                full = room < 0 or len(draft.resources) >= MOST_AT_ONCE
                if full and draft.resources and not self.type.whole:
                    break  # the rest follows when this has arrived
                draft.resources.append(resource)
        if self.type.whole:
            draft.gone = [
                name
                for name, told in self._told.items()
                if told is not None and name not in found and name not in self._owed
            ]
        return draft

    def _after(self, draft: Draft) -> dict[str, Resource | None]:
        after = dict(self._told)
        after.update((resource.name, resource) for resource in draft.resources)
        after.update((name, None) for name in draft.missing)
        for name in draft.gone:
            if name in self._names:
                after[name] = None
            else:
                del after[name]
        return after

    # === what the client says ===

    def _want(self, names: Iterable[str]) -> None:
        self._names.update(names)
        if len(self._names) > MOST_NAMES:
            raise TooMuch(f"more than {MOST_NAMES} names of {self.type.word}s")
        self._at_rest_with = None

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            self._names.discard(name)
            self._owed.discard(name)
            if not self._wildcard:
                self._told.pop(name, None)
        if not self._wildcard:
            self.refusals.keep(self._names)
        self._at_rest_with = None

    def _accept(self, nonce: str) -> None:
        del self._sent[nonce]
        self.refusals.took()

    def _refuse(self, nonce: str, words: str) -> None:
        sent = self._sent.pop(nonce)
        suspects = {
            each.name: each.version
            for each in sent.push.resources
            if each.name in sent.before and not _same(sent.before[each.name], each)
        }
        self.refusals.add(sent.push.version, suspects, words)
        self._take_back(sent)
        self._at_rest_with = None

    def _take_back(self, sent: Sent) -> None:
        """The client has what it had before this push."""
        pushed = {each.name: each for each in sent.push.resources}
        for name, before in sent.before.items():
            if name in self._told and self._told[name] is not pushed.get(name):
                continue  # a later push has changed it again
            if before is not None:
                self._told[name] = before
            else:
                self._told.pop(name, None)


def _same(one: Resource | None, other: Resource) -> bool:
    return one is not None and one.version == other.version


def _version(told: Mapping[str, Resource | None]) -> str:
    """By content alone: equal worlds have equal versions, also after a restart."""
    content = hashlib.sha256()
    for name in sorted(told):
        resource = told[name]
        if resource is not None:
            content.update(f"{name}\0{resource.version}\0".encode())
    return content.hexdigest()[:12]
