"""mDNS as it is spoken: two sources on loopback, real multicast, and strangers who send what they like."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import NamedTuple

import pytest
import trio
from structlog.testing import capture_logs

from composemesh.discovery.mdns import health
from composemesh.discovery.mdns.interfaces import NoInterface, look_up
from composemesh.discovery.mdns.source import MdnsSource, Wish, wish_of
from composemesh.discovery.mdns.zone import MOST_KNOWN, Announced
from composemesh.model.entry import ServiceEntry
from composemesh.model.mdns import Mdns, Publication
from composemesh.model.problem import Problem, Severity
from composemesh.model.snapshot import MeshSettings, ServiceSettings, Snapshot
from composemesh.model.workload import Attachment, Discovered, Kind, Workload
from composemesh.runtime.latest import Latest

GROUP = ("224.0.0.251", 5353)
TYPE = f"_t{os.getpid() % 1000000}._tcp"
"""This process's own: others on the machine may speak mDNS too."""
HERE = Mdns((TYPE,), ("127.0.0.1",))
FOUND_WITHIN, FORGOTTEN_WITHIN = 2.0, 5.0


class Running(NamedTuple):
    source: MdnsSource
    known: Latest[Discovered]

    async def sees(self, *services: str, within: float) -> None:
        """Wait until exactly these are found."""
        with trio.fail_after(within):
            while sorted(each.compose_service for each in self.known.value.workloads) != sorted(services):
                await self.known.after(self.known.version)

    async def says(self, what: str) -> str:
        """Wait for a problem with these words; its message."""
        with trio.fail_after(10):
            while True:
                for problem in self.source.problems():
                    if what in problem.message:
                        return problem.message
                await trio.sleep(0.02)


def wish(mdns: Mdns = HERE, taken: frozenset[str] = frozenset(), **published: int) -> Wish:
    """Browse, and announce these services at these ports, under version v1."""
    announced = (Announced(Publication(name, TYPE, port, f"mdns-{name}"), "v1") for name, port in published.items())
    return Wish(mdns, taken, frozenset(announced))


def into(feed: Latest[Discovered]) -> Callable[[Discovered], None]:
    """What a source publishes, for `feed`."""

    def publish(state: Discovered) -> None:
        feed.publish(state)

    return publish


@asynccontextmanager
async def running(wanted: Wish) -> AsyncIterator[Running]:
    source = MdnsSource("test")
    known: Latest[Discovered] = Latest(Discovered())
    source._wish.publish(wanted)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(source.watch, into(known))
        yield Running(source, known)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server that accepts, as a peer's does."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, _nothing, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _nothing(stream: trio.SocketStream) -> None:
    await stream.receive_some()


# === two who mean well ===


async def test_found_in_two_seconds_and_forgotten_in_five(port: int) -> None:
    async with running(wish()) as finder:
        async with running(wish(web=port)) as other:
            await finder.sees("web", within=FOUND_WITHIN)
            (workload,) = finder.known.value.workloads
            assert (workload.addresses, workload.ports) == (("127.0.0.1",), (port,))
            assert workload.labels["version"] == "v1"
            assert other.known.value.workloads == ()  # its own
        await finder.sees(within=FORGOTTEN_WITHIN)


async def test_what_is_published_no_more_is_forgotten(port: int) -> None:
    async with running(wish()) as finder, running(wish(web=port, api=port)) as other:
        await finder.sees("api", "web", within=FOUND_WITHIN)
        other.source._wish.publish(wish(api=port))
        await finder.sees("api", within=FORGOTTEN_WITHIN)


async def test_a_peer_that_was_killed_is_forgotten_although_its_records_live() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with running(wish()) as finder, running(wish(web=listeners[0].socket.getsockname()[1])):
        await finder.sees("web", within=FOUND_WITHIN)
        await listeners[0].aclose()
        await finder.sees(within=health.EVERY * (health.FAILURES + 1) + 5)


async def test_a_project_takes_its_name_back(port: int) -> None:
    async with running(wish()) as finder, running(wish(web=port)):
        await finder.sees("web", within=FOUND_WITHIN)
        finder.source._wish.publish(wish(taken=frozenset({"web"})))
        await finder.sees(within=FORGOTTEN_WITHIN)
        assert "of its own" in await finder.says("web")


async def test_other_types_and_no_types_can_be_asked_for_while_it_runs(port: int) -> None:
    async with running(Wish()) as finder, running(wish(web=port)):
        finder.source._wish.publish(wish())
        await finder.sees("web", within=FOUND_WITHIN + 1)
        finder.source._wish.publish(Wish())
        await finder.sees(within=FORGOTTEN_WITHIN)


async def test_an_interface_that_is_not_there_is_a_problem_and_is_tried_again() -> None:
    nowhere = Mdns((TYPE,), ("composemesh0",))
    async with running(wish(nowhere)) as finder:
        assert await finder.says("no interface composemesh0")
        finder.source._wish.publish(wish())
        with trio.fail_after(10):
            while list(finder.source.problems()):  # noqa: ASYNC110
                await trio.sleep(0.02)


async def test_nothing_is_started_where_there_is_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(Wish()) as quiet:
        await trio.testing.wait_all_tasks_blocked()
        assert quiet.source._interfaces.addresses == ()


# === strangers ===


def name(text: str) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in text.encode().split(b".")) + b"\0"


def label(instance: bytes) -> bytes:
    return bytes([len(instance)]) + instance + name(f"{TYPE}.local")


def record(owner: bytes, kind: int, ttl: int, data: bytes) -> bytes:
    return owner + struct.pack("!HHIH", kind, 0x8001 if kind != 12 else 1, ttl, len(data)) + data


