"""Whatever happens in whatever order: a client ends up with what there is, and never has a route to nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from composemesh.xds.resource_types import TYPES
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT, LISTENER, ROUTE, Resource
from composemesh.xds.session import DeltaSession, StateSession
from composemesh.xds.talk import DeltaRequest, Push, Request
from composemesh.xds.watch import PATIENCE

NAMES = "abcd"
BAD = "bad"
"""A version that the client refuses."""


class Model:
    """A client as the protocol describes it. It answers pushes in the order in which they came, when it is let."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.now = 0.0
        self.has: dict[str, dict[str, str]] = {url: {} for url in TYPES}
        self.inbox: list[Push] = []
        self.names: dict[str, tuple[str, ...]] = {CLUSTER: (), LISTENER: (), ENDPOINT: (), ROUTE: ("r",)}

    def listen(self) -> None:
        """Take what is sent, up to a push that is not answered."""
        while push := self.session.next(self.now):
            self.inbox.append(push)
            assert len(self.inbox) < 50, "it never stops talking"

    def answer(self) -> None:
        """Apply, or refuse, the first push that waits; then subscribe to what it brought."""
        if not self.inbox:
            return
        push = self.inbox.pop(0)
        bad = [each.name for each in push.resources if each.version == BAD]
        if not bad:
            self.apply(push)
        self.say(push, f"no good: {', '.join(bad)}" if bad else None)
        wanted = tuple(sorted(self.has[CLUSTER]))
        if wanted != self.names[ENDPOINT]:
            self.resubscribe(wanted)
        routed = set(self.has[ROUTE].get("r", "")) - {"0"}
        # Who says nothing of clusters for two seconds gets the routes all the same, and may refuse the clusters then.
        assert self.now or routed <= self.has[CLUSTER].keys(), "a route leads to a cluster that is not there"

    def apply(self, push: Push) -> None:
        raise NotImplementedError

    def say(self, push: Push, error: str | None) -> None:
        raise NotImplementedError

    def resubscribe(self, names: tuple[str, ...]) -> None:
        raise NotImplementedError


class StateModel(Model):
    def __init__(self) -> None:
        super().__init__(StateSession())
        self.version = dict.fromkeys(TYPES, "")
        self.nonce = dict.fromkeys(TYPES, "")
        for url in (CLUSTER, LISTENER, ROUTE):
            self.session.hear(Request(url, self.names[url]))

    def apply(self, push: Push) -> None:
        if TYPES[push.url].whole:
            self.has[push.url].clear()
        self.has[push.url].update({each.name: each.version for each in push.resources})
        self.version[push.url] = push.version

    def say(self, push: Push, error: str | None) -> None:
        self.nonce[push.url] = push.nonce
        self._request(push.url, error)

    def resubscribe(self, names: tuple[str, ...]) -> None:
        self.names[ENDPOINT] = names
        self.has[ENDPOINT] = {name: version for name, version in self.has[ENDPOINT].items() if name in names}
        self._request(ENDPOINT, None)

    def _request(self, url: str, error: str | None) -> None:
        self.session.hear(Request(url, self.names[url], self.version[url], self.nonce[url], error))


class DeltaModel(Model):
    def __init__(self) -> None:
        super().__init__(DeltaSession())
        for url in (CLUSTER, LISTENER, ROUTE):
            self.session.hear(DeltaRequest(url, self.names[url]))

    def apply(self, push: Push) -> None:
        self.has[push.url].update({each.name: each.version for each in push.resources})
        for name in push.removed:
            self.has[push.url].pop(name, None)

    def say(self, push: Push, error: str | None) -> None:
        self.session.hear(DeltaRequest(push.url, nonce=push.nonce, error=error))

    def resubscribe(self, names: tuple[str, ...]) -> None:
        before, self.names[ENDPOINT] = set(self.names[ENDPOINT]), names
        for name in before - set(names):
            self.has[ENDPOINT].pop(name, None)
        new, old = sorted(set(names) - before), sorted(before - set(names))
        self.session.hear(DeltaRequest(ENDPOINT, tuple(new), tuple(old)))


versions = st.sampled_from(["1", "2", "3", BAD])
worlds = st.dictionaries(st.sampled_from(NAMES), st.tuples(versions, versions), max_size=4)
steps = st.lists(st.one_of(worlds, st.sampled_from(["answer", "answer", "listen", "wait"])), max_size=40)


def world(members: dict[str, tuple[str, str]]) -> dict[str, dict[str, Resource]]:
    """Clusters and endpoints of these versions, and a route to all of them."""
    clusters = {name: Resource(name, version, b"x") for name, (version, _) in members.items()}
    endpoints = {name: Resource(name, version, b"x") for name, (_, version) in members.items()}
    routed = "".join(sorted(name for name, (version, _) in members.items() if version != BAD)) or "0"
    listener = Resource("l", routed, b"x")
    return {
        CLUSTER: clusters,
        ENDPOINT: endpoints,
        LISTENER: {"l": listener},
        ROUTE: {"r": Resource("r", routed, b"x")},
    }


@pytest.mark.parametrize("make", [StateModel, DeltaModel])
@given(script=steps, last=worlds)
@settings(max_examples=200)
def test_a_client_ends_up_with_what_there_is(make: Callable[[], Model], script: list[Any], last: Any) -> None:
    client = make()
    client.session.see(world({}))
    for step in script:
        if isinstance(step, dict):
            client.session.see(world(step))
        elif step == "answer":
            client.listen()
            client.answer()
        elif step == "listen":
            client.listen()
        else:
            client.now += PATIENCE / 3
    client.session.see(world(last))
    for _ in range(200):
        client.listen()
        if not client.inbox:
            break
        client.answer()
    assert not client.inbox, "it is never done"
    for url, found in client.session.world.items():
        for name, resource in found.items():
            if resource.version != BAD and (url != ENDPOINT or name in client.has[CLUSTER]):
                assert client.has[url].get(name) == resource.version, (url, name)
    gone = client.has[CLUSTER].keys() - client.session.world[CLUSTER].keys()
    assert not gone, "what is gone has gone"
