"""What the rules do to real connections, in both directions and both address families."""

from __future__ import annotations

import socket

import pytest
import trio

from composemesh.model.snapshot import Exclude, MeshSettings, ServiceSettings, Snapshot
from netns.namespaces import Host, Mesh, accepted, destination, keep, reached

pytestmark = pytest.mark.root

BOTH = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["v4", "v6"])


@BOTH
async def test_what_the_workload_connects_to_comes_to_the_outbound_listener(
    app: Host, peer: Host, mesh: Mesh, family: int
) -> None:
    captured = await (await mesh(app)).captured(app)
    client = await app.connect(peer.addresses[family], 8080)
    taken = await accepted(captured.outbound, family)
    assert destination(captured, taken) == (peer.addresses[family], 8080)
    await taken.send_all(b"from the mesh")
    assert await client.receive_some() == b"from the mesh"


@BOTH
async def test_what_arrives_at_the_workload_comes_to_the_inbound_listener(
    app: Host, peer: Host, mesh: Mesh, family: int
) -> None:
    captured = await (await mesh(app)).captured(app)
    client = await peer.connect(app.addresses[family], 80)
    taken = await accepted(captured.inbound, family)
    assert destination(captured, taken) == (app.addresses[family], 80)
    await client.send_all(b"from outside")
    assert await taken.receive_some() == b"from outside"


@BOTH
async def test_every_address_of_an_interface_is_captured(app: Host, peer: Host, mesh: Mesh, family: int) -> None:
    second, bits = ("10.99.7.77", "24") if family == socket.AF_INET else ("fd99:7::77", "64")
    app.run("ip", "address", "add", f"{second}/{bits}", "dev", "eth0", *(["nodad"] if bits == "64" else []))
    captured = await (await mesh(app)).captured(app)
    await peer.connect(second, 80)
    assert destination(captured, await accepted(captured.inbound, family)) == (second, 80)
    # straight to our listener, by an address that the kernel rewrites to the first one
    await peer.connect(second, 15006)
    assert destination(captured, await accepted(captured.inbound, family)) is None


@BOTH
async def test_the_mesh_itself_is_left_alone(app: Host, peer: Host, mesh: Mesh, family: int) -> None:
    captured = await (await mesh(app)).captured(app)
    server = peer.listen(8080, family)
    dial = keep(captured.namespace.socket(family))
    await dial.connect((peer.addresses[family], 8080))
    stream = await peer.takes(server)
    assert stream.socket.getpeername()[0] == app.addresses[family]


@BOTH
async def test_loopback_is_left_alone(app: Host, peer: Host, mesh: Mesh, family: int) -> None:
    await (await mesh(app)).captured(app)
    server = app.listen(8080, family)
    for host in ("127.0.0.1" if family == socket.AF_INET else "::1", app.addresses[family]):
        await app.connect(host, 8080)
        await app.takes(server)


@BOTH
async def test_the_mesh_reaches_the_application_from_inside(app: Host, peer: Host, mesh: Mesh, family: int) -> None:
    captured = await (await mesh(app)).captured(app)
    server = app.listen(8080, family, app.addresses[family])
    dial = keep(captured.namespace.socket(family))
    await dial.connect((app.addresses[family], 8080))
    await app.takes(server)


@BOTH
async def test_a_connection_made_to_our_own_listener_was_going_nowhere(
    app: Host, peer: Host, mesh: Mesh, family: int
) -> None:
    captured = await (await mesh(app)).captured(app)
    loopback = "127.0.0.1" if family == socket.AF_INET else "::1"
    await app.connect(loopback, 15001)
    assert destination(captured, await accepted(captured.outbound, family)) is None
    await app.connect(loopback, 15006)
    assert destination(captured, await accepted(captured.inbound, family)) is None
    await peer.connect(app.addresses[family], 15006)
    assert destination(captured, await accepted(captured.inbound, family)) is None


@BOTH
async def test_somebody_elses_port_15001_is_a_destination_like_any_other(
    app: Host, peer: Host, mesh: Mesh, family: int
) -> None:
    captured = await (await mesh(app)).captured(app)
    await app.connect(peer.addresses[family], 15001)
    assert destination(captured, await accepted(captured.outbound, family)) == (peer.addresses[family], 15001)


