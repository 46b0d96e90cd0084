"""Many requests, one connection to be made for all of them: they share it, and its failure."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from composemesh.model.policy import ConnectionLimits
from composemesh.model.record import unreached
from composemesh.model.workload import Workload
from composemesh.proxy.checkout import _link
from composemesh.proxy.cluster import Endpoint, Target
from composemesh.proxy.limits import Limits
from composemesh.proxy.pool import NO_LIMITS, Pool
from composemesh.proxy.reactor import Reactor
from composemesh.proxy.refuse import Broken

REQUESTS = 10


class Here:
    """Counts what is dialled from it."""

    def __init__(self) -> None:
        self.dialled = 0

    def socket(self, family: int) -> socket.socket:
        self.dialled += 1
        made = socket.socket(family)
        made.setblocking(False)
        return made


@pytest.mark.parametrize("counted", [False, True])
async def test_who_waits_for_a_connection_shares_its_failure(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, counted: bool
) -> None:
    """The server's queue is full, so that a dial is not even refused."""
    reactor, here = Reactor(), Here()
    nursery.start_soon(reactor.run)
    endpoint = Endpoint(Workload("w", "w", "app", "t", 1), unreached("app"))
    settings = ConnectionLimits(max_connections=5)
    failed = 0
    with socket.socket() as server, socket.socket() as first, socket.socket() as second:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        host, port = server.getsockname()
        for filling in (first, second):
            filling.setblocking(False)
            filling.connect_ex((host, port))
        target = Target(endpoint, host, here, endpoint.pools)
        limits = Limits(settings)
        pool = Pool((host, port), limits if counted else None)

        async def ask() -> None:
            nonlocal failed
            with pytest.raises(Broken) as broken:
                await _link(pool, target, port, reactor)
            assert not broken.value.connected
            assert "no answer in" in broken.value.detail
            failed += 1

        began = trio.current_time()
        async with trio.open_nursery() as requests:
            for _ in range(REQUESTS):
                requests.start_soon(ask)
        assert failed == REQUESTS
        assert here.dialled == 1
        assert limits.connections == 0
        assert trio.current_time() - began < 1.5 * NO_LIMITS.connect_timeout
    nursery.cancel_scope.cancel()
