"""No two parsers in a row disagree on where a request ends: ours, then nginx's, Envoy's, gunicorn's and Node's."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from composemesh.proxy.codec import h1 as codec
from composemesh.proxy.upstream import h1
from peers.servers import NEEDS, SERVERS
from wire import agreement, downgrade

MUTANTS = 200
ODD = 200


@pytest.mark.parametrize("name", SERVERS)
async def test_ours_and_theirs_see_the_same_requests(
    name: str, programs: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs(*NEEDS[name])
    dice = random.Random(7230)
    async with agreement.facing(name, tmp_path) as pair:
        for raw in agreement.recorded():
            await pair.judge(raw)
        recorded = pair.seen
        for _, raw in zip(range(MUTANTS), agreement.mutants(dice), strict=False):
            await pair.judge(raw)
    with capsys.disabled():
        print(f"\n  {name}: {pair.seen} requests seen alike, {recorded} recorded; {pair.refused} refused by it alone")
    assert pair.disagreements == []
    assert pair.seen > MUTANTS


@pytest.mark.parametrize("name", SERVERS)
async def test_http2_made_http1_is_what_the_server_sees(
    name: str, programs: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    programs(*NEEDS[name])
    async with downgrade.facing(name, tmp_path) as pair:
        for _, case in zip(range(ODD), downgrade.cases(random.Random(9113)), strict=False):
            await pair.judge(*case)
    with capsys.disabled():
        print(f"\n  {name}: {ODD} odd requests in HTTP/2, {pair.seen} of them served and seen alike")
    assert pair.disagreements == []
    assert pair.seen > ODD / 10


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar that forgets to say how long a request is."""
    encode = codec.encode_request

    def without_length(*parts: Any) -> bytes:
        return re.sub(rb"(?i)content-length: \d+\r\n", b"", encode(*parts))

    monkeypatch.setattr(h1, "encode_request", without_length)


@pytest.mark.usefixtures("careless")
@pytest.mark.interpreted
async def test_a_smuggled_request_would_be_seen(tmp_path: Path) -> None:
    async with agreement.facing("gunicorn", tmp_path) as pair:
        await pair.judge(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + downgrade.SMUGGLED)
    assert pair.disagreements


@pytest.mark.usefixtures("careless")
@pytest.mark.interpreted
async def test_a_request_smuggled_from_http2_would_be_seen(tmp_path: Path) -> None:
    head = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
    async with downgrade.facing("gunicorn", tmp_path) as pair:
        await pair.judge([*head, (b"content-length", b"35")], downgrade.SMUGGLED, [])
    assert pair.disagreements
