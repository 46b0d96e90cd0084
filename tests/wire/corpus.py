"""The recorded cases: raw messages with the verdicts of others. They live beside the project, not in it."""

from __future__ import annotations

import base64
import functools
import json
import zlib
from dataclasses import dataclass

import pytest

from environment.folder import SHARED


@dataclass(frozen=True, slots=True)
class Row:
    """One case. The fields' meaning is told by the corpus's own README."""

    id: str
    type: str
    kind: str
    expect: str
    level: str
    raw: bytes
    n: int
    close: bool
    client: bytes
    """What the client had sent, where a response answers more than a GET."""
    before: int
    """Good exchanges on the same connection before this one."""
    agree: str
    note: str

    @property
    def method(self) -> bytes:
        return self.client.partition(b" ")[0] or b"GET"


@functools.cache
def rows() -> tuple[Row, ...]:
    """Every row of the corpus; none where it is not on this machine."""
    folder = SHARED / "data" / "http1"
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as lines:
            found += [_row(json.loads(line)) for line in lines]
    return tuple(found)


def needed() -> tuple[Row, ...]:
    """The rows, or the test that asks is skipped with a line that says what to do."""
    if not rows():
        pytest.skip("the HTTP/1 corpus is not here: set COMPOSEMESH_SHARED to the folder that holds data/http1")
    return rows()


def _row(said: dict[str, object]) -> Row:
    def text(key: str) -> str:
        return str(said.get(key) or "")

    raw = base64.b64decode(text("raw_base64")) or zlib.decompress(
        base64.b64decode(text("raw_zlib_base64") or _NOTHING)
    )
    client = base64.b64decode(text("client_base64"))
    return Row(
        id=text("id"),
        type=text("type"),
        kind=text("kind"),
        expect=text("expect"),
        level=text("level"),
        raw=raw,
        n=int(text("n") or 1),
        close=bool(said.get("close")),
        client=client,
        before=int(text("before") or 0),
        agree=text("agree"),
        note=text("note"),
    )


_NOTHING = base64.b64encode(zlib.compress(b"")).decode()
