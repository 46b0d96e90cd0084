"""Faults, timeouts and mirrors: what rules do to the time and the fate of a request, and to copies of it."""

from __future__ import annotations

from typing import Any

import h2.events
import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.route import (
    Abort,
    Delay,
    Destination,
    DirectResponse,
    Fault,
    HeaderChange,
    HttpMatch,
    Mirror,
    Rewrite,
)
from composemesh.proxy.filters import mirror as mirroring
from mesh.http2 import Peer
from mesh.net import Net, read_until
from mesh.routes import (
    Client,
    add_versions,
    applied,
    configure,
    connect,
    exact,
    headers,
    rule,
    telling,
    to,
)
from mesh.test_http2 import serve_paths

# === faults ===


async def test_a_delay_is_told_by_its_flag_and_the_answer_is_the_applications(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(), fault=Fault(Delay(0.2, 100.0))))
    await applied(net)
    client = await connect(net, versions["v1"])
    began = trio.current_time()
    answer = await client.ask()
    assert trio.current_time() - began >= 0.2
    assert (answer.status, answer.body) == (200, b"v1")
    record = await net.records.next()
    assert (record.flag, record.response_code) == (Flag.DELAY_INJECTED, 200)
    assert record.duration >= 0.2


async def test_an_abort_goes_nowhere(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(
        net, rule(to(), fault=Fault(abort=Abort(100.0, 555)), headers=headers(response=HeaderChange((("x", "1"),))))
    )
    await applied(net)
    client = await connect(net, versions["v1"])
    answer = await client.ask()
    assert (answer.status, answer.fields["x-composemesh-flag"], answer.fields["x"]) == (555, "FI", "1")
    assert answer.body == b"fault filter abort (FI)\n"
    record = await net.records.next()
    assert (record.flag, record.response_code, record.attempts) == (Flag.FAULT_INJECTED, 555, 0)


async def test_a_delay_ends_in_an_abort_where_both_are_asked_for(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(), fault=Fault(Delay(0.1, 100.0), Abort(100.0, grpc_status=14))))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert (await client.ask()).status == 503
    record = await net.records.next()
    assert record.flag is Flag.FAULT_INJECTED
    assert record.duration >= 0.1


async def test_percentages_of_faults_are_exact_and_independent(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(), fault=Fault(Delay(0.0, 50.0), Abort(30.0, 500))))
    await applied(net)
    client = await connect(net, versions["v1"])
    for _ in range(400):
        await client.ask()
    ends = [(record.flag, record.response_code) for record in net.records.all]
    aborted = sum(code == 500 for _, code in ends)
    delayed_only = sum(flag is Flag.DELAY_INJECTED for flag, _ in ends)
    assert abs(aborted - 120) <= 4
    assert abs(delayed_only - 140) <= 20  # half of the 280 that were not aborted


async def test_nothing_happens_to_no_percent(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(), fault=Fault(Delay(9.0, 0.0), Abort(0.0, 500))))
    await applied(net)
    client = await connect(net, versions["v1"])
    assert {(await client.ask()).status for _ in range(20)} == {200}


async def test_a_caller_that_leaves_during_a_delay_is_not_waited_for(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(), fault=Fault(Delay(60.0, 100.0))))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.stream.send_all(b"GET / HTTP/1.1\r\nHost: reviews\r\n\r\n")
    await client.stream.aclose()
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION


async def grpc_answer(net: Net, **what: Any) -> dict[str, str]:
    """The head of the answer to a gRPC call that meets such a rule."""
    versions = await add_versions(net, "v1", handler=silent)
    configure(net, rule(to(), **what))
    await applied(net)
    peer = Peer((await connect(net, versions["v1"])).stream, client=True)
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/C"), (b":authority", b"reviews")]
    peer.h2.send_headers(1, [*fields, (b"content-type", b"application/grpc"), (b"te", b"trailers")], end_stream=True)
    await peer.flush()
    event = await peer.next(h2.events.ResponseReceived)
    return {name.decode(): value.decode() for name, value in event.headers}


async def silent(stream: trio.SocketStream) -> None:
    """An application that reads and never answers."""
    while await stream.receive_some():
        pass


async def test_grpc_aborts_and_timeouts_come_as_grpc_has_them(net: Net) -> None:
    said = await grpc_answer(net, fault=Fault(abort=Abort(100.0, grpc_status=8)))
    assert (said[":status"], said["grpc-status"]) == ("200", "8")
    record = await net.records.next()
    assert (record.grpc_status, record.flag) == (8, Flag.FAULT_INJECTED)


async def test_an_answer_of_a_rules_own_comes_as_grpc_has_it(net: Net) -> None:
    said = await grpc_answer(net, direct_response=DirectResponse(503, b"under repair: 100 %"))
    assert (said[":status"], said["grpc-status"], said["grpc-message"]) == ("200", "14", "under repair: 100 %25")
    record = await net.records.next()
    assert (record.grpc_status, record.flag) == (14, Flag.NONE)


