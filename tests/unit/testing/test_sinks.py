"""`check_sink`: built-in sinks pass it, and each way to break the contract is told from the others."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from composemesh.model.snapshot import AccessLog
from composemesh.plugin import Record
from composemesh.telemetry.sinks.access_log import AccessLogSink
from composemesh.testing import Broken, Records, check_sink


@pytest.fixture
def nowhere() -> Iterator[int]:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("mode", [AccessLog.TEXT, AccessLog.JSON])
async def test_the_access_log_passes(nowhere: int, mode: AccessLog) -> None:
    await check_sink(lambda: AccessLogSink(mode, nowhere))


class Keeper:
    """A sink that keeps its contract."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    async def run(self, records: Records) -> None:
        async for record in records:
            self.take(record)

    def take(self, record: Record) -> None:
        self.kept.append(record.path)


class Deaf(Keeper):
    async def run(self, records: Records) -> None:
        await trio.sleep_forever()


class Hasty(Keeper):
    async def run(self, records: Records) -> None:
        await records.take(1)


class Impatient(Keeper):
    async def run(self, records: Records) -> None:
        while len(records):
            await records.take()


class Fragile(Keeper):
    def take(self, record: Record) -> None:
        self.kept.append(record.path.encode())  # type: ignore[arg-type]


class Blocking(Keeper):
    async def run(self, records: Records) -> None:
        async for record in records:
            self.take(record)
        time.sleep(0.15)


class Slow(Keeper):
    def take(self, record: Record) -> None:
        began = time.process_time()
        while time.process_time() - began < 0.0002:
            pass


class Stubborn(Keeper):
    """Makes an exception of its own out of a cancellation."""

    async def run(self, records: Records) -> None:
        try:
            await super().run(records)
        except trio.Cancelled:
            raise RuntimeError("not now") from None


class Possessive(Keeper):
    """Keeps what only one can have, and gives it back only when the records end."""

    taken = False

    async def run(self, records: Records) -> None:
        if Possessive.taken:
            raise OSError("address already in use")
        Possessive.taken = True
        await super().run(records)
        Possessive.taken = False


async def test_a_sink_that_keeps_its_contract_passes() -> None:
    await check_sink(Keeper)


@pytest.mark.parametrize(
    ("sink", "seen", "instead"),
    [
        (Deaf, "still ran 0.2 s after its records had ended", "Return when `async for record in records` is over"),
        (Hasty, "left 2 records behind", "Read until the loop"),
        (Impatient, "returned while there were no records", "Wait for them"),
        (Fragile, "UnicodeEncodeError", "escape or replace"),
        (Blocking, "kept everybody else from running", "no time.sleep"),
        (Slow, "µs of CPU time a record, and 100 are allowed", "Count in run()"),
        (Stubborn, "answered its cancellation with RuntimeError", "raise nothing there"),
        (Possessive, "did not take over", "in a `with` block"),
    ],
)
async def test_a_broken_one_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, sink: Any, seen: str, instead: str
) -> None:
    monkeypatch.setattr("composemesh.testing.sinks.PATIENCE", 0.2 if sink is Deaf else 5.0)
    monkeypatch.setattr(Possessive, "taken", False)
    with pytest.raises(Broken) as broken:
        await check_sink(sink)
    assert seen in str(broken.value)
    assert instead in str(broken.value)
    assert sink.__name__ in str(broken.value)


async def test_a_maker_must_make() -> None:
    one = Keeper()
    with pytest.raises(Broken, match="given twice"):
        await check_sink(lambda: one)
