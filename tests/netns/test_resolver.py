"""Names inside a captured namespace, with a resolver in it that stands where Docker's does, behind such rules."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import trio
import trio.testing

from composemesh.capture.dns.message import found_in
from composemesh.capture.dns.resolver import MOST_ASKED, MOST_CONNECTIONS
from composemesh.capture.modes import sweep
from composemesh.capture.netns import NetworkNamespace
from composemesh.capture.rules import DOCKER_DNS
from composemesh.model.entry import EntryEndpoint, Resolution, ServiceEntry
from composemesh.model.snapshot import Exclude, MeshSettings, ServiceSettings, Snapshot
from composemesh.routing.names import VIRTUAL
from netns.namespaces import Host, Mesh, accepted, destination, held, keep

pytestmark = pytest.mark.root

Reply = Callable[[bytes], bytes | None]

SNAPSHOT = Snapshot(
    "shop",
    services={"reviews": ServiceSettings("reviews")},
    entries=(
        ServiceEntry(("mesh.only",), resolution=Resolution.STATIC, endpoints=(EntryEndpoint("10.1.1.1"),)),
        ServiceEntry(("*.declared.example",)),
    ),
)


def plug(host: Host, kind: int) -> trio.socket.SocketType:
    """A socket of an application's."""
    namespace = NetworkNamespace.of(host.workload)
    made = namespace.socket(socket.AF_INET, kind)
    namespace.close()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 0)
    return keep(made)


def restore(host: Host, text: str, *options: str) -> None:
    inside = ["nsenter", "-t", str(host.pid), "-n", "iptables-restore", *options]
    subprocess.run(inside, input=text, text=True, check=True)


def known(message: bytes) -> bytes:
    """What a resolver says that knows every name."""
    asked = dns.message.from_wire(message)
    response = dns.message.make_response(asked, recursion_available=True)
    response.answer.append(dns.rrset.from_text(asked.question[0].name, 600, "IN", "A", "192.0.2.53"))
    return response.to_wire()


def unknown(message: bytes) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(message), recursion_available=True)
    response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire()


class Engine:
    """Docker's resolver, as far as anybody inside can see."""

    def __init__(self, host: Host, nursery: trio.Nursery) -> None:
        self.reply: Reply = known
        self.heard: list[bytes] = []
        self.clients: set[str] = set()
        self._udp, self._tcp = plug(host, socket.SOCK_DGRAM), plug(host, socket.SOCK_STREAM)
        self._host = host
        self._nursery = nursery

    async def start(self) -> None:
        await self._udp.bind((DOCKER_DNS, 0))
        await self._tcp.bind((DOCKER_DNS, 0))
        self._tcp.listen()
        rules = ["*nat", "-N DOCKER_OUTPUT", f"-A OUTPUT -d {DOCKER_DNS}/32 -j DOCKER_OUTPUT"]
        for protocol, sock in (("udp", self._udp), ("tcp", self._tcp)):
            there = f"{DOCKER_DNS}:{sock.getsockname()[1]}"
            rules.append(f"-A DOCKER_OUTPUT -p {protocol} --dport 53 -j DNAT --to-destination {there}")
        restore(self._host, "\n".join([*rules, "COMMIT", ""]), "--noflush")
        self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._datagrams)
                nursery.start_soon(trio.serve_listeners, self._conversation, [trio.SocketListener(self._tcp)])
        except* trio.ClosedResourceError:
            pass  # the test is over

    async def _datagrams(self) -> None:
        while True:
            message, client = await self._udp.recvfrom(65535)
            self.heard.append(message)
            self.clients.add(client[0])
            if (reply := self.reply(message)) is not None:
                await self._udp.sendto(reply, client)

    async def _conversation(self, stream: trio.SocketStream) -> None:
        async with stream:
            self.clients.add(stream.socket.getpeername()[0])
            while (message := await framed(stream)) is not None:
                self.heard.append(message)
                if (reply := self.reply(message)) is not None:
                    await stream.send_all(len(reply).to_bytes(2, "big") + reply)


async def framed(stream: trio.SocketStream) -> bytes | None:
    data = bytearray()
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        more = await stream.receive_some()
        if not more:
            return None
        data += more
    return bytes(data[2:])


@pytest.fixture
async def engine(app: Host, nursery: trio.Nursery) -> Engine:
    made = Engine(app, nursery)
    await made.start()
    return made


@pytest.fixture
def other() -> Iterator[Host]:
    """One more workload, without a wire."""
    with held("shop-other-1") as host:
        yield host


async def asked(host: Host, message: bytes) -> bytes:
    """Ask as the C library asks: by UDP, at 127.0.0.11."""
    sock = plug(host, socket.SOCK_DGRAM)
    await sock.connect((DOCKER_DNS, 53))
    await sock.send(message)
    with trio.fail_after(10):
        return await sock.recv(65535)


async def resolved(host: Host, name: str, kind: str = "A") -> tuple[int, tuple[str, ...]]:
    """The response code and the addresses."""
    reply = await asked(host, dns.message.make_query(name, kind).to_wire())
    return dns.message.from_wire(reply).rcode(), found_in(reply).addresses


