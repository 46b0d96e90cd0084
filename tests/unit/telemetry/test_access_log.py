"""The access log: what a line says, what it must never say, and that nobody waits for its reader."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator

import pytest
import trio
import trio.testing

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer
from composemesh.model.record import Record
from composemesh.model.snapshot import AccessLog, MeshSettings, Snapshot
from composemesh.runtime.latest import Latest
from composemesh.telemetry.hub import Hub
from composemesh.telemetry.records import MOST_WAITING
from composemesh.telemetry.sinks.access_log import AccessLogSink, json_line, text_line
from composemesh.telemetry.sinks.running import Sinks
from unit.telemetry.conftest import Tell


@pytest.fixture
def record(peer: Callable[..., Peer]) -> Record:
    record = Record(peer("productpage"), peer("reviews/v2"), "http")
    record.start = 1763667164.1234
    record.method, record.path, record.authority = "GET", "/reviews/0?token=secret", "reviews:9080"
    record.response_code, record.bytes_sent, record.bytes_received = 200, 375, 12
    record.duration, record.upstream_duration = 0.0214, 0.0191
    record.request_id, record.user_agent = "0f3c", "python-requests/2.31"
    record.upstream_address, record.x_forwarded_for = "10.0.0.3:9080", "10.0.0.2"
    return record


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            try:
                os.close(end)
            except OSError:
                pass  # the test closed it


def mode(which: AccessLog) -> Snapshot:
    return Snapshot("shop", MeshSettings(sinks={} if which is AccessLog.OFF else {"access_log": which}))


def test_a_text_line_is_envoys(record: Record) -> None:
    assert text_line(record) == (
        '[2025-11-20T19:32:44.123Z] "GET /reviews/0 HTTP" 200 - 12 375 21 19 "10.0.0.2" "python-requests/2.31" '
        '"0f3c" "reviews:9080" "10.0.0.3:9080" productpage/v1 reviews/v2\n'
    )


@pytest.mark.parametrize(("version", "said"), [(10, "HTTP/1.0"), (11, "HTTP/1.1"), (20, "HTTP/2"), (0, "HTTP")])
def test_the_protocol_is_named_with_its_version(peer: Callable[..., Peer], version: int, said: str) -> None:
    record = Record(peer("a/v1"), peer("b/v1"), "http")
    record.method, record.path, record.http_version = "GET", "/", version
    assert f'"GET / {said}" ' in text_line(record)
    assert json.loads(json_line(record))["protocol"] == said


def test_what_is_not_known_is_a_dash(peer: Callable[..., Peer]) -> None:
    record = Record(peer("a"), peer("b"), "tcp")
    record.flag = Flag.UPSTREAM_CONNECTION_FAILURE
    assert text_line(record) == '[1970-01-01T00:00:00.000Z] "- - TCP" 0 UF 0 0 0 - "-" "-" "-" "-" "-" a/v1 b/v1\n'


def test_a_json_line_says_the_same(record: Record) -> None:
    said = json.loads(json_line(record))
    assert said["path"] == "/reviews/0"
    assert said["response_code"] == 200
    assert said["duration"] == 21.4
    assert said["upstream_host"] == "10.0.0.3:9080"
    assert said["traceparent"] is None
    assert said["destination"] == {"service": "reviews", "version": "v2", "workload": "shop-reviews-1"}


@pytest.mark.parametrize("form", [text_line, json_line])
def test_hostile_bytes_can_neither_forge_a_line_nor_reach_the_terminal(
    record: Record, form: Callable[[Record], str]
) -> None:
    record.path = '/a"\r\n[forged] "GET / HTTP" 200\x1b[2J\x00\x7f\x9b\u2028\ud800?Authorization=Basic'
    record.user_agent = "\\x1b\x1b]0;owned\x07"
    record.authority = "b\u202emoc"
    line = form(record)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    assert re.fullmatch(r"[ -~]+", line[:-1])
    assert "Basic" not in line
    if form is json_line:
        assert json.loads(line)["user_agent"] == record.user_agent


async def lines(descriptor: int, count: int) -> list[str]:
    data = b""
    stream = trio.lowlevel.FdStream(os.dup(descriptor))
    with trio.fail_after(5):
        async with stream:
            while data.count(b"\n") < count:
                data += await stream.receive_some()
    return data.decode().splitlines()


def sinks(hub: Hub, descriptor: int) -> Sinks:
    return Sinks(hub, lambda name, config: AccessLogSink(config, descriptor))


async def test_off_by_default_and_switched_live(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], pipe: tuple[int, int]
) -> None:
    snapshot = Latest(mode(AccessLog.OFF))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sinks(hub, pipe[1]).run, snapshot)
        await trio.testing.wait_all_tasks_blocked()
        assert hub.feeds == ()
        tell(peer("a"), peer("silent"))

        snapshot.publish(mode(AccessLog.TEXT))
        await trio.testing.wait_all_tasks_blocked()
        tell(peer("a"), peer("text"))
        (line,) = await lines(pipe[0], 1)
        assert line.endswith("a/v1 text/v1")

        snapshot.publish(mode(AccessLog.JSON))
        await trio.testing.wait_all_tasks_blocked()
        tell(peer("a"), peer("json"))
        (line,) = await lines(pipe[0], 1)
        assert json.loads(line)["destination"]["service"] == "json"

        snapshot.publish(mode(AccessLog.OFF))
        await trio.testing.wait_all_tasks_blocked()
        assert hub.feeds == ()
        nursery.cancel_scope.cancel()


async def test_what_waits_at_the_end_is_still_written(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], pipe: tuple[int, int]
) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sinks(hub, pipe[1]).run, Latest(mode(AccessLog.TEXT)))
        await trio.testing.wait_all_tasks_blocked()
        for number in range(300):
            tell(peer("a"), peer(f"b{number}"))
        nursery.cancel_scope.cancel()
    written = await lines(pipe[0], 300)
    assert [line.rsplit(" ", 1)[1] for line in written] == [f"b{number}/v1" for number in range(300)]
    assert hub.feeds == ()


async def test_a_reader_that_does_not_read_costs_lines_and_not_time(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], pipe: tuple[int, int]
) -> None:
    """The pipe is full and a thread waits: requests go on, the rest is lost and counted, the end does not hang."""
    os.set_blocking(pipe[1], False)
    while True:
        try:
            os.write(pipe[1], b"x" * 4096)
        except BlockingIOError:
            break
    sink = sinks(hub, pipe[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sink.run, Latest(mode(AccessLog.TEXT)))
        await trio.testing.wait_all_tasks_blocked()
        records = sink.running["access_log"].records
        for _ in range(MOST_WAITING + 1000):
            tell(peer("a"), peer("b"))
        await trio.testing.wait_all_tasks_blocked()
        assert records.lost == 1000
        (problem,) = sink.problems()
        assert problem.code == "records-lost"
        assert "1000 records" in problem.message
        nursery.cancel_scope.cancel()
        cancelled = trio.current_time()
    assert trio.current_time() - cancelled < 2
    assert records.lost + records.taken == MOST_WAITING + 1000
    os.close(pipe[0])  # lets the abandoned thread go


async def test_a_reader_that_has_gone_is_survived(
    hub: Hub, tell: Tell, peer: Callable[..., Peer], pipe: tuple[int, int]
) -> None:
    os.close(pipe[0])
    sink = sinks(hub, pipe[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sink.run, Latest(mode(AccessLog.TEXT)))
        await trio.testing.wait_all_tasks_blocked()
        for expected in (1, 2):
            tell(peer("a"), peer("b"))
            with trio.fail_after(5):
                while sink.running["access_log"].records.lost < expected:
                    await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
