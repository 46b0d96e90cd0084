"""Rules mean the same whatever HTTP a request is spoken in: HTTP/2, upgrades, CONNECT, HTTP/1.0, odd targets."""

from __future__ import annotations

import h2.events
import hpack
import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.policy import ConnectionLimits, DestinationPolicy, H2Upgrade, TrafficPolicy
from composemesh.model.route import DirectResponse, HeaderChange, HttpMatch, Redirect, Rewrite, VirtualHost
from mesh.http2 import Peer, Request, serving
from mesh.net import Net, read_all, read_until
from mesh.routes import (
    Client,
    add_versions,
    applied,
    apply,
    configure,
    connect,
    exact,
    headers,
    prefix,
    rule,
    telling,
    to,
)
from mesh.test_http2 import serve_paths


async def asked(peer: Peer, path: bytes) -> tuple[dict[bytes, bytes], bytes]:
    peer.request(path)
    await peer.flush()
    head = await peer.next(h2.events.ResponseReceived)
    fields = dict(head.headers)
    if head.stream_ended is not None or fields.get(b"content-length") == b"0":
        return fields, b""
    return fields, (await peer.next(h2.events.DataReceived)).data


async def test_http2_meets_the_same_rules(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=serve_paths)
    configure(
        net,
        rule(
            to(),
            match=HttpMatch(uri=prefix("/old"), authority=exact("app:8080"), method=exact("GET")),
            rewrite=Rewrite(uri="/new", authority="other"),
            headers=headers(HeaderChange(set=(("x-a", "1"),)), HeaderChange(set=(("X-Back", "1"),))),
        ),
        rule(to(), match=HttpMatch(uri=exact("/away")), redirect=Redirect(uri="/there")),
        rule(to(), match=HttpMatch(uri=exact("/own")), direct_response=DirectResponse(418, b"teapot")),
    )
    await applied(net)
    peer = Peer((await connect(net, versions["v1"])).stream, client=True)
    fields, body = await asked(peer, b"/old/x?y")
    assert (fields[b":status"], fields[b"x-back"], body) == (b"200", b"1", b"/new/x?y")
    fields, _ = await asked(peer, b"/away")
    assert (fields[b":status"], fields[b"location"]) == (b"301", b"http://app:8080/there")
    fields, body = await asked(peer, b"/own")
    assert (fields[b":status"], body) == (b"418", b"teapot")
    fields, body = await asked(peer, b"/none")
    assert (fields[b":status"], fields[b"x-composemesh-flag"]) == (b"404", b"NR")


async def test_what_no_hop_may_index_is_not_indexed_on_the_way_of_a_rule(net: Net) -> None:
    """RFC 7541, 7.1.3: who rewrites a request passes the mark on."""
    seen: list[tuple[bytes, bytes]] = []

    async def answer(peer: Peer, request: Request) -> None:
        seen.extend(request.headers)
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")], end_stream=True)

    versions = await add_versions(net, "v1", handler=serving(answer))
    configure(net, rule(to(), rewrite=Rewrite(uri="/new", authority="other")))
    await applied(net)
    peer = Peer((await connect(net, versions["v1"])).stream, client=True)
    secret = hpack.NeverIndexedHeaderTuple(b"x-secret", b"a value longer than twenty")
    peer.ask(secret, (b"x-open", b"not so secret"), path=b"/old")
    await peer.flush()
    await peer.next(h2.events.ResponseReceived)
    assert (b":authority", b"other") in seen
    marked = [field for field in seen if isinstance(field, hpack.NeverIndexedHeaderTuple)]
    assert marked == [secret]


