"""Host processes that join: where each finds what it may call, and what is left when it goes."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator

import pytest
import trio

from composemesh.capture.doors import FIRST, MOST_FOUND, Door, ProcessCapture, listening_here
from composemesh.capture.loopback import unsupported
from composemesh.capture.together import Together
from composemesh.model.snapshot import Snapshot
from composemesh.model.workload import HOST, Attachment, Discovered, Kind, Workload
from composemesh.routing.names import Names
from composemesh.runtime.captured import Captured
from composemesh.runtime.latest import Latest
from composemesh.runtime.ports import listen_at

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason=unsupported() or "Linux only")
PORT = 19180


def process(name: str, port: int = PORT, started: str = "1") -> Workload:
    place = Attachment(HOST, HOST, ("127.0.0.1",))
    return Workload(f"process:{name}", name, name, started, 7, (place,), ports=(port,), kind=Kind.PROCESS)


def container(name: str, *ports: int) -> Workload:
    return Workload(f"id-{name}", name, name, "1", 1, (Attachment("net", "net", ("10.0.0.2",)),), ports=ports)


class Here:
    """A capture that runs, and what it follows."""

    def __init__(self) -> None:
        self.discovered = Latest(Discovered())
        self.names = Names()
        self.capture = ProcessCapture(self.discovered, Latest(Snapshot("shop")), self.names)

    async def captured(self, *workloads: Workload, doors: int) -> list[Captured]:
        """Discover these, and wait until the processes among them are captured, with so many listeners in all."""
        self.discovered.publish(Discovered(workloads))
        feed = self.capture.captures
        wanted = {each.life for each in workloads if each.kind is Kind.PROCESS}
        with trio.fail_after(5):
            while True:
                version, found = feed.version, feed.value.captured
                if found.keys() == wanted and sum(len(each.outbound) for each in found.values()) == doors:
                    return [found[life] for life in sorted(found)]
                await feed.after(version)


@pytest.fixture
async def here(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Here]:
    monkeypatch.setattr("composemesh.capture.doors._with_one_port", lambda *_: ())  # root alone may listen at 80
    made = Here()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.capture.run)
        yield made
        for each in made.capture.captures.value.captured.values():
            for sock in each.outbound:
                sock.close()
        await made.capture.rest()
        nursery.cancel_scope.cancel()


async def test_a_connection_to_a_door_says_which_service_is_meant(here: Here) -> None:
    report = process("report")
    (captured,) = await here.captured(report, container("reviews", PORT + 1), doors=2)
    door = next(door for door in here.capture.doors(report) if door.service == "reviews")
    assert door.address[1] == door.port == PORT + 1
    with socket.create_connection(door.address, 5):
        listener = next(sock for sock in captured.outbound if sock.getsockname() == door.address)
        accepted, _ = listener.accept()
    meant = captured.original_destination(accepted)
    accepted.close()
    assert meant == (here.names.address_of("reviews"), PORT + 1)


async def test_services_that_come_later_get_doors_and_the_others_keep_theirs(here: Here) -> None:
    report = process("report")
    (before,) = await here.captured(report, doors=1)
    (after,) = await here.captured(report, container("reviews", PORT + 1), doors=2)
    assert set(before.outbound) < set(after.outbound)
    await here.captured(report, doors=2)  # callers keep addresses


async def test_what_it_wants_has_a_door_before_anybody_knows_it(here: Here) -> None:
    report = process("report")
    here.capture.want(report, {"future": PORT + 2})
    await here.captured(report, doors=2)
    assert "future" in {door.service for door in here.capture.doors(report)}


async def test_a_port_that_is_taken_everywhere_is_passed_over(here: Here) -> None:
    with listen_at("0.0.0.0", PORT + 1):
        report = process("report")
        (_,) = await here.captured(report, container("reviews", PORT + 1), doors=2)
        door = next(door for door in here.capture.doors(report) if door.service == "reviews")
        assert door == Door("reviews", PORT + 1, (door.address[0], PORT + 2))


async def test_strangers_do_not_use_up_the_addresses(here: Here) -> None:
    place = Attachment(HOST, HOST, ("127.0.0.1",))
    strangers = [
        Workload(f"mdns:{number}", f"s{number}", f"s{number}", "1", 0, (place,), ports=(PORT + 9,), kind=Kind.FOUND)
        for number in range(MOST_FOUND + 10)
    ]
    report = process("report")
    await here.captured(report, *strangers, doors=1 + MOST_FOUND)
    await here.captured(report, *strangers, container("reviews", PORT + 1), doors=2 + MOST_FOUND)


async def test_processes_are_told_apart_also_those_of_other_meshes(here: Here) -> None:
    number = next(number for number in range(FIRST, 255) if _claimable(number))
    first, second = process("first"), process("second", PORT + 1)
    await here.captured(first, second, doors=4)
    hosts = {door.address[0] for each in (first, second) for door in here.capture.doors(each)}
    assert len(hosts) == 4
    assert not _claimable(number)


async def test_who_has_gone_leaves_its_number_and_no_doors(here: Here) -> None:
    report = process("report")
    (captured,) = await here.captured(report, doors=1)
    number = int(here.capture.doors(report)[0].address[0].split(".")[2])
    await here.captured(doors=0)
    for sock in captured.outbound:  # as the proxy does when a workload has gone
        sock.close()
    assert here.capture.doors(report) == ()
    assert _claimable(number)


async def test_listening_is_seen_on_one_address_and_on_all() -> None:
    look = listening_here((PORT + 7,))
    assert look() == frozenset()
    for host in ("127.0.0.1", "0.0.0.0"):
        with listen_at(host, PORT + 7):
            assert look() == {PORT + 7}
    with listen_at("127.0.0.9", PORT + 7):
        assert look() == frozenset()


async def test_several_captures_are_one(here: Here) -> None:
    other = Here()
    both = Together([here.capture, other.capture])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(both.run)
        (captured,) = await here.captured(process("report"), doors=1)
        with trio.fail_after(5):
            while not both.captures.value.captured:
                await both.captures.after(both.captures.version)
        await both.rest()
        assert not both.captures.value.captured
        await both.release()
        for sock in captured.outbound:
            sock.close()
        nursery.cancel_scope.cancel()


def _claimable(number: int) -> bool:
    try:
        listen_at(f"127.80.{number}.0", 15001).close()
    except OSError:
        return False
    return True
