"""Peers and records by few words, and a clock that stands still until it is moved."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from composemesh.model.flag import Flag
from composemesh.model.peer import Peer, PeerKind
from composemesh.model.record import Record
from composemesh.telemetry.hub import Hub

Tell = Callable[..., Record]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(clock: Clock) -> Hub:
    return Hub(clock)


@pytest.fixture
def peer() -> Callable[..., Peer]:
    def make(name: str, kind: PeerKind = PeerKind.SERVICE, *, captured: bool = True) -> Peer:
        service, _, version = name.partition("/")
        return Peer(service, version or "v1", f"shop-{service}-1", kind, captured=captured)

    return make


@pytest.fixture
def tell(hub: Hub) -> Tell:
    def say(
        source: Peer,
        destination: Peer,
        code: int = 200,
        *,
        flag: Flag = Flag.NONE,
        duration: float = 0.02,
        protocol: str = "http",
        sent: int = 100,
        received: int = 10,
    ) -> Record:
        record = Record(source, destination, protocol)
        record.response_code, record.flag, record.duration = code, flag, duration
        record.bytes_sent, record.bytes_received = sent, received
        hub.tell(record)
        return record

    return say