async def test_an_upgrade_goes_where_the_rule_leads(net: Net) -> None:
    async def upgrade(stream: trio.SocketStream) -> None:
        head = await read_until(stream, b"\r\n\r\n")
        assert head.startswith(b"GET /ws/chat HTTP/1.1\r\n")
        await stream.send_all(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while more := await stream.receive_some():
            await stream.send_all(more.upper())

    versions = await add_versions(net, "v1", "v2", handler=telling(b"v1"))
    await add_versions(net, "v3", handler=upgrade)
    back = headers(response=HeaderChange(set=(("x-back", "1"), ("upgrade", "h2c"))))
    socket = rule(
        to("v3"),
        match=HttpMatch(headers={"upgrade": exact("websocket")}),
        rewrite=Rewrite(uri="/ws/"),
        headers=back,
        timeout=0.2,
    )
    configure(net, socket, rule(to("v1")))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.stream.send_all(
        b"GET /chat HTTP/1.1\r\nHost: reviews\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    head = (await read_until(client.stream, b"\r\n\r\n")).lower()
    assert head.startswith(b"http/1.1 101 ")
    assert b"x-back: 1\r\n" in head
    assert b"upgrade: websocket\r\n" in head
    assert b"h2c" not in head
    await trio.sleep(0.4)  # longer than the timeout: a tunnel that is open has none
    await client.stream.send_all(b"shout")
    assert await read_until(client.stream, b"SHOUT") == b"SHOUT"


async def test_http_1_0_without_a_host_meets_the_rules_of_the_address(net: Net) -> None:
    seen: list[bytes] = []
    versions = await add_versions(net, "v1")
    await add_versions(net, "v2", handler=telling(b"v2", seen))
    configure(net, rule(to("v2"), rewrite=Rewrite(authority="named")))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
    assert (await read_all(client.stream)).endswith(b"v2")
    assert seen[0].lower().count(b"\r\nhost: named") == 1


async def test_a_target_in_absolute_form_is_matched_by_its_path(net: Net) -> None:
    seen: list[bytes] = []
    versions = await add_versions(net, "v1", handler=telling(b"v1", seen))
    configure(net, rule(to(), match=HttpMatch(uri=exact("/a"), authority=exact("other")), rewrite=Rewrite(uri="/b")))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask("http://other/a?q=1", host="Other:80")).status == 200
    assert seen[0].startswith(b"GET /b?q=1 HTTP/1.1\r\n")
    assert b"\r\nhost: other\r\n" in seen[0].lower() + b"\r\n"


@pytest.mark.parametrize("target", ["*", "http://reviews?q"])
async def test_a_redirect_of_odd_targets_is_a_url(net: Net, target: str) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(), redirect=Redirect(scheme="https")))
    await applied(net)
    client = await connect(net, versions["v1"])
    answer = await client.ask(target, method="OPTIONS" if target == "*" else "GET")
    assert answer.fields["location"] == ("https://reviews/" if target == "*" else "https://reviews/?q")


async def test_a_tunnel_meets_rules_too(net: Net) -> None:
    async def tunnel(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while more := await stream.receive_some():
            await stream.send_all(more.upper())

    versions = await add_versions(net, "v1")
    await add_versions(net, "v2", handler=tunnel)
    configure(
        net,
        rule(to("v2"), match=HttpMatch(method=exact("CONNECT")), rewrite=Rewrite(uri="/x", authority="y")),
        rule(to("v1")),
    )
    await applied(net)
    client = Client(await net.connect(versions["v1"]))
    await client.stream.send_all(b"CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n")
    assert (await read_until(client.stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    await client.stream.send_all(b"shout")
    assert await read_until(client.stream, b"SHOUT") == b"SHOUT"
    await client.stream.aclose()
    record = await net.records.next()
    assert (record.destination.version, record.flag) == ("v2", Flag.NONE)


@pytest.mark.parametrize("path", [b"/\xff\xfe", b"/a\x7fb", b"//", b"/%2f%00", b"*", b"/;a=b?x#y"])
async def test_hostile_paths_of_http2_are_refused_or_written_safely(net: Net, path: bytes) -> None:
    seen: list[bytes] = []
    versions = await add_versions(net, "v1", handler=telling(b"v1", seen))
    service = DestinationPolicy("reviews", TrafficPolicy(connections=ConnectionLimits(h2_upgrade=H2Upgrade.NEVER)))
    apply(
        net, VirtualHost(("reviews",), http=(rule(to(), rewrite=Rewrite(uri="/x/")),)), policies={"reviews": service}
    )
    await applied(net)
    peer = Peer((await connect(net, versions["v1"])).stream, client=True)
    peer.h2.config.validate_outbound_headers = False
    peer.h2.config.normalize_outbound_headers = False
    peer.request(path)
    await peer.flush()
    while not any(isinstance(event, (h2.events.ResponseReceived, h2.events.StreamReset)) for event in peer.events):
        peer.events += peer.h2.receive_data(await peer.stream.receive_some())
    for head in seen:
        line = head.split(b"\r\n")[0].split(b" ")
        assert len(line) == 3
        assert all(33 <= byte <= 126 for byte in line[1])
    peer.events.clear()
    assert (await asked(peer, b"/ok"))[0][b":status"] == b"200"