def answer(instance: bytes, address: str, port: int, txt: bytes = b"\0", ttl: int = 120) -> bytes:
    """A response (RFC 6762, 6) that announces one instance in full."""
    host = name(f"stranger-{instance.hex()}.local")
    records = [
        record(name(f"{TYPE}.local"), 12, ttl, label(instance)),
        record(label(instance), 33, ttl, struct.pack("!HHH", 0, 0, port) + host),
        record(label(instance), 16, ttl, txt),
        record(host, 1, ttl, socket.inet_aton(address)),
    ]
    return struct.pack("!HHHHHH", 0, 0x8400, 0, len(records), 0, 0) + b"".join(records)


@contextmanager
def stranger() -> Iterator[Callable[[bytes], int]]:
    """Sends datagrams to the group, from loopback and from the port that answers come from."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sock.bind(("127.0.0.1", 5353))
        yield lambda data: sock.sendto(data, GROUP)


async def test_forged_announcements_are_left_out_one_line_each(port: int) -> None:
    with capture_logs() as logs, stranger() as send:
        async with running(wish(taken=frozenset({"db"}))) as finder, running(wish(web=port)):
            await finder.sees("web", within=FOUND_WITHIN)
            send(answer(b"db", "127.0.0.1", port))
            assert "of its own" in await finder.says("'db'")
            send(answer(b"\x1b[2J\n", "127.0.0.1", port, b"\x0bservice=\x1b[m"))
            assert "it has no address" in await finder.says("\\x1b[2J")
            send(answer(b"metadata", "169.254.169.254", 80))
            assert "on no network" in await finder.says("'metadata'")
            send(answer(b"group", "224.0.0.1", 80))
            assert "for multicast" in await finder.says("'group'")
            send(answer(b"web", "127.0.0.1", port))
            assert "they do not both say" in await finder.says("'web' of")
            await finder.sees("web", within=FOUND_WITHIN)
    said = [each["problem"] for each in logs if each["event"] == "left out"]
    assert all(said.count(line) <= 2 for line in said)  # both listen
    assert all(line.isprintable() for line in said)


async def test_time_to_live_is_honoured(port: int) -> None:
    with stranger() as send:
        async with running(wish()) as finder:
            await trio.sleep(0.5)  # its first questions, which nobody will repeat the answer to
            send(answer(b"brief", "127.0.0.1", port, ttl=2))
            await finder.sees("brief", within=FOUND_WITHIN)
            await finder.sees(within=2 + 10 + 5)


async def test_a_flood_takes_bounded_room_and_one_line(port: int) -> None:
    with stranger() as send, capture_logs() as logs:
        async with running(wish()) as finder, running(wish(web=port)):
            await finder.sees("web", within=FOUND_WITHIN)
            for number in range(5000):
                send(answer(b"flood-%d" % number, "127.0.0.1", 9, ttl=4500))
                send(os.urandom(200))
                if number % 100 == 0:
                    await trio.sleep(0.01)  # the kernel keeps so many datagrams, and this process is the reader, too
            message = await finder.says("more is announced than is kept")
            assert message.startswith("mDNS: ")
            assert len(finder.source._heard.announcements) <= MOST_KNOWN
            assert "web" in {each.compose_service for each in finder.known.value.workloads}
    assert len(logs) < 300


# === what there is to do ===


def workload(service: str, kind: Kind = Kind.CONTAINER, *aliases: str) -> Workload:
    place = Attachment("net", "net", ("10.0.0.1",), aliases)
    return Workload(f"id-{service}", f"shop-{service}-1", service, "1", 1, (place,), ports=(80,), kind=kind)


def test_names_of_the_project_are_taken_whether_or_not_they_run() -> None:
    snapshot = Snapshot(
        "shop",
        names=frozenset({"Stopped"}),
        services={"reviews-v1": ServiceSettings("reviews", "v1")},
        entries=(ServiceEntry(("api.stripe.com",)),),
    )
    wanted = wish_of(snapshot, Discovered((workload("web", Kind.CONTAINER, "www"), workload("job", Kind.PROCESS))))
    assert {"stopped", "reviews", "web", "www", "shop-web-1", "job", "api.stripe.com"} <= wanted.taken


def test_what_was_found_here_takes_no_name_and_what_another_source_found_does() -> None:
    here = replace(workload("printer", Kind.FOUND), id="mdns:_http._tcp:printer")
    wanted = wish_of(Snapshot("shop"), Discovered((here, workload("declared", Kind.FOUND))))
    assert "printer" not in wanted.taken
    assert "declared" in wanted.taken


def test_what_runs_is_announced_with_its_version() -> None:
    web, other = Publication("web", TYPE, 1, "mdns-web"), Publication("other", TYPE, 2, "mdns-other")
    snapshot = Snapshot("shop", MeshSettings(mdns=HERE), publications=(web, other))
    assert wish_of(snapshot, Discovered((workload("web"),))).publications == {Announced(web, "latest")}


def test_what_has_no_port_is_not_announced() -> None:
    web = Publication("web", TYPE, 1, "mdns-web", "x-mesh publish of service web")
    snapshot = Snapshot("shop", MeshSettings(mdns=HERE), publications=(web,))
    taken = Problem(Severity.ERROR, "port-unavailable", "taken", resource="x-mesh publish of service web")
    assert wish_of(snapshot, Discovered((workload("web"),)), [taken]).publications == frozenset()


def test_interfaces_are_named_or_numbered() -> None:
    assert look_up(("lo",)) == look_up(("127.0.0.1",)) or "127.0.0.1" in look_up(("lo",)).addresses
    with pytest.raises(NoInterface, match="no interface nowhere"):
        look_up(("nowhere",))
