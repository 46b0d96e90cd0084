"""Loopback mode: who calls and who is meant, from nothing but the address a connection was accepted on."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from composemesh.capture.loopback import (
    Doors,
    LoopbackCapture,
    Member,
    listening_on,
    open_doors,
    unsupported,
)
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.runtime.captured import Captured, HostNamespace
from composemesh.runtime.latest import Latest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason=unsupported() or "Linux only")

PAGE = Member("process:page", ("page",), 19080, calls=("reviews", "details"), published=19080)
DETAILS = Member("process:details", ("details",), 19080)
OLD = Member("process:reviews-v1", ("reviews-v1", "reviews"), 19080, calls=("ratings",))
NEW = Member("process:reviews-v2", ("reviews-v2", "reviews"), 19080, calls=("ratings",))
RATINGS = Member("process:ratings", ("ratings",), 19080)
MEMBERS = (PAGE, DETAILS, OLD, NEW, RATINGS)


@pytest.fixture
def doors() -> Iterator[dict[str, Doors]]:
    opened = open_doors(MEMBERS)
    yield opened
    for each in opened.values():
        each.close()


def workload(member: Member, doors: dict[str, Doors], started: str = "1") -> Workload:
    place = Attachment("loopback", "loopback", (doors[member.id].home[0],), member.names)
    return Workload(member.id, member.names[0], member.names[0], started, 0, (place,))


def accept_of(listener: socket.socket, caller: socket.socket) -> socket.socket:
    """The accepted end; the connection is complete once `connect` has returned, so accepting never waits."""
    caller.setblocking(True)
    caller.connect(listener.getsockname())
    accepted, _ = listener.accept()
    return accepted


def close(*captured: Captured) -> None:
    for each in captured:
        for listener in (*each.inbound, *each.outbound):
            listener.close()


async def captured_of(capture: LoopbackCapture, count: int) -> list[Captured]:
    while len(capture.captures.value.captured) != count:
        await capture.captures.after(capture.captures.version)
    return list(capture.captures.value.captured.values())


def test_each_member_stands_alone(doors: dict[str, Doors]) -> None:
    homes = [each.home for each in doors.values()]
    assert len(set(homes)) == len(MEMBERS)
    assert homes[0][0] == "127.81.1.1"


def test_versions_share_one_door(doors: dict[str, Doors]) -> None:
    assert doors[PAGE.id].calls.keys() == {"reviews", "details"}
    door = doors[PAGE.id].calls["reviews"]
    assert door == ("127.80.1.3", doors[OLD.id].home[1])
    assert doors[PAGE.id].meant[door] == doors[OLD.id].home


def test_callers_of_one_service_have_doors_of_their_own(doors: dict[str, Doors]) -> None:
    assert doors[OLD.id].calls["ratings"] != doors[NEW.id].calls["ratings"]
    assert not doors[RATINGS.id].calls


def test_only_the_published_have_a_front(doors: dict[str, Doors]) -> None:
    assert doors[PAGE.id].front is not None
    assert [each.front for each in doors.values()].count(None) == 4


def test_a_taken_port_is_passed_over(doors: dict[str, Doors]) -> None:
    """A second mesh of the same members, and a port published on every address: both move on to free ports."""
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        taken = everywhere.getsockname()[1]
        others = open_doors([replace(member, port=taken) for member in MEMBERS])
        try:
            for member in MEMBERS:
                assert others[member.id].home[1] > taken
            assert others[PAGE.id].front != doors[PAGE.id].front
        finally:
            for each in others.values():
                each.close()


def test_those_that_share_a_name_share_a_port() -> None:
    """The mesh dials each version at the port that the caller asked for."""
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.81.4.1", 19080))
        squatter.listen()
        opened = open_doors(MEMBERS)
    ports = {each.home[1] for each in opened.values()}
    assert ports == {19081}
    assert opened[PAGE.id].calls["reviews"] == ("127.80.1.3", 19081)
    for each in opened.values():
        each.close()


def test_what_fails_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("composemesh.capture.loopback.PORTS_TRIED", 1)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.80.1.3", 19080))
        squatter.listen()
        with pytest.raises(OSError, match="1 ports above"):
            open_doors(MEMBERS)
    for each in open_doors(MEMBERS).values():
        each.close()


async def test_identity_and_destination(doors: dict[str, Doors], nursery: trio.Nursery) -> None:
    discovered = Latest(Discovered(tuple(workload(member, doors) for member in MEMBERS)))
    capture = LoopbackCapture(discovered, doors)
    nursery.start_soon(capture.run)
    captured = {each.workload.id: each for each in await captured_of(capture, 5)}
    try:
        page = captured[PAGE.id]
        for name, meant in (("reviews", OLD), ("details", DETAILS)):
            listener = next(each for each in page.outbound if each.getsockname() == doors[PAGE.id].calls[name])
            with socket.socket() as caller, accept_of(listener, caller) as accepted:
                assert page.original_destination(accepted) == doors[meant.id].home
                assert captured[OLD.id].original_destination(accepted) is None, "another caller's door"
        (front,) = page.inbound
        with socket.socket() as caller, accept_of(front, caller) as accepted:
            assert page.original_destination(accepted) == doors[PAGE.id].home
        assert captured[RATINGS.id].inbound == captured[RATINGS.id].outbound == ()
    finally:
        close(*captured.values())


async def test_a_restart_finds_its_callers_waiting(doors: dict[str, Doors], nursery: trio.Nursery) -> None:
    """The proxy closes the listeners of a life that ended; who connects meanwhile is accepted by the next life."""
    discovered = Latest(Discovered((workload(PAGE, doors),)))
    capture = LoopbackCapture(discovered, doors)
    nursery.start_soon(capture.run)
    (first,) = await captured_of(capture, 1)
    discovered.publish(Discovered())
    await captured_of(capture, 0)
    close(first)
    with socket.socket() as caller:
        front = doors[PAGE.id].front
        assert front is not None
        caller.connect(front)
        discovered.publish(Discovered((workload(PAGE, doors, started="2"),)))
        (second,) = await captured_of(capture, 1)
        accepted, _ = second.inbound[0].accept()
        with accepted:
            assert accepted.getpeername() == caller.getsockname()
    close(second)


async def test_the_same_life_keeps_its_sockets(doors: dict[str, Doors], nursery: trio.Nursery) -> None:
    one, other = workload(PAGE, doors), workload(DETAILS, doors)
    discovered = Latest(Discovered((one,)))
    capture = LoopbackCapture(discovered, doors)
    nursery.start_soon(capture.run)
    (before,) = await captured_of(capture, 1)
    discovered.publish(Discovered((one, other)))
    after = await captured_of(capture, 2)
    assert before in after
    close(*after)


async def test_a_stranger_is_refused(doors: dict[str, Doors], nursery: trio.Nursery) -> None:
    stranger = replace(workload(PAGE, doors), id="process:stranger")
    capture = LoopbackCapture(Latest(Discovered((stranger,))), doors)
    nursery.start_soon(capture.run)
    await capture.captures.after(0)
    assert not capture.captures.value.captured
    assert "not a process that this mesh started" in capture.captures.value.refused[stranger.id]


async def test_after_release_nobody_is_taken_in(doors: dict[str, Doors]) -> None:
    capture = LoopbackCapture(Latest(Discovered()), doors)
    await capture.rest()
    await capture.release()
    front = doors[PAGE.id].front
    assert front is not None
    with socket.socket() as caller, pytest.raises(ConnectionRefusedError):
        caller.connect(front)
    assert not capture.captures.value.captured


async def test_listening_is_seen_on_that_address_only() -> None:
    look = listening_on("127.81.77.1")
    assert look() == frozenset()
    with socket.socket() as application, socket.socket() as elsewhere:
        application.bind(("127.81.77.1", 0))
        elsewhere.bind(("127.81.78.1", 0))
        application.listen()
        elsewhere.listen()
        assert look() == {application.getsockname()[1]}
        namespace = HostNamespace()
        with trio.socket.from_stdlib_socket(namespace.socket(socket.AF_INET)) as caller:
            await caller.connect(application.getsockname())
            assert look() == {application.getsockname()[1]}, "a connection listens to nothing"
    assert look() == frozenset()


def test_without_proc_nothing_is_seen(tmp_path: Path) -> None:
    assert listening_on("127.0.0.1", str(tmp_path / "none"))() == frozenset()


def test_other_systems_are_told_why() -> None:
    assert "needs Linux" in unsupported("darwin")
    assert unsupported("linux") == ""