async def test_what_is_not_ours_passes_byte_for_byte(app: Host, engine: Engine, mesh: Mesh) -> None:
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    question = dns.message.make_query("Web.Example.COM", "A", use_edns=0, payload=4096, id=0xBEEF).to_wire()
    big = known(question) + bytes(range(256)) * 15  # no resolver would say so, and it is not for us to judge
    engine.reply = lambda message: big
    assert await asked(app, question) == big
    assert engine.heard == [question]
    for odd in (b"x", b"\xff" * 700, question[:-3], b"\x00" * 12):
        engine.reply = lambda message: message[::-1]
        assert await asked(app, odd) == odd[::-1]
        assert engine.heard[-1] == odd


async def test_our_questions_share_no_port_with_those_of_the_processes(app: Host, engine: Engine, mesh: Mesh) -> None:
    """A flow is known by both ends. Were ours like theirs, whoever comes to use the port next would go its way."""
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    await resolved(app, "web.example")
    stream = await app.connect(DOCKER_DNS, 53)
    question = dns.message.make_query("web.example", "A").to_wire()
    await stream.send_all(len(question).to_bytes(2, "big") + question)
    with trio.fail_after(5):
        assert await framed(stream) == known(question)
    assert engine.clients == {"127.0.53.1"}


async def test_names_of_the_mesh_do_not_leave_the_container(app: Host, engine: Engine, mesh: Mesh) -> None:
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    code, addresses = await resolved(app, "reviews.default.svc.cluster.local")
    assert (code, len(addresses)) == (0, 1)
    assert addresses[0].startswith("240.240.")
    assert await resolved(app, "REVIEWS.default.svc.cluster.local", "AAAA") == (0, ())
    assert (await resolved(app, "mesh.only"))[1][0].startswith("240.240.")
    assert engine.heard == []


async def test_a_service_that_does_not_run(app: Host, engine: Engine, mesh: Mesh) -> None:
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    assert await resolved(app, "reviews") == (0, ("192.0.2.53",))  # somebody else has the name
    engine.reply = unknown
    code, addresses = await resolved(app, "reviews")
    assert (code, addresses[0][:8]) == (0, "240.240.")
    assert await resolved(app, "reviews", "AAAA") == (0, ())
    assert await resolved(app, "nobody") == (dns.rcode.NXDOMAIN, ())
    engine.reply = lambda message: None
    assert await resolved(app, "reviews") == (0, addresses)


async def test_addresses_of_declared_hosts_are_remembered(app: Host, engine: Engine, mesh: Mesh) -> None:
    told = await mesh(app, snapshot=SNAPSHOT)
    await told.captured(app)
    await resolved(app, "www.declared.example")
    assert told.names.learned_host("192.0.2.53") == "*.declared.example"


async def test_long_answers_and_long_conversations_over_tcp(app: Host, engine: Engine, mesh: Mesh) -> None:
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    question = dns.message.make_query("long.example", "A").to_wire()
    truncated = known(question)[:2] + b"\x83\x80" + known(question)[4:]
    engine.reply = lambda message: truncated
    assert dns.message.from_wire(await asked(app, question)).flags & dns.flags.TC
    engine.reply = lambda message: message[:2] + b"\x81\x80" + bytes(65000)
    stream = await app.connect(DOCKER_DNS, 53)
    with trio.fail_after(10):
        for _ in range(3):
            await stream.send_all(len(question).to_bytes(2, "big") + question)
            assert await framed(stream) == question[:2] + b"\x81\x80" + bytes(65000)
        own = dns.message.make_query("mesh.only", "A").to_wire()
        await stream.send_all(len(own).to_bytes(2, "big") + own)
        said = await framed(stream)
    assert said is not None
    assert found_in(said).addresses[0].startswith("240.240.")


async def test_without_a_resolver_to_ask(app: Host, mesh: Mesh) -> None:
    """A container on Docker's default bridge: nobody is at 127.0.0.11."""
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    assert await resolved(app, "web.example") == (dns.rcode.SERVFAIL, ())
    assert (await resolved(app, "mesh.only"))[1][0].startswith("240.240.")


async def test_a_flood_that_nobody_answers_is_bounded_and_nobody_elses(
    app: Host, other: Host, engine: Engine, mesh: Mesh, nursery: trio.Nursery
) -> None:
    told = await mesh(app, other, snapshot=SNAPSHOT)
    await told.captured(app)
    await told.captured(other)
    engine.reply = lambda message: None
    sock = plug(app, socket.SOCK_DGRAM)
    await sock.connect((DOCKER_DNS, 53))
    for number in range(4 * MOST_ASKED):
        await sock.send(dns.message.make_query(f"flood{number}.example", "A").to_wire())
        if number % 32 == 0:  # let it be taken: the kernel's queue is no part of this test
            await trio.testing.wait_all_tasks_blocked(0.005)
    resolvers = {life.workload.name: repr(life.resolver.value) for life in told.capture._lives.values()}
    assert f"asking={MOST_ASKED}" in resolvers["shop-app-1"]
    assert "asking=0" in resolvers["shop-other-1"]
    with trio.fail_after(10):
        assert (await resolved(other, "mesh.only"))[0] == 0
        assert (await resolved(app, "mesh.only"))[0] == 0
        engine.reply = known
        assert await resolved(app, "web.example") == (0, ("192.0.2.53",))