async def test_a_grpc_call_that_takes_too_long_has_exceeded_its_deadline(net: Net) -> None:
    said = await grpc_answer(net, timeout=0.1)
    assert said["grpc-status"] == "4"
    assert (await net.records.next()).flag is Flag.UPSTREAM_REQUEST_TIMEOUT


# === timeouts ===


async def test_a_request_that_takes_too_long_is_a_504(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=silent)
    configure(net, rule(to(), timeout=0.1))
    await applied(net)
    client = await connect(net, versions["v1"])
    answer = await client.ask()
    assert (answer.status, answer.fields["x-composemesh-flag"]) == (504, "UT")
    record = await net.records.next()
    assert (record.flag, record.destination.version) == (Flag.UPSTREAM_REQUEST_TIMEOUT, "v1")
    await client.ask()  # and the connection to the caller lives on


async def test_an_answer_that_begins_and_takes_too_long_is_cut(net: Net) -> None:
    async def half(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
        await silent(stream)

    versions = await add_versions(net, "v1", handler=half)
    configure(net, rule(to(), timeout=0.2))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.stream.send_all(b"GET / HTTP/1.1\r\nHost: reviews\r\n\r\n")
    assert (await read_until(client.stream, b"ha")).endswith(b"\r\n\r\nha")
    with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
        await client.stream.receive_some()
    assert (await net.records.next()).flag is Flag.UPSTREAM_REQUEST_TIMEOUT


async def test_the_time_counts_from_the_end_of_the_request(net: Net) -> None:
    versions = await add_versions(net, "v1")
    configure(net, rule(to(), timeout=0.3))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.stream.send_all(b"POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 4\r\n\r\nbo")
    await trio.sleep(0.5)  # longer than the timeout
    await client.stream.send_all(b"dy")
    assert (await client.read()).status == 200


async def test_a_request_that_is_sent_slowly_and_never_answered_times_out_too(net: Net) -> None:
    versions = await add_versions(net, "v1", handler=silent)
    configure(net, rule(to(), timeout=0.1))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.stream.send_all(b"POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 4\r\n\r\nbo")
    await client.stream.send_all(b"dy")
    assert (await client.read()).status == 504


# === mirrors ===


def shadows(net: Net) -> list[tuple[str, str, int]]:
    return [
        (record.destination.version, record.authority, record.response_code)
        for record in net.records.all
        if record.protocol == "mirror"
    ]


async def mirrored(net: Net, *mirrors: Mirror, **what: Any) -> tuple[Client, list[bytes], list[bytes]]:
    """A client of v1 whose requests are copied; what v1 sees, and what v2 sees."""
    original: list[bytes] = []
    copies: list[bytes] = []
    versions = await add_versions(net, "v1", handler=telling(b"v1", original))
    await add_versions(net, "v2", handler=telling(b"v2", copies))
    configure(net, rule(to("v1"), mirrors=mirrors or (Mirror(Destination("reviews", "v2")),), **what))
    await applied(net)
    return await connect(net, versions["v1"]), original, copies


async def test_a_copy_goes_to_the_mirror_and_says_that_it_is_one(net: Net) -> None:
    change = headers(HeaderChange(set=(("x-a", "1"),)))
    client, original, copies = await mirrored(net, rewrite=Rewrite(uri="/new/"), headers=change)
    answer = await client.ask("/old?q", host="reviews:8080", method="POST", body=b"body")
    assert answer.body == b"v1"
    await net.records.next(2)
    (copy,) = copies
    assert copy.startswith(b"POST /new/old?q HTTP/1.1\r\n")
    assert b"\r\nhost: reviews-shadow:8080\r\n" in copy.lower()
    assert b"x-a: 1\r\n" in copy
    assert copy.endswith(b"\r\n\r\nbody")
    assert b"shadow" not in original[0]
    assert shadows(net) == [("v2", "reviews-shadow:8080", 200)]
    edges = {
        (edge.destination.version, edge.protocol): edge.window.over(net.hub.clock(), None).requests
        for edge in net.hub.edges
    }
    assert edges == {("v1", "http"): 1, ("v2", "mirror"): 1}


async def test_a_body_that_streams_is_copied_whole(net: Net) -> None:
    client, _, copies = await mirrored(net)
    await client.stream.send_all(b"POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 8\r\n\r\nfi")
    await trio.testing.wait_all_tasks_blocked(0.01)  # until the beginning has gone upstream
    await client.stream.send_all(b"rst ha")
    assert (await client.read()).body == b"v1"
    await net.records.next(2)
    assert copies[0].endswith(b"\r\n\r\nfirst ha")


async def test_a_chunked_body_is_copied_with_its_length(net: Net) -> None:
    seen: list[bytes] = []

    async def chunked(stream: trio.SocketStream) -> None:
        await read_until(stream, b"0\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nv1")

    versions = await add_versions(net, "v1", handler=chunked)
    await add_versions(net, "v2", handler=telling(b"v2", seen))
    configure(net, rule(to("v1"), mirrors=(Mirror(Destination("reviews", "v2")),)))
    await applied(net)
    client = await connect(net, versions["v1"])
    await client.stream.send_all(
        b"POST / HTTP/1.1\r\nHost: reviews\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"
    )
    await client.stream.send_all(b"0\r\n\r\n")
    assert (await client.read()).body == b"v1"
    await net.records.next(2)
    assert b"content-length: 4" in seen[0].lower()
    assert seen[0].endswith(b"\r\n\r\nbody")


async def test_several_mirrors_and_their_shares(net: Net) -> None:
    v2, v3 = Destination("reviews", "v2"), Destination("reviews", "v3")
    await add_versions(net, "v3")
    client, original, _ = await mirrored(net, Mirror(v2, 50.0), Mirror(v3, 10.0))
    for _ in range(100):
        await client.ask()
    assert len(original) == 100
    await trio.testing.wait_all_tasks_blocked(0.01)  # until no copy is under way
    counts = [sum(version == each for version, _, _ in shadows(net)) for each in ("v2", "v3")]
    assert abs(counts[0] - 50) <= 3
    assert abs(counts[1] - 10) <= 3


async def test_a_mirror_that_never_answers_delays_nobody_and_is_bounded(
    net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirroring, "MOST_IN_FLIGHT", 3)
    asked = 0

    async def hang(stream: trio.SocketStream) -> None:
        nonlocal asked
        asked += 1
        await silent(stream)

    versions = await add_versions(net, "v1")
    await add_versions(net, "v2", handler=hang)
    configure(net, rule(to("v1"), mirrors=(Mirror(Destination("reviews", "v2")),)))
    await applied(net)
    client = await connect(net, versions["v1"])
    with trio.fail_after(5):
        for _ in range(20):
            assert (await client.ask()).status == 200
    assert asked == 3


async def test_what_is_kept_for_copies_is_bounded_and_let_go(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte may be kept of a request that is still coming, and a client may have as many coming as it likes."""
    monkeypatch.setattr(mirroring, "MOST_IN_FLIGHT", 2)
    copies: list[bytes] = []
    versions = await add_versions(net, "v1")
    await add_versions(net, "v2", handler=telling(b"v2", copies))
    configure(net, rule(to("v1"), mirrors=(Mirror(Destination("reviews", "v2")),)))
    await applied(net)
    client = await connect(net, versions["v1"])
    slow = [await connect(net, versions["v1"]) for _ in range(2)]
    for coming in slow:
        await coming.stream.send_all(b"POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 8\r\n\r\nhalf")
    endpoint = net.fleet.planner.endpoints[versions["v1"].life]
    with trio.fail_after(5):
        while endpoint.active < 2:  # noqa: ASYNC110 - no event says so
            await trio.sleep(0.005)
    assert (await client.ask()).body == b"v1"
    for coming in slow:
        await coming.stream.aclose()
    await net.records.next(3)
    assert not copies
    assert (await client.ask()).body == b"v1"
    await net.records.next(5)
    assert len(copies) == 1


async def test_a_body_too_long_is_not_copied(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirroring, "MOST_BODY", 1000)
    client, original, copies = await mirrored(net)
    await client.stream.send_all(b"POST / HTTP/1.1\r\nHost: reviews\r\nContent-Length: 2000\r\n\r\n" + b"x" * 100)
    await client.stream.send_all(b"x" * 1900)
    assert (await client.read()).body == b"v1"
    await client.ask()
    await net.records.next(3)
    assert len(original) == 2
    assert len(copies) == 1


@pytest.mark.parametrize(
    "destination", [Destination("nowhere"), Destination("reviews", "v9"), Destination("reviews", "v3")]
)
async def test_a_mirror_that_leads_nowhere_fails_nobody(net: Net, destination: Destination) -> None:
    client, _, _ = await mirrored(net, Mirror(destination))
    assert (await client.ask()).status == 200
    assert (await client.ask()).status == 200


async def test_a_copy_is_made_for_a_caller_that_speaks_http2(net: Net) -> None:
    versions = await add_versions(net, "v1", "v2", handler=serve_paths)
    configure(net, rule(to("v1"), mirrors=(Mirror(Destination("reviews", "v2")),), match=HttpMatch(uri=exact("/a"))))
    await applied(net)
    peer = Peer((await connect(net, versions["v1"])).stream, client=True)
    peer.request(b"/a")
    await peer.flush()
    await peer.next(h2.events.ResponseReceived)
    await net.records.next(2)
    assert shadows(net) == [("v2", "app-shadow:8080", 200)]
