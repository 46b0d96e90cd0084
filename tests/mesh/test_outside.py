"""Hosts that are no services of the project: entries, what nothing declares, and callers that may not go there."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from composemesh.model.entry import EntryEndpoint, EntryPort, Location, Resolution, Scope, ServiceEntry
from composemesh.model.flag import Flag
from composemesh.model.peer import PeerKind
from composemesh.model.route import Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Egress, MeshSettings, Snapshot
from composemesh.model.workload import Workload
from composemesh.proxy import egress, resolutions
from composemesh.runtime.captured import Found
from mesh.net import NETWORK, PORT, Handler, Net, answering, ask, read_all, read_until

OUTSIDE = f"{NETWORK}.250.1"
ELSEWHERE = f"{NETWORK}.250.2"
HTTP = (EntryPort(80, "http", "web", PORT),)
STATIC = Resolution.STATIC
THERE = (EntryEndpoint(OUTSIDE),)
ANY = (EntryPort(PORT, ""),)
TCP = (EntryPort(PORT, "tcp"),)


def get(host: str) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host.encode()


def entry(*hosts: str, **fields: Any) -> ServiceEntry:
    return ServiceEntry(hosts, **{"ports": ANY, **fields})


async def configure(net: Net, *entries: ServiceEntry, **fields: Any) -> None:
    net.snapshot.publish(Snapshot("test", **{"entries": entries, **fields}))
    await trio.testing.wait_all_tasks_blocked(0.002)


async def blocking(net: Net, *entries: ServiceEntry, **fields: Any) -> None:
    await configure(net, *entries, mesh=MeshSettings(egress=Egress.REGISTRY_ONLY), **fields)


def virtual(net: Net, host: str) -> str:
    """The address that the resolver gives out for a host."""
    name = net.fleet.planner.names.find(host)
    assert name is not None
    return name.addresses[0]


def says(body: bytes) -> Handler:
    return answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


async def listening_at(net: Net, address: str, handler: Handler) -> list[trio.SocketStream]:
    """A server outside the mesh; the connections that it was given."""
    met: list[trio.SocketStream] = []

    async def meet(stream: trio.SocketStream) -> None:
        met.append(stream)
        try:
            await handler(stream)
        except trio.BrokenResourceError:
            pass

    listeners = await trio.open_tcp_listeners(PORT, host=address)
    net.nursery.start_soon(trio.serve_listeners, meet, listeners)
    return met


async def echo(stream: trio.SocketStream) -> None:
    async for data in stream:
        await stream.send_all(data)


def resolving(net: Net, names: Mapping[str, tuple[str, ...]]) -> None:
    """What the caller's own resolver says, from now on."""

    async def look_up(name: str) -> Found:
        await trio.lowlevel.checkpoint()
        if name not in names:
            raise OSError("no such name")
        return Found(names[name], 0)

    net.captures.value.captured[net.caller.life].look_up = look_up


async def found(net: Net, count: int) -> None:
    """Wait until that many look-ups have brought something new."""
    with trio.fail_after(5):
        await net.fleet.planner.entries.resolutions.changed.after(count - 1)
    await trio.testing.wait_all_tasks_blocked(0.002)


# === where declared hosts are ===


async def test_static_endpoints_with_their_own_ports(net: Net) -> None:
    await listening_at(net, OUTSIDE, says(b"outside"))
    there = EntryEndpoint(OUTSIDE, {"web": PORT}, {"version": "v7"})
    await configure(
        net,
        entry("api.partner", ports=(EntryPort(80, "http", "web"),), resolution=STATIC, endpoints=(there,)),
    )
    client = await net.connect(virtual(net, "api.partner"), 80)
    assert b"outside" in await ask(client, get("api.partner"), b"outside")
    record = await net.records.next()
    peer = record.destination
    assert (peer.service, peer.kind, peer.version) == ("api.partner", PeerKind.EXTERNAL, "v7")
    assert record.upstream_address == f"{OUTSIDE}:{PORT}"


async def test_a_target_port_is_dialled_instead(net: Net) -> None:
    await listening_at(net, OUTSIDE, says(b"outside"))
    await configure(net, entry("api.partner", ports=HTTP, resolution=STATIC, endpoints=THERE))
    client = await net.connect(virtual(net, "api.partner"), 80)
    assert b"outside" in await ask(client, get("whatever"), b"outside")


async def test_a_port_that_the_host_does_not_have(net: Net) -> None:
    await configure(net, entry("api.partner", ports=HTTP, resolution=STATIC, endpoints=THERE))
    said = await ask(await net.connect(virtual(net, "api.partner"), 81), get("api.partner"), b"(NR)")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert b"api.partner declares no port 81" in said


