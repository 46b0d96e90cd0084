"""Retries by rule, through the whole proxy, with applications that misbehave."""

from __future__ import annotations

import pytest

from composemesh.model.flag import Flag
from composemesh.model.policy import Retry
from mesh.net import GET, OK, Net, ask
from mesh.policy import NO, POST, in_turn, say

BUSY = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno"
LIMITED = b"HTTP/1.1 503 Busy\r\nx-envoy-ratelimited: true\r\nContent-Length: 2\r\n\r\nno"
SOON = 0.001
"""Seconds of back-off: what is waited for is not what is tested."""


def on(*words: str, attempts: int = 2, **more: object) -> Retry:
    return Retry(attempts=attempts, on=frozenset(words), back_off=SOON, **more)  # type: ignore[arg-type]


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
