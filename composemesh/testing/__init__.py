"""What the tests of a plugin need: suites that say whether it keeps its contract, and values to try it with.

    from composemesh.testing import check_sink

    async def test_my_sink() -> None:
        await check_sink(lambda: MySink(MySink.Config(address="127.0.0.1:9125")))

`check_filter` `check_source` `check_sink` `check_balancer` `check_kind` are given a maker and test what it makes, as
the mesh would use it; each raises Broken with what it saw and what to write instead. Built-ins pass the same suites.
`running_mesh` is a whole mesh on loopback, for what only a request can show.
"""

from __future__ import annotations

from composemesh.telemetry.records import Records
from composemesh.testing.balancers import Choice, check_balancer
from composemesh.testing.broken import Broken
from composemesh.testing.exchange import MemoryExchange
from composemesh.testing.filters import check_filter
from composemesh.testing.http import Request, Response, echo
from composemesh.testing.kinds import check_kind
from composemesh.testing.mesh import RunningMesh, running_mesh
from composemesh.testing.sinks import check_sink
from composemesh.testing.sources import check_source
from composemesh.testing.values import HOSTILE_TEXTS, hostile_records, make_peer, make_record, make_workload

__all__ = [
    "HOSTILE_TEXTS",
    "Broken",
    "Choice",
    "MemoryExchange",
    "Records",
    "Request",
    "Response",
    "RunningMesh",
    "check_balancer",
    "check_filter",
    "check_kind",
    "check_sink",
    "check_source",
    "echo",
    "hostile_records",
    "make_peer",
    "make_record",
    "make_workload",
    "running_mesh",
]
