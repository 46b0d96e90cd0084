"""Filters of plugins in the path of requests: what they see, what they change, and what becomes of their failures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from composemesh.model.flag import Flag
from composemesh.model.route import DirectResponse, HeaderChange, HttpMatch, Redirect
from composemesh.plugin import Exchange, Reply, Then
from composemesh.runtime.failures import figures
from mesh.filters import head_of, only, use
from mesh.gateways import connect as enter
from mesh.gateways import free_port, gateway, http, open_up, route
from mesh.http2 import Peer, Request, serving
from mesh.net import GET, Net, answering, ask, read_all, read_until
from mesh.routes import add_versions, applied, configure, exact, headers, rule, telling, to
from mesh.routes import connect as connect_to

POST = b"POST /a?b=1 HTTP/1.1\r\nHost: app\r\nX-In: 1\r\nContent-Length: 5\r\n\r\nhello"


async def app(net: Net, seen: list[bytes] | None = None) -> trio.SocketStream:
    """A connection of the caller to a service that answers `ok`."""
    workload = net.add("app")
    await net.serve(workload, answering(seen=seen))
    return await net.connect(workload)


def raising(problem: BaseException) -> Callable[..., None]:
    def hook(*_: object) -> None:
        raise problem

    return hook


async def boom(x: Exchange, then: Then) -> None:
    raise ValueError("boom")


# === what they see and change ===


async def test_everything_that_a_filter_sees(net: Net) -> None:
    told: list[Any] = []

    class Spy:
        def __init__(self, config: object) -> None:
            pass

        def on_request(self, x: Exchange) -> None:
            told.extend((x.method, x.path, x.authority, x.headers.get("x-in"), x.http_version, x.is_grpc, x.status))
            told.extend((x.source.service, x.destination.service, x.client, list(x.response_headers)))
            x.state[self] = "kept"

        def on_response(self, x: Exchange) -> None:
            told.extend((x.status, x.response_headers.get("content-length"), x.destination.workload, x.state[self]))

    stream = await app(net)
    use(net, Spy)
    await ask(stream, POST)
    assert told[:7] == ["POST", "/a?b=1", "app", "1", 11, False, 0]
    assert told[7:9] == ["caller", "app"]
    assert told[10] == []
    assert told[11:13] == [200, "2"]
    assert told[13].startswith("app-")
    assert told[14] == "kept"


async def test_headers_and_path_are_changed_on_both_ways(net: Net) -> None:
    class Change:
        def __init__(self, config: object) -> None:
            pass

        def on_request(self, x: Exchange) -> None:
            x.path = "/other?c=2"
            x.headers.set("X-In", "changed")
            x.headers.add("x-more", "ä")
            x.headers.remove("user-agent")

        def on_response(self, x: Exchange) -> None:
            x.response_headers.add("X-Stamp", "yes")
            with pytest.raises(ValueError, match="frames or routes"):
                x.response_headers.set("content-length", "99")
            with pytest.raises(ValueError, match="control characters"):
                x.response_headers.set("x-evil", "a\r\nb: c")

    seen: list[bytes] = []
    stream = await app(net, seen)
    use(net, Change, service="app")
    status, fields, body = head_of(await ask(stream, POST.replace(b"X-In", b"User-Agent: me\r\nx-in")))
    assert (status, fields["x-stamp"], body) == (200, "yes", b"ok")
    line, *lines = seen[0].split(b"\r\n")
    assert line == b"POST /other?c=2 HTTP/1.1"
    assert b"x-in: changed" in lines
    assert b"x-more: \xe4" in lines
    assert not any(each.lower().startswith(b"user-agent") for each in lines)


async def test_requests_meet_them_in_order_and_answers_the_other_way_round(net: Net) -> None:
    told: list[str] = []

    def named(name: str) -> type:
        class Tell:
            def __init__(self, config: object) -> None:
                pass

            def on_request(self, x: Exchange) -> None:
                told.append(f"{name}?")

            def on_response(self, x: Exchange) -> None:
                told.append(f"{name}!")

            async def around(self, x: Exchange, then: Then) -> None:
                told.append(f"{name}(")
                await then()
                told.append(f"){name}")

        Tell.__name__ = name
        return Tell

    stream = await app(net)
    use(net, named("s1"), service="app")
    use(net, named("s2"), service="app")
    use(net, named("m1"))
    use(net, named("m2"))
    await ask(stream, GET)
    await net.records.next()
    assert " ".join(told) == "m1? m2? m1( m2( s1? s2? s1( s2( s2! s1! m2! m1! )s2 )s1 )m2 )m1"


async def test_those_of_a_service_are_its_own(net: Net) -> None:
    one, other = await app(net), net.add("other")
    await net.serve(other, answering())
    use(net, only("on_response", lambda x: x.response_headers.set("x-stamp", "1")), service="app")
    assert b"x-stamp: 1" in await ask(one, GET)
    assert b"x-stamp" not in await ask(await net.connect(other), GET)


async def test_one_that_is_taken_out_has_no_say_in_the_next_request(net: Net) -> None:
    stream = await app(net)
    before = net.snapshot.value
    use(net, only("on_response", lambda x: x.response_headers.set("x-stamp", "1")), service="app")
    assert b"x-stamp: 1" in await ask(stream, GET)
    net.snapshot.publish(before)
    assert b"x-stamp" not in await ask(stream, GET)


async def test_a_filter_is_made_once_for_its_place_and_settings(net: Net) -> None:
    made: list[object] = []

    class Count:
        def __init__(self, config: object) -> None:
            made.append(config)

    stream = await app(net)
    use(net, Count, config="a", service="app")
    await ask(stream, GET)
    net.add("newcomer")
    use(net, only("on_request", lambda x: None))
    await ask(stream, GET)
    assert made == ["a"]
    use(net, Count, config="a", service="app")
    use(net, Count, config="b")
    await ask(stream, GET)
    assert made == ["a", "b", "a"]  # mesh-wide ones are made first


async def test_requests_from_outside_and_by_a_gateway_meet_them_too(net: Net) -> None:
    workload, port = net.add("app"), free_port()
    await net.serve(workload, answering())
    await open_up(net, gateway(http(port)), routes=[route("*", "app")])
    use(net, only("on_response", lambda x: x.response_headers.add("x-mesh", x.source.kind)))
    use(net, only("on_response", lambda x: x.response_headers.add("x-service", "1"), "Other"), service="app")
    outside = await ask(await net.connect_from_outside(workload), GET)
    assert b"x-mesh: unknown" in outside
    assert b"x-service: 1" in outside
    async with await enter(port) as stream:
        entered = await ask(stream, GET)
    assert entered.count(b"x-mesh: ") == entered.count(b"x-service: 1") == 1


# === rules ===


async def test_mesh_wide_ones_come_before_rules_and_those_of_a_service_after(net: Net) -> None:
    seen: list[bytes] = []
    versions = await add_versions(net, "v1", "v2", handler=telling(b"%v", seen))
    canary = rule(to("v2"), match=HttpMatch(headers={"x-tenant": exact("beta")}))
    configure(net, canary, rule(to("v1")))
    await applied(net)
    reached: list[str] = []
    use(net, only("on_request", lambda x: x.headers.set("x-tenant", "beta")))
    use(net, only("on_request", lambda x: reached.append(x.path), "Other"), service="reviews")
    client = await connect_to(net, versions["v1"])
    await client.ask("/x")
    record = await net.records.next()
    assert record.destination.version == "v2"
    assert reached == ["/x"]


async def test_answers_of_rules_are_seen_by_the_mesh_wide_ones(net: Net) -> None:
    versions = await add_versions(net, "v1")
    moved = rule(match=HttpMatch(uri=exact("/old")), redirect=Redirect(uri="/new"))
    said = rule(match=HttpMatch(uri=exact("/said")), direct_response=DirectResponse(418, b"tea"))
    configure(net, moved, said, rule(to("v1")))
    await applied(net)
    use(net, only("on_response", lambda x: x.response_headers.set("x-stamp", str(x.status))))
    stream = await net.connect(versions["v1"])
    assert b"x-stamp: 301" in await ask(stream, GET.replace(b" / ", b" /old "), b"")
    assert b"x-stamp: 418" in await ask(stream, GET.replace(b" / ", b" /said "), b"tea")


async def test_headers_of_rules_are_there_when_filters_see_the_answer(net: Net) -> None:
    versions = await add_versions(net, "v1")
    change = headers(response=HeaderChange(set=(("x-rule", "1"),)))
    configure(net, rule(to("v1"), headers=change))
    await applied(net)
    told: list[str] = []
    use(net, only("on_response", lambda x: told.append(x.response_headers.get("x-rule"))), service="reviews")
    await ask(await net.connect(versions["v1"]), GET, b"v1")
    assert told == ["1"]


# === answers of their own ===


@pytest.mark.parametrize("hook", ["on_request", "on_response", "around"])
async def test_a_reply_is_the_answer(net: Net, hook: str) -> None:
    reply = Reply(429, "slow down\n", {"Retry-After": "7"})

    async def around(x: Exchange, then: Then) -> None:
        raise reply

    seen: list[bytes] = []
    stream = await app(net, seen)
    use(net, only(hook, around if hook == "around" else raising(reply)), service="app")
    status, fields, body = head_of(await ask(stream, GET, b"slow down\n"))
    assert (status, fields["retry-after"], body) == (429, "7", b"slow down\n")
    assert fields["content-type"] == "text/plain; charset=utf-8"
    record = await net.records.next()
    assert (record.response_code, record.flag, record.details) == (429, Flag.NONE, "")
    assert len(seen) == (1 if hook == "on_response" else 0)
    assert b"HTTP/1.1 429" in await ask(stream, GET, b"slow down\n")  # the connection lasts


async def test_a_reply_without_a_body(net: Net) -> None:
    stream = await app(net)
    use(net, only("on_request", raising(Reply(204))))
    status, fields, body = head_of(await ask(stream, GET, b""))
    assert (status, body, "content-length" in fields) == (204, b"", False)


async def test_what_can_be_no_reply() -> None:
    with pytest.raises(ValueError, match="100 is the status of no answer"):
        Reply(100)
    with pytest.raises(ValueError, match="Content-Length frames or routes"):
        Reply(200, "", {"Content-Length": "5"})
    with pytest.raises(ValueError, match="control characters"):
        Reply(200, "", {"x-a": "a\nb"})


async def test_filters_see_refusals_of_the_mesh(net: Net) -> None:
    workload = net.add("app")  # nothing listens there
    use(net, only("on_response", lambda x: x.response_headers.set("x-stamp", str(x.status))))
    answer = await ask(await net.connect(workload), GET, b"\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"x-stamp: 503" in answer


# === failures ===

HOOKS = ["on_request", "on_response", "on_request_body", "on_response_body", "around"]


@pytest.mark.parametrize("problem", [ValueError("boom"), SystemExit("boom"), RecursionError("boom")])
@pytest.mark.parametrize("hook", HOOKS)
async def test_one_that_raises_has_its_request_refused(net: Net, hook: str, problem: BaseException) -> None:
    async def around(x: Exchange, then: Then) -> None:
        raise problem

    stream = await app(net)
    other = net.add("other")
    await net.serve(other, answering())
    use(net, only(hook, around if hook == "around" else raising(problem)), service="app")
    await stream.send_all(POST)
    status, fields, body = head_of(await read_until(stream, b"(FF)\n"))
    assert (status, body, fields["x-composemesh-flag"]) == (500, b"filter failed: only (FF)\n", "FF")
    record = await net.records.next()
    assert (record.flag, record.details, record.response_code) == (Flag.FILTER_FAILED, "filter only failed", 500)
    (told,) = net.fleet.planner.filters.problems()
    assert told.code == "filter-failed"
    assert "filter only of service app failed once, and its requests are refused; the last time: " in told.message
    assert f"{type(problem).__name__}: boom (" in told.message
    assert b" 200 " in await ask(await net.connect(other), GET)


@pytest.mark.parametrize("hook", ["on_request", "on_response", "around"])
async def test_one_that_may_fail_is_done_without(net: Net, hook: str) -> None:
    stream = await app(net)
    use(net, only(hook, boom if hook == "around" else raising(ValueError("boom"))), fail_open=True)
    assert b" 200 " in await ask(stream, POST)
    record = await net.records.next()
    assert (record.flag, record.details) == (Flag.NONE, "filter only failed")
    assert "go on without it" in str(*net.fleet.planner.filters.problems())


async def test_failures_are_counted_and_the_log_is_not_flooded(net: Net, capsys: pytest.CaptureFixture[str]) -> None:
    stream = await app(net)
    use(net, only("on_request", raising(ValueError("boom"))), service="app")
    for _ in range(20):
        await ask(stream, GET, b"(FF)\n")
    assert figures(net.fleet.planner.filters.failures())["filter", "only"].number == 20
    assert capsys.readouterr().out.count("filter failed") == 1


async def test_a_failure_is_forgotten_after_a_while(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = await app(net)
    use(net, only("on_request", raising(ValueError("boom"))), service="app")
    await ask(stream, GET, b"(FF)\n")
    monkeypatch.setattr("composemesh.runtime.failures.RECENTLY", 0.0)
    assert list(net.fleet.planner.filters.problems()) == []


class Unmakeable:
    def __init__(self, config: object) -> None:
        raise ValueError("the key is wrong")


class Waiting:
    def __init__(self, config: object) -> None:
        pass

    async def on_request(self, x: Exchange) -> None:
        pass


class Plain(Waiting):
    on_request = None  # type: ignore[assignment]

    def around(self, x: Exchange, then: Then) -> None:
        pass


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (Unmakeable, "it can't be made: ValueError: the key is wrong"),
        (Waiting, "its on_request is a coroutine function, and must be a plain one"),
        (Plain, "its around is a plain function, and must be a coroutine function"),
    ],
)
async def test_one_that_can_not_be_used_fails_every_time(net: Net, what: type, why: str) -> None:
    stream = await app(net)
    use(net, what, service="app")
    assert b"(FF)" in await ask(stream, GET, b"(FF)\n")
    (told,) = net.fleet.planner.filters.problems()
    assert told.code == "filter-unusable"
    assert why in told.message


async def test_one_that_is_missing_is_done_without_where_it_may_be(net: Net) -> None:
    stream = await app(net)
    use(net, only("on_request", raising(ValueError())), fail_open=True, missing="its plugin is not here")
    assert b" 200 " in await ask(stream, GET)


# === around ===


async def test_one_that_hangs_before_then_meets_its_bound(net: Net) -> None:
    async def hang(x: Exchange, then: Then) -> None:
        await trio.sleep_forever()

    stream = await app(net)
    use(net, only("around", hang), service="app", timeout=0.05)
    assert b"filter failed: only (FF)" in await ask(stream, GET, b"(FF)\n")
    assert "longer than 0.05 s outside then()" in str(*net.fleet.planner.filters.problems())


async def test_one_that_hangs_before_then_and_may_fail_is_done_without(net: Net) -> None:
    async def hang(x: Exchange, then: Then) -> None:
        await trio.sleep_forever()

    stream = await app(net)
    use(net, only("around", hang), service="app", timeout=0.05, fail_open=True)
    assert b" 200 " in await ask(stream, GET)


async def test_one_that_hangs_afterwards_ends_with_its_bound_and_the_answer_stands(net: Net) -> None:
    async def hang(x: Exchange, then: Then) -> None:
        await then()
        await trio.sleep_forever()

    stream = await app(net)
    use(net, only("around", hang), service="app", timeout=0.05)
    assert b" 200 " in await ask(stream, GET)
    assert (await net.records.next()).flag is Flag.NONE
    assert b" 200 " in await ask(stream, GET)
    assert figures(net.fleet.planner.filters.failures())["filter", "only"].number >= 1


async def test_a_slow_application_is_not_the_filter_s_fault(net: Net) -> None:
    async def pass_on(x: Exchange, then: Then) -> None:
        await then()

    go = trio.Event()

    async def slow(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await go.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    workload = net.add("app")
    await net.serve(workload, slow)
    use(net, only("around", pass_on), service="app", timeout=0.02)
    stream = await net.connect(workload)
    await stream.send_all(GET)
    await trio.sleep(0.2)  # ten times its bound: this is what is measured
    go.set()
    assert b" 200 " in await read_until(stream, b"ok")


async def test_a_rule_s_timeout_counts_while_a_service_s_filter_waits(net: Net) -> None:
    async def hang(x: Exchange, then: Then) -> None:
        await trio.sleep_forever()

    versions = await add_versions(net, "v1")
    configure(net, rule(to("v1"), timeout=0.05))
    await applied(net)
    use(net, only("around", hang), service="reviews")
    stream = await net.connect(versions["v1"])
    assert (await ask(stream, GET, b"(UT)\n")).startswith(b"HTTP/1.1 504 ")


async def test_one_that_calls_then_twice_or_not_at_all(net: Net) -> None:
    async def twice(x: Exchange, then: Then) -> None:
        await then()
        await then()

    async def never(x: Exchange, then: Then) -> None:
        pass

    stream = await app(net)
    before = net.snapshot.value
    use(net, only("around", twice, "Twice"), service="app")
    assert b" 200 " in await ask(stream, GET)  # it came whole, before the filter went wrong
    await net.records.next()
    assert "it called then() twice" in figures(net.fleet.planner.filters.failures())["filter", "twice"].last
    net.snapshot.publish(before)
    use(net, only("around", never, "Never"), service="app")
    assert b"filter failed: never (FF)" in await ask(stream, GET, b"(FF)\n")


@pytest.mark.parametrize("way", ["swallowed", "wrapped", "replaced"])
async def test_what_goes_wrong_on_the_rest_of_the_way_is_told_as_it_is(net: Net, way: str) -> None:
    async def around(x: Exchange, then: Then) -> None:
        if way == "wrapped":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(then)
            return
        try:
            await then()
        except Exception:
            if way == "replaced":
                raise ValueError("mine") from None

    workload = net.add("app")  # nothing listens there
    use(net, only("around", around), service="app")
    answer = await ask(await net.connect(workload), GET, b"\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert (await net.records.next()).flag in (Flag.UPSTREAM_CONNECTION_FAILURE, Flag.NO_HEALTHY_UPSTREAM)


async def test_a_client_that_leaves_takes_a_waiting_filter_along(net: Net) -> None:
    entered, left = trio.Event(), trio.Event()

    async def hang(x: Exchange, then: Then) -> None:
        entered.set()
        try:
            await trio.sleep_forever()
        finally:
            left.set()

    stream = await app(net)
    use(net, only("around", hang), service="app")
    await stream.send_all(GET)
    with trio.fail_after(10):
        await entered.wait()
        await stream.aclose()
        await left.wait()
    assert (await net.records.next()).flag is Flag.DOWNSTREAM_CONNECTION_TERMINATION


# === HTTP/2 ===


async def test_http2_meets_all_of_it(net: Net) -> None:
    async def around(x: Exchange, then: Then) -> None:
        await then()

    async def answer(peer: Peer, request: Request) -> None:
        peer.h2.send_headers(request.stream_id, [(b":status", b"200")])
        peer.h2.send_data(request.stream_id, b"ok", end_stream=True)

    told: list[int] = []
    workload = net.add("app")
    await net.serve(workload, serving(answer))
    use(net, only("on_request", lambda x: told.append(x.http_version), "One"))
    use(net, only("on_response", lambda x: x.response_headers.set("x-stamp", "1"), "Two"), service="app")
    use(net, only("around", around, "Three"), service="app")
    peer = Peer(await net.connect(workload), client=True)
    peer.ask()
    await peer.flush()
    head, body, _ = await peer.answer()
    assert (head[b":status"], head[b"x-stamp"], body, told) == (b"200", b"1", b"ok", [20])
    use(net, only("on_request", raising(ValueError("boom")), "Four"))
    peer.ask()
    await peer.flush()
    head, body, _ = await peer.answer()
    assert (head[b":status"], body) == (b"500", b"filter failed: four (FF)\n")


async def test_a_grpc_caller_is_told_in_grpc(net: Net) -> None:
    workload = net.add("app")
    await net.serve(workload, answering())
    use(net, only("on_request", raising(ValueError("boom"))), service="app")
    peer = Peer(await net.connect(workload), client=True)
    peer.ask((b"content-type", b"application/grpc"), method=b"POST")
    await peer.flush()
    head, _, _ = await peer.answer()
    assert (head[b":status"], head[b"grpc-status"]) == (b"200", b"2")
    assert head[b"grpc-message"] == b"filter failed: only (FF)"
    net.snapshot.publish(type(net.snapshot.value)("test"))
    use(net, only("on_request", raising(Reply(403, "not you", {"x-why": "list"})), "Guard"), service="app")
    peer.ask((b"content-type", b"application/grpc"), method=b"POST")
    await peer.flush()
    head, _, _ = await peer.answer()
    assert (head[b"grpc-status"], head[b"grpc-message"], head[b"x-why"]) == (b"7", b"not you", b"list")


async def test_http_1_0_as_well(net: Net) -> None:
    stream = await app(net)
    use(net, only("on_response", lambda x: x.response_headers.set("x-stamp", "1")))
    await stream.send_all(b"GET / HTTP/1.0\r\n\r\n")
    assert b"x-stamp: 1" in await read_all(stream)


# === where the first request has left a connection behind, the second needs no task ===


async def warm(net: Net, seen: list[bytes] | None = None) -> trio.SocketStream:
    """The caller's connection to a service, over which a request has gone already."""
    stream = await app(net, seen)
    assert b" 200 " in await ask(stream, GET)
    return stream


