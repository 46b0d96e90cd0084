"""Who polls: what is new to it, and what it must have refused, since it never says so."""

from __future__ import annotations

import pytest

from composemesh.xds.resource_types import type_of
from composemesh.xds.resources.resource import CLUSTER, ENDPOINT
from composemesh.xds.rest import REFUSED, TRIES, Poller
from composemesh.xds.talk import Request
from composemesh.xds.watch import Found
from unit.xds.conversation import resource


class Polls:
    """A client that polls and, unless told otherwise, takes what it gets."""

    def __init__(self, url: str = CLUSTER, *names: str, node: str = "one") -> None:
        self.poller = Poller(type_of(url), node, "127.0.0.1")
        self.names = names
        self.version = ""

    def poll(self, world: str, *, takes: bool = True) -> list[str] | None:
        """The answer; None for 304."""
        found: Found = {each.name: each for each in map(resource, world.split())}
        push = self.poller.poll(Request("", self.names, self.version), found, 0.0)
        if push is None:
            return None
        if takes:
            self.version = push.version
        return [f"{each.name}:{each.version}" for each in push.resources]

    @property
    def state(self) -> str:
        (watch,) = self.poller.watches
        return watch.state


def test_what_is_new_comes_once() -> None:
    client = Polls()
    assert client.poll("a b") == ["a:1", "b:1"]
    assert client.poll("a b") is None
    assert client.state == "synced"
    assert client.poll("a b:2") == ["a:1", "b:2"]
    assert client.poll("a b:2") is None


def test_endpoints_come_by_name() -> None:
    client = Polls(ENDPOINT, "a")
    assert client.poll("a b") == ["a:1"]
    assert client.poll("a b:2") is None
    assert client.poll("a:3 b:2") == ["a:3"]


def test_who_has_it_from_an_earlier_mesh_is_told_nothing() -> None:
    before = Polls()
    before.poll("a b")
    client = Polls()
    client.version = before.version
    assert client.poll("a b") is None
    assert client.state == "synced"


def test_who_was_started_again_gets_all() -> None:
    client = Polls()
    client.poll("a")
    client.poll("a")
    client.version = ""
    assert client.poll("a") == ["a:1"]
    assert client.poll("a") is None


def test_an_answer_that_was_lost_is_given_again() -> None:
    client = Polls()
    client.poll("a")
    assert client.poll("a:2", takes=False) == ["a:2"]
    assert client.poll("a:2") == ["a:2"]
    assert client.poll("a:2") is None
    assert client.state == "synced"


def test_an_answer_that_is_not_taken_twice_is_refused() -> None:
    client = Polls()
    client.poll("a")
    for _ in range(TRIES):
        assert client.poll("a:2", takes=False) == ["a:2"]
    for _ in range(3):
        assert client.poll("a:2", takes=False) is None
        assert client.state == "refused"
    assert client.poll("a:3") == ["a:3"]
    assert client.poll("a:3") is None
    assert client.state == "synced"


def test_who_refuses_its_very_first_answer_may_have_been_restarted_each_time() -> None:
    client = Polls()
    for _ in range(TRIES + 2):
        assert client.poll("a", takes=False) == ["a:1"]
    (watch,) = client.poller.watches
    assert (watch.state, watch.words, watch.refused) == ("refused", REFUSED, ())
    assert client.poll("a") == ["a:1"]
    assert client.poll("a") is None
    assert client.state == "synced"


def test_who_has_neither_a_version_nor_a_name_refuses_nothing() -> None:
    client = Polls(node="")
    for _ in range(TRIES + 2):
        assert client.poll("a", takes=False) == ["a:1"]
        assert client.state == "waiting"
    assert client.poll("a") == ["a:1"]
    assert client.poll("a") is None
    assert client.state == "synced"


def test_who_has_no_name_and_begins_anew_after_a_refusal_gets_all() -> None:
    client = Polls(node="")
    client.poll("a")
    for _ in range(TRIES + 1):
        client.poll("a:2", takes=False)
    assert client.state == "refused"
    client.version = ""
    assert client.poll("a:2") == ["a:2"]
    assert client.poll("a:2") is None
    assert client.state == "synced"


def test_who_takes_late_what_seemed_refused_has_it() -> None:
    client = Polls()
    client.poll("a")
    client.poll("a:2", takes=False)
    old = client.version
    client.poll("a:2")
    new, client.version = client.version, old
    assert client.poll("a:2") is None or client.poll("a:2") is None
    assert client.state == "refused"
    client.version = new
    assert client.poll("a:2") is None
    assert client.state == "synced"


@pytest.mark.parametrize("garbage", ["no version of ours", "\x00", "x" * 10_000])
def test_versions_that_nobody_gave(garbage: str) -> None:
    client = Polls()
    client.version = garbage
    assert client.poll("a") == ["a:1"]
    assert client.poll("a") is None
