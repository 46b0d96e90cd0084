"""Retries by rule, through the whole proxy, with applications that misbehave."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.policy import ConnectionLimits, Retry
from mesh.net import GET, OK, Net, answering, ask, read_until
from mesh.policy import NO, POST, Gate, bound, in_turn, say

BUSY = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno"
LIMITED = b"HTTP/1.1 503 Busy\r\nx-envoy-ratelimited: true\r\nContent-Length: 2\r\n\r\nno"
SOON = 0.001
"""Seconds of back-off: what is waited for is not what is tested."""


def on(*words: str, attempts: int = 2, **more: Any) -> Retry:
    return Retry(attempts=attempts, on=frozenset(words), back_off=SOON, **more)


@pytest.mark.parametrize(
    ("retry", "answer"),
    [
        (on("5xx"), NO),
        (on("gateway-error"), NO),
        (on("retriable-4xx"), BUSY),
        (on(statuses=frozenset({409})), BUSY),
        (on("envoy-ratelimited"), LIMITED),
        (on("5xx"), b""),
        (on("reset"), b""),
        (on("5xx"), b"Hello? Is anybody there?\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("request_bytes", [GET, POST])
async def test_what_the_rule_names_is_tried_again(
    net: Net, retry: Retry, answer: bytes, request_bytes: bytes
) -> None:
    seen: list[bytes] = []
    app = net.add("app")
    say(net, retry=retry)
    await net.serve(app, in_turn(answer, answer, OK, seen=seen))
    client = await net.connect(app)
    assert (await ask(client, request_bytes)).startswith(b"HTTP/1.1 200 ")
    record = await net.records.next()
    assert (record.attempts, record.response_code, record.flag) == (3, 200, Flag.NONE)
    assert [one.partition(b"x-envoy-attempt-count: ")[2][:1] for one in seen] == [b"1", b"2", b"3"]
    assert all(one.endswith(request_bytes.partition(b"\r\n\r\n")[2]) for one in seen)


@pytest.mark.parametrize(
    ("retry", "answer", "status"),
    [
        (on("connect-failure", "refused-stream"), NO, b"503"),
        (on("gateway-error"), BUSY, b"409"),
        (on("5xx"), LIMITED, b"503"),
        (on("5xx", attempts=0), NO, b"503"),
    ],
)
async def test_what_it_does_not_name_is_passed_on(net: Net, retry: Retry, answer: bytes, status: bytes) -> None:
    app = net.add("app")
    say(net, retry=retry)
    await net.serve(app, in_turn(answer))
    client = await net.connect(app)
    assert (await ask(client, GET, b"no")).startswith(b"HTTP/1.1 %b " % status)
    record = await net.records.next()
    assert (record.attempts, record.flag) == (1, Flag.NONE)


async def test_the_last_answer_is_passed_on_and_flagged(net: Net) -> None:
    app = net.add("app")
    say(net, retry=on("5xx"))
    await net.serve(app, in_turn(NO))
    client = await net.connect(app)
    answer = await ask(client, GET, b"no")
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable")
    record = await net.records.next()
    assert (record.attempts, record.response_code, record.flag) == (3, 503, Flag.UPSTREAM_RETRY_LIMIT_EXCEEDED)


async def test_a_retry_goes_to_another_endpoint_and_back_if_there_is_no_other(net: Net) -> None:
    bad, good = net.add("app"), net.add("app")
    say(net, retry=on("5xx"))
    await net.serve(bad, in_turn(NO))
    await net.serve(good, in_turn(OK))
    client = await net.connect(bad)
    for number in range(1, 9):
        assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")
        assert (await net.records.next(number)).destination.workload == good.name
    assert max(record.attempts for record in net.records.all) == 2


async def test_previous_hosts_may_be_asked_again_where_the_rule_says_so(net: Net) -> None:
    apps = [net.add("app") for _ in range(4)]
    say(net, retry=on("5xx", attempts=20, ignore_previous_hosts=False))
    for app in apps[:-1]:
        await net.serve(app, in_turn(NO))
    await net.serve(apps[-1], in_turn(NO, NO, OK))
    client = await net.connect(apps[0])
    assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")
    assert (await net.records.next()).attempts > 4


async def test_a_connection_that_fails_is_another_matter_than_one_that_breaks(net: Net) -> None:
    dead, alive = net.add("app"), net.add("app")
    say(net, retry=on("connect-failure"))
    (await net.serve(dead, answering())).cancel()
    await net.serve(alive, in_turn(OK, OK, b""))
    client = await net.connect(dead)
    for _ in range(2):
        assert (await ask(client, POST)).startswith(b"HTTP/1.1 200 ")
    assert (await ask(client, POST, b"(UC)")).startswith(b"HTTP/1.1 503 ")
    assert (await net.records.next(3)).response_code == 503


async def test_nobody_listening_ends_with_the_last_retry(net: Net) -> None:
    app = net.add("app")
    say(net, retry=on("connect-failure", attempts=3))
    (await net.serve(app, answering())).cancel()
    client = await net.connect(app)
    answer = await ask(client, GET, b"(URX)")
    assert b"Connection refused" in answer
    record = await net.records.next()
    assert (record.attempts, record.response_code) == (4, 503)


# === the clock of a try ===


async def test_a_try_that_takes_too_long_is_given_up_for_another(net: Net) -> None:
    hangs, answers = net.add("app"), net.add("app")
    say(net, retry=on("gateway-error", per_try_timeout=0.1))
    left = trio.Event()

    async def hang(stream: trio.SocketStream) -> None:
        while await stream.receive_some():
            pass
        left.set()

    await net.serve(hangs, hang)
    await net.serve(answers, answering())
    client = await net.connect(hangs)
    while not left.is_set():
        assert (await ask(client, GET)).startswith(b"HTTP/1.1 200 ")
    assert net.records.all[-1].attempts == 2
    assert net.records.all[-1].destination.workload == answers.name


@pytest.mark.parametrize(("words", "flag", "attempts"), [(("5xx",), "URX", 2), (("connect-failure",), "UT", 1)])
async def test_too_late_is_a_504(net: Net, words: tuple[str, ...], flag: str, attempts: int) -> None:
    app = net.add("app")
    say(net, retry=on(*words, attempts=1, per_try_timeout=0.05))
    await net.serve(app, Gate(OK))
    client = await net.connect(app)
    answer = await ask(client, GET, b"(%b)" % flag.encode())
    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"no answer in 0.05 s" in answer
    record = await net.records.next()
    assert (record.attempts, record.flag.value, record.response_code) == (attempts, flag, 504)


async def test_an_answer_that_has_begun_has_all_the_time_it_wants(net: Net) -> None:
    app = net.add("app")
    say(net, retry=on("5xx", per_try_timeout=0.05))

    async def slowly(stream: trio.SocketStream) -> None:
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl")
        await trio.sleep(0.2)
        await stream.send_all(b"ow")

    await net.serve(app, slowly)
    client = await net.connect(app)
    assert (await ask(client, GET, b"ow")).startswith(b"HTTP/1.1 200 ")
    assert (await net.records.next()).attempts == 1


async def test_the_clock_starts_when_the_request_is_complete(net: Net) -> None:
    app = net.add("app")
    say(net, retry=on("5xx", per_try_timeout=0.1))

    async def read_all_first(stream: trio.SocketStream) -> None:
        await read_until(stream, b"the end")
        await stream.send_all(OK)

    await net.serve(app, read_all_first)
    client = await net.connect(app)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: 12\r\n\r\nnot ")
    await trio.sleep(0.3)
    assert (await ask(client, b"yet the end"[3:])).startswith(b"HTTP/1.1 200 ")
    assert (await net.records.next()).attempts == 1


# === bodies ===


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_was_still_coming_is_sent_again_whole(net: Net, chunked: bool) -> None:
    """The first try breaks halfway, the second is told everything from the start."""
    app = net.add("app")
    say(net, retry=on("reset"))
    halfway, tries, bodies = trio.Event(), 0, []

    async def second_time(stream: trio.SocketStream) -> None:
        nonlocal tries
        tries += 1
        data = await read_until(stream, b"first")
        if tries == 1:
            halfway.set()
            await stream.aclose()
            return
        bodies.append(data + (b"" if b"last" in data else await read_until(stream, b"last")))
        await stream.send_all(OK)

    await net.serve(app, second_time)
    client = await net.connect(app)
    framing = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 9\r\n\r\n"
    await client.send_all(b"POST / HTTP/1.1\r\nHost: app\r\n" + framing)
    await client.send_all(b"5\r\nfirst\r\n" if chunked else b"first")
    with trio.fail_after(5):
        await halfway.wait()
    assert (await ask(client, b"4\r\nlast\r\n0\r\n\r\n" if chunked else b"last")).startswith(b"HTTP/1.1 200 ")
    (body,) = bodies
    assert body.count(b"first") == body.count(b"last") == 1
    record = await net.records.next()
    assert (record.attempts, record.bytes_received) == (2, 9)


@pytest.mark.parametrize(("size", "attempts"), [(60_000, 3), (70_000, 1)])
async def test_a_body_is_kept_within_bounds(net: Net, size: int, attempts: int) -> None:
    app = net.add("app")
    say(net, retry=on("5xx"))
    await net.serve(app, in_turn(NO, NO, OK))
    client = await net.connect(app)
    await client.send_all(b"POST / HTTP/1.1\r\nHost: app\r\nContent-Length: %d\r\n\r\n" % size)
    await trio.testing.wait_all_tasks_blocked(0.01)  # the body comes later than its head
    answer = await ask(client, b"x" * size, b"ok" if attempts == 3 else b"no")
    assert answer.startswith(b"HTTP/1.1 200 " if attempts == 3 else b"HTTP/1.1 503 ")
    record = await net.records.next()
    assert (record.attempts, record.flag) == (attempts, Flag.NONE)


async def test_a_client_that_was_told_to_go_on_is_told_nothing_else(net: Net) -> None:
    """A response of class 1xx is a part of the answer: after it there is no other try."""
    app = net.add("app")
    say(net, retry=on("5xx", "reset"))
    await net.serve(app, in_turn(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + NO, OK))
    client = await net.connect(app)
    answer = await ask(client, GET, b"no")
    assert answer.startswith(b"HTTP/1.1 103 ")
    assert (await net.records.next()).attempts == 1


async def test_nothing_is_tried_again_once_bytes_of_the_answer_went_out(net: Net) -> None:
    app = net.add("app")
    say(net, retry=on("5xx", "reset"))
    asked = 0

    async def cut(stream: trio.SocketStream) -> None:
        nonlocal asked
        asked += 1
        await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        await stream.aclose()

    await net.serve(app, cut)
    client = await net.connect(app)
    await client.send_all(GET)
    with pytest.raises((AssertionError, trio.BrokenResourceError)):
        await read_until(client, b"never")
    record = await net.records.next()
    assert (record.attempts, record.flag, asked) == (1, Flag.UPSTREAM_CONNECTION_TERMINATION, 1)


# === how many at a time ===


async def test_no_more_retries_at_a_time_than_the_limit(net: Net) -> None:
    """While one request is being tried again, the next may not be: its answer is passed on."""
    app = net.add("app")
    say(net, retry=on("5xx"), connections=ConnectionLimits(max_retries=1))
    gate, waits, asked = trio.Event(), trio.Event(), 0

    async def second_waits(stream: trio.SocketStream) -> None:
        nonlocal asked
        while await stream.receive_some():
            asked += 1
            if asked == 2:
                waits.set()
                await gate.wait()
                await stream.send_all(OK)
            else:
                await stream.send_all(NO)

    await net.serve(app, second_waits)
    first, second = await net.connect(app), await net.connect(app)
    await first.send_all(GET)
    with trio.fail_after(5):
        await waits.wait()
    limits = bound(net).limits
    assert limits is not None
    assert limits.retries == 1
    assert (await ask(second, GET, b"no")).startswith(b"HTTP/1.1 503 ")
    record = await net.records.next()
    assert (record.attempts, record.flag) == (1, Flag.UPSTREAM_OVERFLOW)
    gate.set()
    await read_until(first, b"ok")
    assert (await net.records.next(2)).attempts == 2
    assert limits.retries == 0