async def test_head_hooks_of_the_mesh_and_of_the_service(net: Net) -> None:
    seen: list[bytes] = []
    stream = await warm(net, seen)
    use(net, only("on_request", lambda x: x.headers.set("x-in", "1"), "One"))
    use(net, only("on_response", lambda x: x.response_headers.set("x-out", str(x.status)), "Two"), service="app")
    for count in (2, 3, 4):
        assert b"x-out: 200" in await ask(stream, GET)
        assert b"x-in: 1" in seen[-1]
        assert (await net.records.next(count)).response_code == 200


@pytest.mark.parametrize("hook", ["on_request", "on_response"])
@pytest.mark.parametrize("problem", [Reply(429, "slow down (FF)\n"), ValueError("boom")])
async def test_those_that_refuse(net: Net, hook: str, problem: BaseException) -> None:
    stream = await warm(net)
    before = net.snapshot.value
    use(net, only(hook, raising(problem)), service="app")
    for count in (2, 3, 4):
        answer = await ask(stream, GET, b"(FF)\n")
        failed = isinstance(problem, ValueError)
        assert answer.startswith(b"HTTP/1.1 500 " if failed else b"HTTP/1.1 429 ")
        record = await net.records.next(count)
        assert record.flag is (Flag.FILTER_FAILED if failed else Flag.NONE)
    net.snapshot.publish(before)
    for count in (5, 6):
        assert b" 200 " in await ask(stream, GET)
        assert (await net.records.next(count)).flag is Flag.NONE
    assert len(net.records.all) == 6


async def test_a_filter_sees_each_request_once_whatever_becomes_of_its_connection(net: Net) -> None:
    """The application closes what was kept; the request is sent again, and the filter is not asked again."""
    told: list[str] = []

    async def once(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    workload = net.add("app")
    await net.serve(workload, once)
    stream = await net.connect(workload)
    use(net, only("on_request", lambda x: told.append(x.path)), service="app")
    for number in range(4):
        assert b" 200 " in await ask(stream, GET.replace(b" / ", b" /%d " % number))
    assert told == ["/0", "/1", "/2", "/3"]


async def test_a_filter_that_waits_is_met_by_those_who_can_wait(net: Net) -> None:
    async def around(x: Exchange, then: Then) -> None:
        await trio.lowlevel.checkpoint()
        await then()

    stream = await warm(net)
    use(net, only("around", around), service="app")
    assert b" 200 " in await ask(stream, GET)
    use(net, only("around", around))
    assert b" 200 " in await ask(stream, GET)