async def test_names_of_endpoints_are_followed_and_the_last_answer_stays(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolutions, "SHORTEST", 0.02)
    monkeypatch.setattr(resolutions, "FIRST_RETRY", 0.02)
    await listening_at(net, OUTSIDE, says(b"first"))
    await listening_at(net, ELSEWHERE, says(b"second"))
    names = {"real.partner": (OUTSIDE,)}
    resolving(net, names)
    await configure(net, entry("api.partner", resolution=Resolution.DNS, endpoints=(EntryEndpoint("real.partner"),)))
    await found(net, 1)
    client = await net.connect(virtual(net, "api.partner"))
    assert b"first" in await ask(client, get("api.partner"), b"first")
    names["real.partner"] = (ELSEWHERE,)
    await found(net, 2)
    assert b"second" in await ask(client, get("api.partner"), b"second")
    del names["real.partner"]
    await trio.sleep(0.1)  # several look-ups that fail: nothing tells of those
    assert b"second" in await ask(client, get("api.partner"), b"second")


async def test_round_robin_takes_the_first_address_only(net: Net) -> None:
    await listening_at(net, ELSEWHERE, says(b"second"))
    resolving(net, {"api.partner": (ELSEWHERE, OUTSIDE)})
    await configure(net, entry("api.partner", resolution=Resolution.DNS_ROUND_ROBIN, addresses=("192.0.2.1",)))
    await found(net, 1)
    client = await net.connect("192.0.2.1")
    for _ in range(3):
        assert b"second" in await ask(client, get("api.partner"), b"second")


async def test_a_real_host_goes_where_its_caller_has_found_it(net: Net) -> None:
    """Before the mesh's own look-up has come back, and at the addresses that Docker's resolver has given out."""
    await listening_at(net, OUTSIDE, says(b"outside"))
    resolving(net, {})
    await configure(net, entry("api.partner", resolution=Resolution.DNS))
    net.fleet.planner.names.learn("api.partner", (OUTSIDE,))
    client = await net.connect(OUTSIDE)
    for host, service in (("api.partner", "api.partner"), ("same-cloud.example", OUTSIDE)):
        assert b"outside" in await ask(client, get(host), b"outside")
        assert net.records.all[-1].destination.service == service


async def test_a_learned_address_says_it_all_where_nobody_says_a_name(net: Net) -> None:
    await listening_at(net, OUTSIDE, echo)
    await blocking(net, entry("db.partner"))
    net.fleet.planner.names.learn("db.partner", (OUTSIDE,))
    client = await net.connect(OUTSIDE)
    await client.send_all(b"\x00\x01\x02\n")
    assert await read_until(client, b"\n") == b"\x00\x01\x02\n"
    await client.aclose()
    assert (await net.records.next()).destination.service == "db.partner"
    assert b"502" in await ask(await net.connect(OUTSIDE), get("same-cloud.example"), b"(NR)")


async def test_an_address_from_before_the_mesh_is_known_all_the_same(net: Net) -> None:
    """A connection pool has looked its database up long ago: the mesh finds the same by itself."""
    await listening_at(net, OUTSIDE, echo)
    resolving(net, {"db.partner": (OUTSIDE,)})
    await blocking(net, entry("db.partner", ports=TCP, resolution=Resolution.DNS))
    await found(net, 1)
    client = await net.connect(OUTSIDE)
    await client.send_all(b"SELECT 1\n")
    assert await read_until(client, b"\n") == b"SELECT 1\n"
    await client.aclose()
    assert (await net.records.next()).destination.service == "db.partner"


async def test_a_host_that_is_nowhere_any_more(net: Net) -> None:
    await blocking(net, entry("db.partner", resolution=STATIC))
    net.fleet.planner.names.learn("db.partner", (OUTSIDE,))
    for address in (OUTSIDE, virtual(net, "db.partner")):
        assert b"503" in await ask(await net.connect(address), get("db.partner"), b"(UH)")
        client = await net.connect(address)
        await client.send_all(b"\x00\x01\x02\n")
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
        assert net.records.all[-1].flag is Flag.NO_HEALTHY_UPSTREAM