@BOTH
async def test_excluded_ports_and_networks_are_left_alone_in_both_directions(
    app: Host, peer: Host, mesh: Mesh, family: int
) -> None:
    cidr = "10.99.7.2/32" if family == socket.AF_INET else "fd99:7::2/128"
    ports = Snapshot("shop", services={"app": ServiceSettings("app", exclude=Exclude(ports=(5432,)))})
    told = await mesh(app, snapshot=ports)
    captured = await told.captured(app)
    async with reached(app, peer, 5432, family), reached(peer, app, 5432, family):
        pass
    await app.connect(peer.addresses[family], 8080)  # anything else is still ours
    assert await accepted(captured.outbound, family)

    told.snapshot.publish(Snapshot("shop", MeshSettings(exclude=Exclude(cidrs=(cidr,)))))
    await app.until_rules(lambda rules: any(cidr in rule for rule in rules))
    async with reached(app, peer, 8081, family), reached(peer, app, 8082, family):
        pass
    assert told.capture.captures.value.captured[app.workload.life] is captured


async def test_a_port_that_the_application_holds_stays_its_own(app: Host, peer: Host, mesh: Mesh) -> None:
    outbound, inbound = app.listen(15001), app.listen(15006)
    captured = await (await mesh(app)).captured(app)
    assert [listener.getsockname()[1] for listener in captured.outbound] == [15002, 15001]
    assert [listener.getsockname()[1] for listener in captured.inbound] == [15007, 15006]
    await app.connect(peer.addresses[socket.AF_INET], 80)
    await peer.connect(app.addresses[socket.AF_INET], 15006)  # meant for the application
    there = destination(captured, await accepted(captured.inbound, socket.AF_INET))
    assert there == (app.addresses[socket.AF_INET], 15006)
    assert captured.listening() == {15001, 15006}
    await outbound.aclose()
    await inbound.aclose()
    assert captured.listening() == frozenset()


async def test_connections_older_than_the_rules_live_on(app: Host, peer: Host, mesh: Mesh) -> None:
    server = peer.listen(8080)
    told = await mesh()
    old = await app.connect(peer.addresses[socket.AF_INET], 8080)  # no connection tracking here yet
    end = await peer.takes(server)
    told.runs(app)
    await told.captured(app)
    await old.send_all(b"still here")
    with trio.fail_after(5):
        assert await end.receive_some() == b"still here"


@BOTH
async def test_what_was_redirected_is_drained_before_the_rules_go(
    app: Host, peer: Host, mesh: Mesh, family: int
) -> None:
    before = app.all_rules()
    server = peer.listen(8080, family)
    told = await mesh(app)
    captured = await told.captured(app)
    outgoing = await app.connect(peer.addresses[family], 8080)
    taken = await accepted(captured.outbound, family)
    await told.capture.rest()
    assert not told.capture.captures.value.captured
    await app.connect(peer.addresses[family], 8080)  # from here on nothing stands between
    await peer.takes(server)
    await outgoing.send_all(b"draining")
    with trio.fail_after(5):
        assert await taken.receive_some() == b"draining"
    await told.capture.release()
    assert app.all_rules() == before


async def test_dockers_resolver_keeps_redirected_connections_alive_when_our_rules_are_gone(
    app: Host, peer: Host, mesh: Mesh
) -> None:
    resolver = "-t nat -A OUTPUT -d 127.0.0.11 -p tcp --dport 53 -j DNAT --to-destination 127.0.0.11:40053"
    app.run("iptables", *resolver.split())
    told = await mesh(app)
    captured = await told.captured(app)
    outgoing = await app.connect(peer.addresses[socket.AF_INET], 8080)
    taken = await accepted(captured.outbound, socket.AF_INET)
    await told.capture.release()
    await outgoing.send_all(b"draining")
    with trio.fail_after(5):
        assert await taken.receive_some() == b"draining"


async def test_what_a_workload_routes_for_others_is_not_its_traffic(app: Host, peer: Host, mesh: Mesh) -> None:
    await (await mesh(app)).captured(app)
    peer.run("ip", "route", "add", "10.99.8.0/24", "via", app.addresses[socket.AF_INET])
    with pytest.raises(OSError, match="unreachable"):  # as `app` itself answers, which knows no way to it
        await peer.connect("10.99.8.1", 80)
