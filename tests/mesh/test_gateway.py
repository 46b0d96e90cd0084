"""Ports of the host: who is served there, how strangers are treated, and what changes while they are connected."""

from __future__ import annotations

import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
import trio.testing
from h2.events import DataReceived

from composemesh.identity import issuer
from composemesh.identity.contexts import server_context
from composemesh.model.flag import Flag
from composemesh.model.gateway import Server, ServerProtocol, TlsMode, TlsSettings
from composemesh.model.listener import ListenerLimits
from composemesh.model.peer import UNKNOWN, PeerKind
from composemesh.model.snapshot import MeshSettings, Snapshot
from composemesh.model.workload import Discovered
from composemesh.proxy import fleet, pool
from composemesh.proxy import gateway as gateways
from composemesh.runtime.captured import Captures
from mesh.gateways import (
    AUTO,
    app,
    ask,
    client,
    connect,
    free_port,
    gateway,
    http,
    https,
    open_up,
    passed,
    passing,
    route,
    secure,
)
from mesh.http2 import Peer
from mesh.net import AUTHORITY, Net, read_all, read_until


async def shop(net: Net, *servers: Server, seen: list[bytes] | None = None) -> None:
    """A shop behind these servers, which the mesh knows by several hosts."""
    await app(net, "shop", b"welcome", seen)
    await open_up(net, gateway(*servers), routes=[route("*.localhost", "shop"), route("shop.test", "shop")])


# === where requests go ===


async def test_a_request_comes_in_and_is_recorded_as_the_gateways(net: Net) -> None:
    port = free_port()
    await shop(net, http(port))
    async with await connect(port) as stream:
        assert (await ask(stream)).endswith(b"welcome")
        assert (await ask(stream, b"shop.test:8080", b"/again")).endswith(b"welcome")
    record = await net.records.next(2)
    assert (record.source.kind, record.source.service) == (PeerKind.GATEWAY, "web")
    assert record.destination.service == "shop"
    assert (record.response_code, record.path, record.flag) == (200, "/again", Flag.NONE)


async def test_hosts_that_nobody_serves_are_not_found(net: Net) -> None:
    port = free_port()
    await shop(net, http(port, "*.localhost", "other.test"))
    async with await connect(port) as stream:
        for number, host in enumerate([b"shop.test", b"other.test", b"shop", b"127.0.0.1", b"localhost"], 1):
            answer = await ask(stream, host)
            assert answer.startswith(b"HTTP/1.1 404"), host
            record = await net.records.next(number)
            assert record.flag is Flag.NO_ROUTE_FOUND
        assert (await ask(stream, b"SHOP.localhost")).endswith(b"welcome")


async def test_without_rules_a_gateway_opens_nothing(net: Net) -> None:
    """A service is not to be had from outside because it has a name: somebody must have said so."""
    port = free_port()
    await app(net, "shop", b"welcome")
    await open_up(net, gateway(http(port)))
    async with await connect(port) as stream:
        assert (await ask(stream, b"shop")).startswith(b"HTTP/1.1 404")


async def test_rules_of_sidecars_and_of_other_gateways_are_not_met(net: Net) -> None:
    port = free_port()
    await app(net, "shop", b"welcome")
    routes = [route("*", "shop", gateways=["mesh"]), route("*", "shop", gateways=["other"])]
    await open_up(net, gateway(http(port)), routes=routes)
    async with await connect(port) as stream:
        assert (await ask(stream)).startswith(b"HTTP/1.1 404")


async def test_paths_and_hosts_lead_to_different_services(net: Net) -> None:
    port = free_port()
    for name in ("front", "reviews", "blog"):
        await app(net, name, name.encode())
    routes = [route("shop.test", "reviews", "/reviews"), route("shop.test", "front"), route("blog.test", "blog")]
    await open_up(net, gateway(http(port)), routes=routes)
    async with await connect(port) as stream:
        for host, path, answer in [
            (b"shop.test", b"/", b"front"),
            (b"shop.test", b"/reviews/1", b"reviews"),
            (b"blog.test", b"/reviews/1", b"blog"),
        ]:
            assert (await ask(stream, host, path)).endswith(answer)