async def test_rules_for_a_host_without_resolution_lead_where_its_caller_was_going(net: Net) -> None:
    await listening_at(net, OUTSIDE, says(b"outside"))
    rule = HttpRule(destinations=(WeightedDestination(Destination("api.partner")),), timeout=5, name="patient")
    await configure(net, entry("api.partner"), virtual_hosts=(VirtualHost(("api.partner",), http=(rule,)),))
    assert b"outside" in await ask(await net.connect(OUTSIDE), get("api.partner"), b"outside")
    record = await net.records.next()
    assert (record.destination.service, record.route) == ("api.partner", "patient")


async def test_hosts_without_resolution_are_known_by_what_requests_say(net: Net) -> None:
    await listening_at(net, OUTSIDE, says(b"outside"))
    await configure(net, entry("*.partner"), entry("exact.partner"))
    client = await net.connect(OUTSIDE)
    for host, declared in (
        ("a.partner", "*.partner"),
        (f"EXACT.partner:{PORT}", "exact.partner"),
        ("other.example", OUTSIDE),
    ):
        await ask(client, get(host), b"outside")
        record = net.records.all[-1]
        assert (record.destination.service, record.destination.kind) == (declared, PeerKind.EXTERNAL)
        assert record.upstream_address == f"{OUTSIDE}:{PORT}"


async def test_addresses_of_an_entry_are_its_hosts(net: Net) -> None:
    await listening_at(net, OUTSIDE, echo)
    await configure(net, entry("db.partner", ports=TCP, addresses=(f"{NETWORK}.250.0/24",)))
    client = await net.connect(OUTSIDE)
    await client.send_all(b"SELECT 1\n")
    assert await read_until(client, b"\n") == b"SELECT 1\n"
    await client.aclose()
    assert (await net.records.next()).destination.service == "db.partner"


async def test_workloads_that_a_selector_picks(net: Net) -> None:
    chosen = net.change(net.add("legacy"), labels={"tier": "old"})
    await net.serve(chosen, says(b"chosen"))
    await net.serve(net.add("modern"), says(b"modern"))
    await configure(
        net,
        entry("old.partner", resolution=STATIC, workload_selector={"tier": "old"}, location=Location.INTERNAL),
    )
    client = await net.connect(virtual(net, "old.partner"))
    for _ in range(4):
        await ask(client, get("old.partner"), b"chosen")
    peer = (await net.records.next()).destination
    assert (peer.service, peer.workload, peer.kind) == ("old.partner", chosen.name, PeerKind.SERVICE)
    net.remove(chosen)
    assert b"503" in await ask(client, get("old.partner"), b"(UH)")


async def test_a_selector_picks_workload_entries_as_well(net: Net) -> None:
    chosen = net.change(net.add("legacy"), labels={"tier": "old"})
    await net.serve(chosen, says(b"container."))
    await listening_at(net, OUTSIDE, says(b"machine."))
    both = entry("old.partner", resolution=STATIC, workload_selector={"tier": "old"}, endpoints=THERE)
    await configure(net, both)
    client = await net.connect(virtual(net, "old.partner"))
    said = [(await ask(client, get("old.partner"), b"."))[-8:] for _ in range(4)]
    assert sorted(said) == [b"machine.", b"machine.", b"ntainer.", b"ntainer."]


async def test_an_endpoint_that_is_a_container_of_the_project_is_called_like_one(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, says(b"app"))
    await configure(net, entry("by.address", resolution=STATIC, endpoints=(EntryEndpoint(app.addresses[0]),)))
    await ask(await net.connect(virtual(net, "by.address")), get("by.address"), b"app")
    record = await net.records.next()
    assert (record.destination.service, record.destination.workload) == ("by.address", app.name)
    assert len(net.records.all) == 1  # and not a second time, as a call from outside


async def test_weights_are_kept_to(net: Net) -> None:
    await listening_at(net, OUTSIDE, says(b"heavy."))
    await listening_at(net, ELSEWHERE, says(b"light."))
    endpoints = (EntryEndpoint(OUTSIDE, weight=75), EntryEndpoint(ELSEWHERE, weight=25))
    await configure(net, entry("api.partner", resolution=STATIC, endpoints=endpoints))
    client = await net.connect(virtual(net, "api.partner"))
    said = [(await ask(client, get("api.partner"), b"."))[-6:] for _ in range(40)]
    assert said.count(b"heavy.") == 30


async def test_a_rule_may_lead_to_an_entry(net: Net) -> None:
    app = net.add("app")
    await listening_at(net, OUTSIDE, says(b"outside"))
    rule = HttpRule(destinations=(WeightedDestination(Destination("api.partner", port=80)),))
    there = entry("api.partner", ports=HTTP, resolution=STATIC, endpoints=THERE)
    await configure(net, there, virtual_hosts=(VirtualHost(("app",), http=(rule,)),))
    assert b"outside" in await ask(await net.connect(app), get("app"), b"outside")
    assert (await net.records.next()).destination.service == "api.partner"


