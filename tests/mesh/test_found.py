"""Services without containers: found on the network, called by their names, as any other."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import trio

from composemesh.model.peer import Peer, PeerKind
from composemesh.model.route import Destination, HttpRule, VirtualHost, WeightedDestination
from composemesh.model.snapshot import Protocol, Snapshot
from composemesh.model.workload import HOST, Attachment, Discovered, Kind, Workload
from composemesh.proxy.cluster import Endpoint, Spoken
from composemesh.proxy.readiness import listens
from composemesh.routing.names import Standing
from composemesh.runtime.captured import Captured, Captures, HostNamespace
from mesh.net import NETWORK, Net, ask, listener, read_until
from mesh.test_outside import get, says

FIRST, SECOND = f"{NETWORK}.251.1", f"{NETWORK}.251.2"


def printer(address: str, port: int, version: str = "") -> Workload:
    return Workload(
        f"mdns:{address}",
        f"printer-{port}",
        "printer",
        f"{address} {port}",
        0,
        (Attachment(HOST, HOST, (address,)),),
        ports=(port,),
        labels={"version": version} if version else {},
        kind=Kind.FOUND,
    )


async def find(net: Net, *found: Workload) -> None:
    net.discovered.publish(Discovered((net.caller, *found)))
    await trio.testing.wait_all_tasks_blocked(0.002)


def virtual(net: Net) -> str:
    name = net.fleet.planner.names.find("printer")
    assert name is not None
    return name.addresses[0]


async def serve(net: Net, address: str, port: int, body: bytes) -> None:
    listeners = await trio.open_tcp_listeners(port, host=address)
    net.nursery.start_soon(trio.serve_listeners, says(body), listeners)


async def test_a_found_service_is_called_by_name_at_any_port(net: Net) -> None:
    await serve(net, FIRST, 18123, b"found")
    await find(net, printer(FIRST, 18123))
    for port in (18123, 80):
        client = await net.connect(virtual(net), port)
        assert b"found" in await ask(client, get("printer"), b"found")
    record = await net.records.next(2)
    assert (record.source.service, record.destination.service) == ("caller", "printer")
    assert record.destination.kind is PeerKind.SERVICE


async def test_docker_is_asked_first_for_the_name_of_a_found_service(net: Net) -> None:
    await find(net, printer(FIRST, 18124))
    name = net.fleet.planner.names.find("printer")
    assert name is not None
    assert name.standing is Standing.UNLESS_KNOWN


async def test_versions_of_a_found_service_are_routed_to(net: Net) -> None:
    await serve(net, FIRST, 18125, b"one")
    await serve(net, SECOND, 18126, b"two")
    await find(net, printer(FIRST, 18125, "v1"), printer(SECOND, 18126, "v2"))
    client = await net.connect(virtual(net), 80)
    seen = set()
    for _ in range(8):
        await client.send_all(get("printer"))
        head = await read_until(client, b"\r\n\r\n")
        seen.add((head.partition(b"\r\n\r\n")[2] or await client.receive_some())[:3])
    assert seen == {b"one", b"two"}


async def test_rules_lead_to_a_found_service(net: Net) -> None:
    await serve(net, FIRST, 18127, b"found")
    rule = HttpRule(destinations=(WeightedDestination(Destination("printer")),))
    net.snapshot.publish(Snapshot("test", virtual_hosts=(VirtualHost(("old",), http=(rule,)),)))
    await find(net, printer(FIRST, 18127))
    old = net.fleet.planner.names.find("old")
    assert old is not None
    client = await net.connect(old.addresses[0], 80)
    assert b"found" in await ask(client, get("old"), b"found")


async def test_one_that_has_gone_is_answered_for(net: Net) -> None:
    await find(net, printer(FIRST, 18128))
    address = virtual(net)
    await find(net)
    client = await net.connect(address, 80)
    assert b" 503 " in await ask(client, get("printer"), b"")


@pytest.mark.parametrize("port", [18129])
async def test_its_address_alone_is_a_strangers(net: Net, port: int) -> None:
    """Several services may share an address: only a name says which is meant."""
    await serve(net, FIRST, port, b"found")
    await find(net, printer(FIRST, port))
    client = await net.connect(FIRST, port)
    assert b"found" in await ask(client, get(FIRST), b"found")
    assert (await net.records.next()).destination.kind is PeerKind.EXTERNAL


async def test_a_process_that_gets_more_doors_is_heard_at_all_of_them(net: Net) -> None:
    await serve(net, FIRST, 18130, b"found")
    await find(net, printer(FIRST, 18130))
    captured = net.captures.value.captured[net.caller.life]
    more = listener()
    wider = replace(captured, outbound=(*captured.outbound, more))
    net.captures.publish(Captures({net.caller.life: wider}))
    await trio.testing.wait_all_tasks_blocked(0.002)
    for door in (more, captured.outbound[0]):
        client = await net._to(door, virtual(net), 80)
        assert b"found" in await ask(client, get("printer"), b"found")


def test_a_process_is_ready_when_it_listens_whichever_port_its_callers_name() -> None:
    place = Attachment(HOST, HOST, ("127.0.0.1",))
    workload = Workload("process:a", "a", "a", "1", 7, (place,), ports=(9000,), kind=Kind.PROCESS)
    endpoint = Endpoint(workload, Peer("a", "latest", "a", PeerKind.SERVICE, captured=True))
    spoken = Spoken()
    spoken.learned[80] = Protocol.HTTP
    for ports in (frozenset[int](), frozenset({9000})):
        endpoint.captured = Captured(workload, HostNamespace(), (), (), lambda _: None, partial(frozenset, ports))
        assert listens(endpoint, spoken) is bool(ports)
