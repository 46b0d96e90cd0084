"""No two parsers in a row disagree on where a request ends: ours, then nginx's, Envoy's, gunicorn's and Node's."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from composemesh.proxy.upstream import h1
from peers.servers import NEEDS, SERVERS
from wire import agreement

MUTANTS = 300


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


async def test_a_smuggled_request_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = h1.encode_request

    def without_length(*parts: Any) -> bytes:
        return encode(*parts).replace(b"Content-Length: 35\r\n", b"")

    monkeypatch.setattr(h1, "encode_request", without_length)
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    async with agreement.facing("gunicorn", tmp_path) as pair:
        await pair.judge(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + smuggled)
    assert "target=b'/smuggled'" in "".join(pair.disagreements)