async def test_a_host_that_only_rules_know(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, says(b"app"))
    rule = HttpRule(destinations=(WeightedDestination(Destination("app", port=PORT)),))
    await configure(net, virtual_hosts=(VirtualHost(("shop.internal",), http=(rule,)),))
    assert b"app" in await ask(await net.connect(virtual(net, "shop.internal")), get("shop.internal"), b"app")


# === a service whose virtual address was given out ===


async def test_a_virtual_address_of_a_service_outlives_its_containers(net: Net) -> None:
    app = net.add("app")
    await net.serve(app, says(b"one"))
    address = virtual(net, "app.default.svc.cluster.local")
    client = await net.connect(address)
    await ask(client, get("app"), b"one")
    assert (await net.records.next()).destination.service == "app"
    net.remove(app)
    said = await ask(client, get("app"), b"(UH)")
    assert said.startswith(b"HTTP/1.1 503 ")
    await net.serve(net.add("app"), says(b"two"))
    await ask(client, get("app"), b"two")


async def test_the_mesh_does_not_lead_to_networks_that_the_caller_is_not_on(net: Net) -> None:
    await net.serve(net.add("hidden", network="other"), says(b"hidden"))
    said = await ask(await net.connect(virtual(net, "hidden.default.svc")), get("hidden"), b"(UH)")
    assert said.startswith(b"HTTP/1.1 503 ")


# === callers that may not ===


async def test_what_nothing_declares_is_refused_by_name(net: Net) -> None:
    await blocking(net)
    with capture_logs() as logs:
        client = await net.connect(OUTSIDE)
        for _ in range(2):
            said = await ask(client, get("evil.example"), b"(NR)")
    assert said.startswith(b"HTTP/1.1 502 ")
    assert f"caller calls evil.example:{PORT}, which nothing declares".encode() in said
    record = await net.records.next()
    assert (record.flag, record.response_code) == (Flag.NO_ROUTE_FOUND, 502)
    assert (record.destination.service, record.destination.kind) == ("evil.example", PeerKind.EXTERNAL)
    (problem,) = net.fleet.planner.egress.problems()
    assert problem.code == "egress-blocked"
    assert problem.message == f"caller was refused evil.example:{PORT}, which nothing declares (2 times)."
    assert [(each["caller"], each["host"]) for each in logs] == [("caller", "evil.example")]


async def test_nobody_is_dialled_before_it_is_known_that_they_may_be(net: Net) -> None:
    met = await listening_at(net, OUTSIDE, echo)
    await blocking(net, entry("*.partner"))
    client = await net.connect(OUTSIDE)
    await client.send_all(b"\x00\x01 no protocol that anybody knows")
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    record = await net.records.next()
    assert (record.flag, record.protocol, record.destination.service) == (Flag.NO_ROUTE_FOUND, "tcp", OUTSIDE)
    assert met == []
    (problem,) = net.fleet.planner.egress.problems()
    assert OUTSIDE in problem.message


