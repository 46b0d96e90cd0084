"""`check_source`: built-in sources pass it, and each way to break the contract is told from the others."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from composemesh.discovery.static import StaticSource
from composemesh.model.workload import Attachment, Discovered, Workload
from composemesh.testing import Broken, check_source, make_workload

ONE = make_workload("reviews-1", "reviews", "10.0.0.1", "fd00::1")


async def test_the_static_source_passes() -> None:
    found = await check_source(lambda: StaticSource([ONE]))
    assert found.workloads == (ONE,)
    assert (await check_source(lambda: StaticSource([]))).workloads == ()


class Saying:
    """A source that publishes what it is made of, and stays."""

    def __init__(self, *workloads: Workload, trouble: str = "") -> None:
        self.state = Discovered(workloads, trouble=trouble)

    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        publish(self.state)
        await trio.sleep_forever()


class Silent(Saying):
    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        await trio.sleep_forever()


class Leaving(Saying):
    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        publish(self.state)


class Failing(Saying):
    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        raise OSError("no such engine")


class Piecemeal(Saying):
    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        publish(self.state.workloads)  # type: ignore[arg-type]
        await trio.sleep_forever()


class Numbering(Saying):
    """Gives a workload another id at each look."""

    numbers = itertools.count()

    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        publish(Discovered((replace(ONE, id=f"id-{next(self.numbers)}"),)))
        await trio.sleep_forever()


class Spinning(Saying):
    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        publish(self.state)
        while True:
            await trio.lowlevel.checkpoint()


class Blocking(Saying):
    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        time.sleep(0.15)
        await super().watch(publish)


class Lingering(Saying):
    """Goes on after its end, as something in a thread may."""

    async def watch(self, publish: Callable[[Discovered], object]) -> None:
        publish(self.state)
        try:
            await trio.sleep_forever()
        finally:
            trio.lowlevel.spawn_system_task(self._later, publish)

    async def _later(self, publish: Callable[[Discovered], object]) -> None:
        await trio.sleep(0.01)
        publish(self.state)


def placed(address: str) -> Workload:
    return replace(ONE, attachments=(Attachment("host", "host", (address,)),))


@pytest.mark.parametrize(
    ("source", "given", "seen", "instead"),
    [
        (Silent, (), "published nothing within 0.2 s", "Publish Discovered()"),
        (Leaving, (), "returned", "sleep_forever"),
        (Failing, (), "no such engine", "watches again a little later"),
        (Piecemeal, (ONE,), "published (Workload", "always all of them"),
        (Numbering, (), "when it was watched again", "the same `id`"),
        (Spinning, (), "of a core while nothing changed", "Wait for an event"),
        (Blocking, (), "kept everybody else from running", "no time.sleep"),
        (Lingering, (), "went on publishing", "no threads that outlive it"),
        (Saying, (ONE, ONE), "two workloads with the id 'reviews-1'", "an id of its own"),
        (Saying, (placed("reviews.local"),), "reviews.local", "resolve names"),
        (Saying, (placed("10.0.0.01"),), "10.0.0.01", "as `ipaddress` prints it"),
        (Saying, (replace(ONE, attachments=()),), "attachments=()", "stands nowhere"),
        (Saying, (replace(ONE, name="a\nb"),), "a\\nb", "printable"),
        (Saying, (replace(ONE, compose_service=""),), "compose_service=''", "`compose_service` must be"),
        (Saying, (replace(ONE, ports=(80, 8)),), "(80, 8)", "ascending"),
        (Saying, (replace(ONE, ports=(0,)),), "(0,)", "from 1 to 65535"),
        (Saying, ("reviews",), "'reviews' as a workload", "Make a Workload"),
    ],
)
async def test_a_broken_one_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, source: Any, given: Any, seen: str, instead: str
) -> None:
    monkeypatch.setattr("composemesh.testing.sources.PATIENCE", 0.2 if source is Silent else 5.0)
    monkeypatch.setattr("composemesh.testing.sources.IDLE", 0.1)
    with pytest.raises(Broken) as broken:
        await check_source(lambda: source(*given))
    assert seen in str(broken.value)
    assert instead in str(broken.value)


async def test_trouble_is_a_sentence() -> None:
    with pytest.raises(Broken, match="Write a sentence"):
        await check_source(lambda: Saying(trouble="ECONNREFUSED"))