async def test_several_ports_and_gateways(net: Net) -> None:
    """Two gateways share a port, told apart by host; a third has its own."""
    shared, own = free_port(), free_port()
    for name in ("one", "two", "three"):
        await app(net, name, name.encode())
    await open_up(
        net,
        gateway(http(shared, "one.test"), name="first"),
        gateway(http(shared, "*.test"), http(own), name="second"),
        routes=[
            route("one.test", "one", gateways=["first"]),
            route("*", "two", gateways=["second"]),
        ],
    )
    async with await connect(shared) as stream:
        assert (await ask(stream, b"one.test")).endswith(b"one")
        assert (await ask(stream, b"two.test")).endswith(b"two")
        assert (await ask(stream, b"three.example")).startswith(b"HTTP/1.1 404")
    async with await connect(own) as stream:
        assert (await ask(stream, b"one.test")).endswith(b"two")
    assert (await net.records.next(4)).source.service == "second"


async def test_what_strangers_say_of_themselves_is_not_passed_on(net: Net) -> None:
    port, seen = free_port(), list[bytes]()
    await shop(net, http(port), seen=seen)
    lies = [b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https", b"X-Envoy-Internal: true"]
    async with await connect(port) as stream:
        await ask(stream, b"shop.localhost", b"/", *lies)
    lines = seen[0].lower().split(b"\r\n")
    assert b"x-forwarded-for: 6.6.6.6,127.0.0.1" in lines
    assert b"x-forwarded-proto: http" in lines
    assert b"x-envoy-external-address: 127.0.0.1" in lines
    assert not [line for line in lines if line.startswith(b"x-envoy-internal")]


async def test_trusted_proxies_are_believed(net: Net) -> None:
    port, seen = free_port(), list[bytes]()
    await app(net, "shop", b"welcome", seen)
    await open_up(net, gateway(http(port), trusted_proxies=1), routes=[route("*", "shop")])
    async with await connect(port) as stream:
        await ask(stream, b"shop.test", b"/", b"X-Forwarded-For: 203.0.113.9", b"X-Forwarded-Proto: https")
    lines = seen[0].lower().split(b"\r\n")
    assert b"x-forwarded-proto: https" in lines
    assert b"x-envoy-external-address: 203.0.113.9" in lines


async def test_workloads_that_are_not_captured_are_reached_from_the_host(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with `capture: none`. The gateway keeps those connections itself, and closes what grows old."""
    monkeypatch.setattr(fleet, "PRUNE", 0.01)
    monkeypatch.setattr(pool, "LONGEST_IDLE", 0.05)
    port = free_port()
    await app(net, "shop", b"welcome")
    workload = net.discovered.value.workloads[-1]
    captured = {life: each for life, each in net.captures.value.captured.items() if life != workload.life}
    net.discovered.publish(Discovered(net.discovered.value.workloads[:-1]))
    net.captures.publish(Captures(captured, {workload.id: "It is not to be captured."}))
    await trio.testing.wait_all_tasks_blocked(0.01)
    net.discovered.publish(Discovered((*net.discovered.value.workloads, workload)))
    await open_up(net, gateway(http(port)), routes=[route("*", "shop")])
    await net.settled(workload)
    assert net.fleet.planner.endpoints[workload.life].captured is None
    async with await connect(port) as stream:
        assert (await ask(stream)).endswith(b"welcome")
        pools = net.fleet.planner.gateways["web"].pools
        with trio.fail_after(5):
            while pools:  # noqa: ASYNC110 - no event says so
                await trio.sleep(0.005)
        assert (await ask(stream)).endswith(b"welcome")
    await open_up(net)
    assert pools.closed


# === TLS ===


async def test_each_name_has_its_certificate(net: Net) -> None:
    port, seen = free_port(), list[bytes]()
    await shop(net, https(port), seen=seen)
    for name in ("shop.localhost", "a.b.localhost", "localhost", "127.0.0.1"):
        async with await secure(port, name) as stream:
            certificate = stream.getpeercert()
            assert certificate is not None
            assert name in [value for _, value in certificate["subjectAltName"]]
            assert (await ask(stream)).endswith(b"welcome")
    assert all(b"x-forwarded-proto: https" in head.lower() for head in seen)


async def test_alpn_chooses_the_protocol(net: Net) -> None:
    port = free_port()
    await shop(net, https(port))
    async with await secure(port, "shop.localhost", client(protocols=["h2"])) as stream:
        assert stream.selected_alpn_protocol() == "h2"
        peer = Peer(stream, client=True)
        peer.h2.send_headers(
            1,
            [
                (b":method", b"GET"),
                (b":scheme", b"https"),
                (b":authority", b"shop.localhost"),
                (b":path", b"/"),
            ],
            end_stream=True,
        )
        await peer.flush()
        event = await peer.next(DataReceived)
        assert event.data == b"welcome"
    record = await net.records.next()
    assert record.http_version == 20
    for offered in (["http/1.1"], ["irc"], []):
        async with await secure(port, "shop.localhost", client(protocols=offered)) as stream:
            assert (await ask(stream)).endswith(b"welcome")


async def test_servers_on_one_port_are_told_apart_by_name(net: Net) -> None:
    """Each with its own certificate and its own rule about clients; whom nobody serves is reset."""
    port = free_port()
    await shop(
        net,
        https(port, "open.localhost"),
        https(port, "closed.localhost", tls=TlsSettings(TlsMode.MUTUAL)),
        https(port, "either.localhost", tls=TlsSettings(TlsMode.OPTIONAL_MUTUAL)),
    )
    known = client(credentials=AUTHORITY.issue(["client"], datetime.now(UTC)))
    for name, context in [
        ("open.localhost", client()),
        ("closed.localhost", known),
        ("either.localhost", client()),
        ("either.localhost", known),
    ]:
        async with await secure(port, name, context) as stream:
            assert (await ask(stream, name.encode())).endswith(b"welcome")
    with pytest.raises(trio.BrokenResourceError):
        async with await secure(port, "closed.localhost") as stream:
            await ask(stream)
    with pytest.raises(trio.BrokenResourceError):
        await secure(port, "nobody.localhost")
    record = await net.records.next(6)
    assert record.flag is Flag.NO_ROUTE_FOUND
    assert {each.flag for each in net.records.all} == {
        Flag.NONE,
        Flag.DOWNSTREAM_PROTOCOL_ERROR,
        Flag.NO_ROUTE_FOUND,
    }


async def test_services_are_told_who_has_shown_a_certificate(net: Net) -> None:
    port, seen = free_port(), list[bytes]()
    await shop(net, https(port, tls=TlsSettings(TlsMode.OPTIONAL_MUTUAL)), seen=seen)
    name = "spiffe://cluster.local/ns/shop/sa/cart"
    known = client(credentials=AUTHORITY.issue([name], datetime.now(UTC)))
    claim = b"X-Forwarded-Client-Cert: URI=spiffe://cluster.local/ns/shop/sa/admin"
    for context in (known, client()):
        async with await secure(port, "shop.localhost", context) as stream:
            await ask(stream, b"shop.localhost", b"/", claim)
    described = [line for line in seen[0].split(b"\r\n") if b"client-cert" in line.lower()]
    assert len(described) == 1
    assert described[0].endswith(b';Subject="";URI=' + name.encode())
    assert b"client-cert" not in seen[1].lower()


async def test_a_connection_is_for_the_server_that_it_asked_for(net: Net) -> None:
    """Somebody let in by one name must not reach another server's hosts, which may want more of its clients."""
    port = free_port()
    await shop(net, https(port, "open.localhost"), https(port, "closed.localhost", tls=TlsSettings(TlsMode.MUTUAL)))
    async with await secure(port, "open.localhost") as stream:
        assert (await ask(stream, b"closed.localhost")).startswith(b"HTTP/1.1 421")  # a browser tries again
        assert (await ask(stream, b"nobody.localhost")).startswith(b"HTTP/1.1 404")
        assert (await ask(stream, b"open.localhost")).endswith(b"welcome")
    assert [record.flag for record in net.records.all] == [Flag.NO_ROUTE_FOUND, Flag.NO_ROUTE_FOUND, Flag.NONE]


async def test_clear_and_encrypted_may_share_a_port(net: Net) -> None:
    port = free_port()
    await shop(net, http(port), https(port))
    async with await connect(port) as stream:
        assert (await ask(stream)).endswith(b"welcome")
    async with await secure(port, "shop.localhost") as stream:
        assert (await ask(stream)).endswith(b"welcome")


async def test_whoever_comes_in_clear_is_sent_to_https(net: Net) -> None:
    clear, encrypted = free_port(), free_port()
    redirecting = http(clear, "*.localhost", tls=TlsSettings(https_redirect=True))
    await shop(net, redirecting, http(clear, "plain.test"), https(encrypted, "*.localhost"))
    async with await connect(clear) as stream:
        answer = await ask(stream, b"shop.localhost:%d" % clear, b"/cart?x=1")
        assert answer.startswith(b"HTTP/1.1 301")
        assert b"location: https://shop.localhost:%d/cart?x=1\r\n" % encrypted in answer
        assert (await ask(stream, b"plain.test")).startswith(b"HTTP/1.1 404")  # no rule, and no redirect either
    record = await net.records.next()
    assert (record.response_code, record.flag) == (301, Flag.NONE)


async def test_https_may_be_another_gateways(net: Net) -> None:
    """As in the Compose file, where each gateway has one port."""
    clear, wrong, right = free_port(), free_port(), free_port()
    await app(net, "shop", b"welcome")
    await open_up(
        net,
        gateway(http(clear, "*.localhost", tls=TlsSettings(https_redirect=True))),
        gateway(https(wrong, "other.test"), name="other"),
        gateway(https(right, "shop.localhost"), name="safe"),
        routes=[route("*", "shop")],
    )
    async with await connect(clear) as stream:
        answer = await ask(stream)
        assert b"location: https://shop.localhost:%d/\r\n" % right in answer


async def test_brought_certificates_are_served_and_renewed(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuer, "LOOK", issuer.LOOK * 0)

    def write(life: int) -> bytes:
        leaf = AUTHORITY.issue(["shop.test"], datetime.now(UTC), life=timedelta(hours=life))
        (tmp_path / "tls.pem").write_bytes(leaf.chain + leaf.key)
        return ssl.PEM_cert_to_DER_cert(leaf.chain.decode())

    first = write(1)
    port = free_port()
    await shop(net, https(port, tls=TlsSettings(certificate=str(tmp_path / "tls.pem"))))
    async with await secure(port, "shop.test") as old:
        assert old.getpeercert(binary_form=True) == first
        second = write(2)
        async with await secure(port, "shop.test") as new:
            assert new.getpeercert(binary_form=True) == second
        assert (await ask(old, b"shop.test")).endswith(b"welcome"), "who is connected stays so"


async def test_a_server_without_its_certificate_is_a_problem_and_the_others_serve(net: Net) -> None:
    port, other = free_port(), free_port()
    await shop(net, https(port, tls=TlsSettings(certificate="/nowhere/tls.pem")), http(other))
    with pytest.raises(trio.BrokenResourceError):
        await secure(port, "shop.localhost")
    problems = net.fleet.gateways.problems.value
    assert [(problem.code, problem.file) for problem in problems] == [("unreadable-file", "/nowhere/tls.pem")]
    async with await connect(other) as stream:
        assert (await ask(stream)).endswith(b"welcome")


# === what is passed on as it is ===


async def test_passed_through_by_name_and_never_decrypted(net: Net) -> None:
    """The client shakes hands with the application itself; the record names whom it asked for."""
    port = free_port()
    own = server_context(AUTHORITY.issue(["vault.test"], datetime.now(UTC)), protocols=())
    vault = net.add("vault")

    async def encrypted(stream: trio.SocketStream) -> None:
        inner = trio.SSLStream(stream, own, server_side=True)
        await inner.send_all(b"opened for " + await inner.receive_some())
        await inner.aclose()

    await net.serve(vault, encrypted)
    await app(net, "shop", b"welcome")
    await open_up(
        net,
        gateway(passing(port, "vault.test"), https(port, "*.localhost")),
        routes=[passed("vault.test", "vault", tls=True), route("*.localhost", "shop")],
    )
    async with await secure(port, "vault.test") as stream:
        await stream.send_all(b"me")
        assert await read_all(stream) == b"opened for me"
    async with await secure(port, "shop.localhost") as stream:
        assert (await ask(stream)).endswith(b"welcome")
    record = await net.records.next()
    assert (record.source.service, record.destination.service, record.protocol) == ("web", "vault", "tcp")
    assert record.sni == "vault.test"


async def test_what_is_passed_on_promises_no_protocol(net: Net) -> None:
    """The service behind may not speak HTTP/2, or HTTP at all: only a server that sees requests agrees on one."""
    port = free_port()
    await app(net, "shop", b"welcome")
    server = Server(port, ServerProtocol.TLS, ("*",), "127.0.0.1", AUTO)
    await open_up(net, gateway(server), routes=[passed("*", "shop", tls=False)])
    async with await secure(port, "shop.localhost", client(protocols=["h2", "http/1.1"])) as stream:
        assert stream.selected_alpn_protocol() is None
        assert (await ask(stream)).endswith(b"welcome")


@pytest.mark.parametrize("encrypted", [False, True], ids=["TCP", "TLS"])
async def test_opaque_servers(net: Net, encrypted: bool) -> None:
    """A server that speaks first, in clear and within TLS that ends at the gateway."""
    port = free_port()
    greeter = net.add("greeter")

    async def greet(stream: trio.SocketStream) -> None:
        await stream.send_all(b"220 at your service\r\n")
        await stream.send_all(await stream.receive_some())
        await stream.send_eof()

    await net.serve(greeter, greet)
    server = Server(port, ServerProtocol.TCP, ("*",), "127.0.0.1")
    if encrypted:
        server = replace(server, protocol=ServerProtocol.TLS, tls=AUTO)
    await open_up(net, gateway(server), routes=[passed("*", "greeter", tls=False)])
    async with await (secure(port, "greeter.localhost") if encrypted else connect(port)) as stream:
        assert await read_until(stream, b"service\r\n") == b"220 at your service\r\n"
        await stream.send_all(b"echo")
        assert await read_all(stream) == b"echo"


async def test_nowhere_to_pass_it_is_a_reset(net: Net) -> None:
    port = free_port()
    await open_up(net, gateway(Server(port, ServerProtocol.TCP, ("*",), "127.0.0.1")))
    async with await connect(port) as stream:
        with pytest.raises(trio.BrokenResourceError):
            await read_all(stream)
    assert (await net.records.next()).flag is Flag.NO_ROUTE_FOUND


async def test_one_connection_too_many_is_reset_and_recorded_as_the_gateways(net: Net) -> None:
    port = free_port()
    net.snapshot.publish(Snapshot("test", MeshSettings(listeners=ListenerLimits(connections=1))))
    await shop(net, http(port))
    async with await connect(port) as first:
        assert (await ask(first)).endswith(b"welcome")
        with pytest.raises((OSError, trio.BrokenResourceError)):
            async with await connect(port) as second:
                await read_all(second)
        refused = await net.records.next(2)
        assert (await ask(first)).endswith(b"welcome")
    assert (refused.flag, refused.source.service, refused.destination) == (Flag.OVERLOAD_MANAGER, "web", UNKNOWN)


# === what changes ===


async def test_a_change_leaves_connections_and_other_servers_alone(net: Net) -> None:
    kept, dropped, added = free_port(), free_port(), free_port()
    await shop(net, http(kept), http(dropped))
    async with await connect(kept) as staying, await connect(dropped) as leaving:
        for stream in (staying, leaving):
            assert (await ask(stream)).endswith(b"welcome")
        entrance = net.fleet.gateways.entrances["127.0.0.1", kept]
        await open_up(net, gateway(http(kept, "shop.localhost"), http(added)), routes=[route("*", "shop")])
        assert net.fleet.gateways.entrances["127.0.0.1", kept] is entrance
        assert (await ask(staying)).endswith(b"welcome")
        assert await read_all(leaving) == b"", "an idle connection to a port that has gone is closed in order"
    async with await connect(added) as stream:
        assert (await ask(stream)).endswith(b"welcome")
    with pytest.raises(OSError):
        await connect(dropped)
    async with await connect(kept) as stream:
        assert (await ask(stream, b"other.localhost")).startswith(b"HTTP/1.1 404"), "new hosts, for new connections"


async def test_an_exchange_under_way_outlives_its_server(net: Net) -> None:
    port = free_port()
    slow, go = net.add("slow"), trio.Event()

    async def dawdle(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await go.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    await net.serve(slow, dawdle)
    await open_up(net, gateway(http(port)), routes=[route("*", "slow")])
    async with await connect(port) as stream, trio.open_nursery() as nursery:
        answers: list[bytes] = []

        async def wait() -> None:
            answers.append(await ask(stream))

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked(0.01)
        await open_up(net)
        go.set()
    assert answers[0].endswith(b"late")


async def test_a_port_that_is_taken_is_a_problem_until_it_is_free(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateways, "RETRY", 0.01)
    taken, free = free_port(), free_port()
    with socket.create_server(("127.0.0.1", taken)):
        await shop(net, http(taken), http(free))
        problem = net.fleet.gateways.problems.value[0]
        assert problem.code == "port-unavailable"
        assert str(taken) in problem.message
        assert "in use" in problem.message
        async with await connect(free) as stream:
            assert (await ask(stream)).endswith(b"welcome")
    with trio.fail_after(5):
        problems = net.fleet.gateways.problems
        while problems.value:
            await problems.after(problems.version)
    async with await connect(taken) as stream:
        assert (await ask(stream)).endswith(b"welcome")


async def test_an_address_that_this_host_has_not(net: Net) -> None:
    server = Server(free_port(), bind="192.0.2.1")
    await open_up(net, gateway(server))
    (problem,) = net.fleet.gateways.problems.value
    assert "no address 192.0.2.1" in problem.hint


async def test_without_an_address_both_versions_of_ip_are_served(net: Net) -> None:
    port = free_port()
    await shop(net, Server(port))
    for host in ("127.0.0.1", "::1"):
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError:
            assert host == "::1", "IPv4 is always there"
            continue
        async with stream:
            assert (await ask(stream)).endswith(b"welcome")
    assert net.records.all[0].x_forwarded_for == "127.0.0.1"


# === what else travels in HTTP ===


async def test_a_websocket_within_tls(net: Net) -> None:
    """After the upgrade the bytes are pumped between an encrypted and a plain connection, until either ends."""
    port = free_port()
    chat = net.add("chat")

    async def talk(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        while data := await stream.receive_some():
            await stream.send_all(data.upper())
        await stream.send_eof()

    await net.serve(chat, talk)
    await open_up(net, gateway(https(port)), routes=[route("*", "chat")])
    async with await secure(port, "chat.localhost") as stream:
        lines = [b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"]
        await stream.send_all(b"\r\n".join([b"GET /chat HTTP/1.1", b"Host: chat.localhost", *lines]) + b"\r\n\r\n")
        assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        for word in (b"hello", b"x" * 100_000):
            await stream.send_all(word)
            assert await read_until(stream, word.upper()) == word.upper()
    record = await net.records.next()
    assert record.response_code == 101
    assert record.bytes_received == record.bytes_sent == 100_005


async def test_events_arrive_as_they_are_sent(net: Net) -> None:
    port, go = free_port(), trio.Event()
    ticker = net.add("ticker")

    async def tick(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: one\n\n")
        await go.wait()
        await stream.send_all(b"data: two\n\n")
        await stream.send_eof()

    await net.serve(ticker, tick)
    await open_up(net, gateway(https(port)), routes=[route("*", "ticker")])
    async with await secure(port, "ticker.localhost") as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: ticker.localhost\r\n\r\n")
        await read_until(stream, b"data: one\n\n")
        go.set()
        await read_until(stream, b"data: two\n\n")
        await read_until(stream, b"0\r\n\r\n")


async def test_http2_in_clear(net: Net) -> None:
    port = free_port()
    await shop(net, Server(port, ServerProtocol.GRPC, ("*",), "127.0.0.1"))
    async with await connect(port) as stream:
        peer = Peer(stream, client=True)
        asked = {b":method": b"GET", b":scheme": b"http", b":authority": b"shop.localhost", b":path": b"/"}
        peer.h2.send_headers(1, list(asked.items()), end_stream=True)
        await peer.flush()
        assert (await peer.next(DataReceived)).data == b"welcome"
    assert (await net.records.next()).http_version == 20


async def test_changes_under_load_are_noticed_by_nobody(net: Net) -> None:
    """Servers beside come and go, hosts and settings of their own port change, while connections are used."""
    clear, encrypted, beside = free_port(), free_port(), free_port()
    kept = http(clear), https(encrypted)
    await shop(net, *kept)
    answered, done = 0, False

    async def visit(number: int) -> None:
        nonlocal answered
        stream = await (secure(encrypted, f"v{number}.localhost") if number % 2 else connect(clear))
        async with stream:
            while not done:
                assert (await ask(stream)).endswith(b"welcome")
                answered += 1

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(visit, number)
        for number in range(60):
            servers = [*kept, http(clear, f"h{number}.test"), https(encrypted, f"h{number}.test")]
            if number % 2:
                servers.append(http(beside))
            changed = gateway(*servers, trusted_proxies=number % 3)
            await open_up(net, changed, routes=[route("*.localhost", "shop"), route(f"h{number}.test", "shop")])
            async with await connect(clear) as stream:
                assert (await ask(stream, b"h%d.test" % number)).endswith(b"welcome"), "in effect at once"
        done = True
    assert answered > 60
    assert {record.flag for record in net.records.all} == {Flag.NONE}