def hello(name: str | None) -> bytes:
    """What a TLS client says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return out.read()


@pytest.mark.parametrize("restricted", [False, True])
async def test_tls_is_known_by_the_name_that_its_client_says(net: Net, restricted: bool) -> None:
    await listening_at(net, OUTSIDE, echo)
    await (blocking if restricted else configure)(net, entry("*.partner", ports=(EntryPort(PORT, "tls"),)))
    client = await net.connect(OUTSIDE)
    first = hello("www.partner")
    await client.send_all(first[:40])
    await trio.testing.wait_all_tasks_blocked(0.01)
    await client.send_all(first[40:])
    assert await read_until(client, first) == first
    await client.aclose()
    assert (await net.records.next()).destination.service == "*.partner"


@pytest.mark.parametrize("name", ["www.example", None])
async def test_tls_that_nothing_declares_is_reset(net: Net, name: str | None) -> None:
    met = await listening_at(net, OUTSIDE, echo)
    await blocking(net, entry("*.partner", ports=(EntryPort(PORT, "tls"),)))
    client = await net.connect(OUTSIDE)
    await client.send_all(hello(name))
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    record = await net.records.next()
    assert (record.flag, record.destination.service) == (Flag.NO_ROUTE_FOUND, name or OUTSIDE)
    assert met == []


async def test_tls_for_another_host_at_a_learned_address_is_reset(net: Net) -> None:
    await listening_at(net, OUTSIDE, echo)
    await blocking(net, entry("www.partner", ports=(EntryPort(PORT, "tls"),), resolution=Resolution.DNS))
    net.fleet.planner.names.learn("www.partner", (OUTSIDE,))
    good = await net.connect(OUTSIDE)
    await good.send_all(hello("www.partner"))
    assert await read_until(good, hello("www.partner")[:5])
    await good.aclose()
    assert (await net.records.next()).destination.service == "www.partner"
    bad = await net.connect(OUTSIDE)
    await bad.send_all(hello("same-cloud.example"))
    with pytest.raises(trio.BrokenResourceError):
        await read_all(bad)
    assert (await net.records.next(2)).destination.service == "same-cloud.example"


async def test_what_only_begins_like_tls_passes(net: Net) -> None:
    await listening_at(net, OUTSIDE, echo)
    await configure(net, entry("*.partner"))
    client = await net.connect(OUTSIDE)
    odd = b"\x16\x03\x01\x00\x05hello and more\n"
    await client.send_all(odd)
    assert await read_until(client, odd) == odd


async def test_declared_hosts_and_the_projects_own_are_never_refused(net: Net) -> None:
    await net.serve(app := net.add("app"), says(b"app"))
    await listening_at(net, OUTSIDE, says(b"outside"))
    await blocking(
        net,
        entry("api.partner", ports=HTTP, resolution=STATIC, endpoints=THERE),
        entry("*.open"),
    )
    assert b"200" in await ask(await net.connect(app), get("app"), b"app")
    assert b"200" in await ask(await net.connect(virtual(net, "api.partner"), 80), get("api.partner"), b"outside")
    client = await net.connect(OUTSIDE)
    assert b"200" in await ask(client, get("a.open"), b"outside")
    assert b"502" in await ask(client, get("a.closed"), b"(NR)")
    assert b"502" in await ask(await net.connect(virtual(net, "api.partner"), 81), get("api.partner"), b"(NR)")


async def test_a_port_that_is_not_declared_is_refused(net: Net) -> None:
    await blocking(net, entry("*.open", ports=HTTP))
    assert b"502" in await ask(await net.connect(OUTSIDE), get("a.open"), b"(NR)")


async def test_scopes_speak_of_some_workloads_before_those_of_all(net: Net) -> None:
    await listening_at(net, OUTSIDE, says(b"outside"))
    free: Workload = net.change(net.add("free"), labels={"egress": "free"})
    scopes = (Scope(registry_only=True), Scope({"egress": "free"}, registry_only=False))
    await configure(net, scopes=scopes)
    assert b"502" in await ask(await net.connect(OUTSIDE), get("x.example"), b"(NR)")
    assert b"200" in await ask(await net.connect(OUTSIDE, source=free), get("x.example"), b"outside")


async def test_listed_hosts_are_all_that_a_caller_may_reach_where_the_rest_is_refused(net: Net) -> None:
    await net.serve(app := net.add("app"), says(b"app"))
    await net.serve(other := net.add("other"), says(b"other"))
    await listening_at(net, OUTSIDE, says(b"outside"))
    listed = Scope(egress=((0, ("app",)), (PORT, ("*.partner",))))
    declared = entry("*.partner"), entry("*.example")
    await blocking(net, *declared, scopes=(listed,))
    assert b"200" in await ask(await net.connect(app), get("app"), b"app")
    said = await ask(await net.connect(other), get("other"), b"(NR)")
    assert b"502" in said
    assert b"caller calls other" in said
    client = await net.connect(OUTSIDE)
    assert b"200" in await ask(client, get("a.partner"), b"outside")
    assert b"502" in await ask(client, get("a.example"), b"(NR)")
    await configure(net, *declared, scopes=(listed,))  # where the rest is allowed, it is not
    assert b"200" in await ask(await net.connect(other), get("other"), b"other")


def test_refusals_are_bounded_and_age() -> None:
    now = [0.0]
    watched = egress.Egress(lambda: now[0])
    with capture_logs() as logs:
        for number in range(egress.MOST_BLOCKED + 20):
            watched.note("caller", f"host-{number}", 80)
        watched.note("caller", "host-119", 80)
    assert len(watched.problems()) == egress.MOST_BLOCKED
    assert len(logs) == egress.MOST_BLOCKED
    now[0] = egress.REMEMBERED + 1
    assert watched.problems() == ()
    with capture_logs() as logs:
        watched.note("caller", "host-119", 80)
    assert len(logs) == 1
    assert len(watched.problems()) == 1
