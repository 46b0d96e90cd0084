"""The sink against a real receiver: UDP and Unix datagrams, aggregation over an interval, and nobody there."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from composemesh.testing import Records, check_sink, hostile_records, make_peer, make_record
from composemesh_statsd.config import StatsDConfig
from composemesh_statsd.outlet import UDP_SIZE, UNIX_SIZE
from composemesh_statsd.sink import StatsD
from composemesh_statsd.tally import LABELS
from plugins.statsd.tests.receiver import Metric, Receiver


@pytest.fixture(params=["udp", "unix"])
async def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Receiver]:
    made = Receiver(tmp_path / "dsd.socket" if request.param == "unix" else None)
    await made.open()
    yield made
    made.close()


def requests(metrics: list[Metric]) -> float:
    return sum(metric.value for metric in metrics if metric.name.endswith("requests"))


async def test_a_report_arrives_after_the_interval_and_at_the_end(receiver: Receiver, nursery: trio.Nursery) -> None:
    records = Records()
    sink = StatsD(StatsDConfig(address=receiver.address, dialect="dogstatsd", interval=0.1))
    nursery.start_soon(sink.run, records)
    for _ in range(5):
        records.put(make_record())
    told = await receiver.metrics(lambda metrics: requests(metrics) == 5)
    assert told[0].tags == (("source", "productpage"), ("destination", "reviews"), ("version", "v2"), ("code", "200"))
    records.put(make_record(code=503))
    records.end()
    told = await receiver.metrics(lambda metrics: requests(metrics) == 1)
    assert told[0].tags[-1] == ("code", "503")
    assert records.lost == 0


async def test_counts_add_up_over_many_records_and_reports(receiver: Receiver, nursery: trio.Nursery) -> None:
    records, count = Records(), 20_000
    nursery.start_soon(StatsD(StatsDConfig(address=receiver.address, interval=0.1)).run, records)
    for number in range(count):
        records.put(make_record(code=200 + number % 3))
        if number % 1000 == 0:
            await trio.sleep(0.005)  # requests come over time
    records.end()
    told = await receiver.metrics(lambda metrics: requests(metrics) == count)
    assert {metric.name for metric in told if metric.kind == "c"} == {
        f"composemesh.productpage.reviews.v2.{200 + code}.{what}"
        for code in range(3)
        for what in ("requests", "request_bytes", "response_bytes")
    }
    assert records.lost == 0


async def test_datagrams_are_full_and_no_larger_than_they_may_be(receiver: Receiver, nursery: trio.Nursery) -> None:
    records = Records()
    nursery.start_soon(StatsD(StatsDConfig(address=receiver.address, by=("destination", "path"))).run, records)
    for number in range(500):
        records.put(make_record(f"/a/long/path/to/{number}", destination=make_peer("a-service-with-a-long-name")))
    records.end()
    told = await receiver.metrics(lambda metrics: requests(metrics) == 500)
    size = UNIX_SIZE if receiver.address.startswith("unix") else UDP_SIZE
    assert max(map(len, receiver.datagrams)) <= size
    assert all(len(datagram) > 0.8 * size for datagram in receiver.datagrams[:-1])
    assert len(told) == 500 * 5


async def test_what_callers_make_up_forges_nothing(receiver: Receiver, nursery: trio.Nursery) -> None:
    """The receiver refuses what is no sound line; here it takes every one."""
    given = list(hostile_records())
    for dialect in ("statsd", "dogstatsd"):
        records = Records()
        for record in given:
            records.put(record)
        records.end()
        sink = StatsD(StatsDConfig(address=receiver.address, dialect=dialect, by=tuple(LABELS)))  # type: ignore[arg-type]
        await sink.run(records)
        told = await receiver.metrics(lambda metrics: requests(metrics) == len(given))
        assert not [metric for metric in told if "forged" in metric.name.split(".")]
        assert not [value for metric in told for name, value in metric.tags if name == "team"]


@pytest.mark.parametrize("kind", ["udp", "unix"])
async def test_where_nobody_listens_records_are_lost_and_counted_and_later_ones_arrive(
    kind: str, tmp_path: Path, nursery: trio.Nursery
) -> None:
    receiver = Receiver(tmp_path / "dsd.socket" if kind == "unix" else None)
    port = 0
    if kind == "udp":  # a port that was free a moment ago
        await receiver.open()
        port = int(receiver.address.rpartition(":")[2])
        receiver.close()
        receiver = Receiver()
    address = f"127.0.0.1:{port}" if port else f"unix://{tmp_path / 'dsd.socket'}"
    records = Records()
    sink = StatsD(StatsDConfig(address=address, interval=0.1, by=("path",)))
    nursery.start_soon(sink.run, records)
    with trio.fail_after(10):
        while not records.lost:  # of UDP, only a second datagram of a report learns of it
            for number in range(200):
                records.put(make_record(f"/{number}"))
            await trio.sleep(0.05)
    assert "nobody listens" in repr(sink)
    await receiver.open(port)
    with trio.fail_after(10):
        while "well" not in repr(sink):
            records.put(make_record("/again"))
            await trio.sleep(0.05)
    assert await receiver.metrics(lambda metrics: any("_again" in metric.name for metric in metrics))
    receiver.close()


async def test_a_name_that_does_not_resolve_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> object:
        raise OSError(errno.ENOENT, "Name or service not known")

    monkeypatch.setattr("trio.socket.getaddrinfo", unknown)
    records = Records()
    records.put(make_record())
    records.end()
    await StatsD(StatsDConfig(address="statsd.invalid:8125")).run(records)
    assert records.lost == 1


async def test_a_receiver_that_does_not_read_costs_the_report_and_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("composemesh_statsd.outlet.PATIENCE", 0.1)
    receiver = Receiver(tmp_path / "dsd.socket")
    await receiver.open()
    sink, lost = StatsD(StatsDConfig(address=receiver.address, by=("path",))), []
    for _ in range(10):
        records = Records()
        for number in range(1000):
            records.put(make_record(f"/{number}"))
        records.end()
        with trio.fail_after(5):
            await sink.run(records)
        lost.append(records.lost)
    assert lost[-1] == 1000, "its queue is full for good"
    assert "does not read" in repr(sink)
    receiver.close()


async def test_it_passes_the_conformance_suite(receiver: Receiver) -> None:
    await check_sink(lambda: StatsD(StatsDConfig(address=receiver.address, interval=0.2)))