async def test_tcp_clients_that_never_finish(app: Host, engine: Engine, mesh: Mesh) -> None:
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    for _ in range(MOST_CONNECTIONS):
        stream = await app.connect(DOCKER_DNS, 53)
        await stream.send_all(b"\xff\xff and no more")
    one_more = await app.connect(DOCKER_DNS, 53)
    with trio.fail_after(5):
        assert await one_more.receive_some() == b""
        assert (await resolved(app, "mesh.only"))[0] == 0
        assert (await resolved(app, "web.example"))[0] == 0


async def test_at_rest_and_released_the_engine_is_asked_directly(app: Host, engine: Engine, mesh: Mesh) -> None:
    before = app.rules()
    told = await mesh(app, snapshot=SNAPSHOT)
    await told.captured(app)
    engine.reply = unknown
    await told.capture.rest()
    assert await resolved(app, "mesh.only") == (dns.rcode.NXDOMAIN, ())
    await told.capture.release()
    assert await resolved(app, "mesh.only") == (dns.rcode.NXDOMAIN, ())
    assert [line for line in app.rules() if line.startswith("-A")] == [
        line for line in before if line.startswith("-A")
    ]
    assert app.run("ip", "route", "show", VIRTUAL) == ""
    with pytest.raises(ConnectionRefusedError):
        await app.connect("127.0.0.1", 15053)


async def test_a_resolver_that_keeps_its_socket_follows_the_rules(app: Host, engine: Engine, mesh: Mesh) -> None:
    """As Netty's does: one socket for everything, not connected, so that it never hears of a closed port."""
    engine.reply = unknown
    sock = plug(app, socket.SOCK_DGRAM)
    question = dns.message.make_query("mesh.only", "A").to_wire()

    async def ask() -> tuple[str, ...]:
        await sock.sendto(question, (DOCKER_DNS, 53))
        with trio.fail_after(5):
            return found_in((await sock.recvfrom(65535))[0]).addresses

    async def asks_for_long_enough(addresses: tuple[str, ...]) -> None:
        for _ in range(25):  # the kernel takes a flow for a lasting one after two seconds
            assert await ask() == addresses
            await trio.sleep(0.1)

    await asks_for_long_enough(())
    told = await mesh(app, snapshot=SNAPSHOT)
    await told.captured(app)
    (virtual,) = await ask()
    assert virtual.startswith("240.240.")
    await asks_for_long_enough((virtual,))
    await told.capture.rest()
    assert await ask() == ()
    await told.capture.release()
    assert await ask() == ()


async def test_what_a_killed_mesh_left_is_swept(app: Host, engine: Engine, mesh: Mesh) -> None:
    told = await mesh(app, snapshot=SNAPSHOT)
    await told.captured(app)
    saved = app.run("iptables-save", "-t", "nat")
    tag = told.capture._iptables.owner.tag
    restore(app, saved.replace(tag, "composemesh:1:2"))
    assert await sweep([app.workload]) == 1
    assert "COMPOSEMESH" not in app.run("iptables-save", "-t", "nat")
    assert app.run("ip", "route", "show", VIRTUAL) == ""
    engine.reply = unknown
    assert await resolved(app, "mesh.only") == (dns.rcode.NXDOMAIN, ())


async def test_port_53_may_be_excluded(app: Host, engine: Engine, mesh: Mesh) -> None:
    excluding = replace(SNAPSHOT, mesh=MeshSettings(exclude=Exclude((53,))))
    await (await mesh(app, snapshot=excluding)).captured(app)
    engine.reply = unknown
    assert await resolved(app, "mesh.only") == (dns.rcode.NXDOMAIN, ())


async def test_a_virtual_address_needs_no_network_to_be_reached(app: Host, mesh: Mesh) -> None:
    """`app` has no route but to itself here, as a container on internal networks has none to the outside."""
    captured = await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    client = await app.connect("240.240.1.2", 8080)
    taken = await accepted(captured.outbound, socket.AF_INET)
    assert destination(captured, taken) == ("240.240.1.2", 8080)
    await client.aclose()


async def test_a_port_that_the_application_wants_is_left_to_it(app: Host, engine: Engine, mesh: Mesh) -> None:
    held_port = plug(app, socket.SOCK_DGRAM)
    await held_port.bind(("127.0.0.1", 15053))
    await (await mesh(app, snapshot=SNAPSHOT)).captured(app)
    assert any("--to-ports 15054" in rule for rule in app.rules())
    assert (await resolved(app, "mesh.only"))[0] == 0
