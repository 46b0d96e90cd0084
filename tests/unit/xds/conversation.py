"""Conversations with a session, to be read aloud: what the world is, what the client says, what it hears.

talk = StateTalk()
talk.world(cluster="reviews ratings", endpoint="reviews:2")     # name, or name:version
talk.asks("cluster")
assert talk.hears() == ["cluster ratings:1 reviews:1"]
talk.accepts("cluster")
"""

from __future__ import annotations

from typing import Any

from composemesh.xds.resource_types import TYPES
from composemesh.xds.resources.resource import Resource
from composemesh.xds.session import DeltaSession, StateSession
from composemesh.xds.talk import DeltaRequest, Push, Request

URLS = {each.word: each.url for each in TYPES.values()}
WORDS = {url: word for word, url in URLS.items()}


def resource(text: str) -> Resource:
    name, _, version = text.partition(":")
    return Resource(name, version or "1", f"bytes of {name} {version}".encode())


class Talk:
    """What both variants have in common. `now` is the session's clock."""

    session: Any

    def __init__(self) -> None:
        self.now = 100.0
        self.last: dict[str, Push] = {}
        """The latest push of each word."""

    def world(self, **kinds: str) -> None:
        """The world is this from now on, and nothing else."""
        self.session.world = {
            URLS[word]: {each.name: each for each in map(resource, names.split())} for word, names in kinds.items()
        }

    def hears(self) -> list[str]:
        """Everything that the client is sent now, in order."""
        heard = []
        while push := self.session.next(self.now):
            word = WORDS.get(push.url, push.url)
            self.last[word] = push
            resources = sorted(f"{each.name}:{_shown(each)}" for each in push.resources)
            heard.append(" ".join([word, *resources, *sorted(f"-{name}" for name in push.removed)]))
            assert len(heard) < 100, "it never stops talking"
        return heard

    def state(self, word: str) -> str:
        return str(next(watch.state for watch in self.session.watches if watch.type.url == URLS[word]))

    def refused(self, word: str) -> tuple[str, ...]:
        return next(watch.refused for watch in self.session.watches if watch.type.url == URLS[word])

    def passes(self, seconds: float) -> None:
        self.now += seconds


class StateTalk(Talk):
    """A client of the state-of-the-world variant. It keeps versions and names as Envoy does."""

    def __init__(self) -> None:
        super().__init__()
        self.session = StateSession()
        self.names: dict[str, tuple[str, ...]] = {}
        self.version: dict[str, str] = {}

    def asks(self, word: str, names: str = "", **said: Any) -> None:
        """A request without news of an answer: new names with the nonce of the latest."""
        self.names[word] = tuple(names.split())
        self._say(word, **said)

    def accepts(self, *words: str) -> None:
        for word in words:
            self.version[word] = self.last[word].version
            self._say(word)

    def refuses(self, word: str, words: str, *, in_effect: str | None = None) -> None:
        self._say(word, error=words, **({} if in_effect is None else {"version": in_effect}))

    def _say(self, word: str, **said: Any) -> None:
        nonce = self.last[word].nonce if word in self.last else ""
        usual = {"nonce": nonce, "version": self.version.get(word, ""), "names": self.names.get(word, ())}
        self.session.hear(Request(URLS.get(word, word), **{**usual, **said}))


class DeltaTalk(Talk):
    """A client of the delta variant."""

    def __init__(self) -> None:
        super().__init__()
        self.session = DeltaSession()

    def asks(self, word: str, names: str = "", *, no_more: str = "", **said: Any) -> None:
        request = DeltaRequest(URLS.get(word, word), tuple(names.split()), tuple(no_more.split()), **said)
        self.session.hear(request)

    def accepts(self, *words: str) -> None:
        for word in words:
            self.session.hear(DeltaRequest(URLS[word], nonce=self.last[word].nonce))

    def refuses(self, word: str, words: str) -> None:
        self.session.hear(DeltaRequest(URLS[word], nonce=self.last[word].nonce, error=words))


def _shown(each: Resource) -> str:
    return each.version if each.any_bytes.startswith(b"bytes of") else "empty"
