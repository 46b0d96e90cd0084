"""What the log says about requests that fail: short, and not as often as they come."""

from __future__ import annotations

from typing import Any

import structlog
import trio

from composemesh.admin.guard import EVERY, Guard


async def test_requests_that_fail_fill_no_disk(autojump_clock: trio.abc.Clock) -> None:
    async def failing(*_: object) -> None:
        raise ValueError("x" * 10_000)

    guard = Guard(failing, "")
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "path": "/" + "a" * 10_000,
        "headers": [],
        "server": None,
    }

    async def receive() -> dict[str, object]:
        return {}

    async def send(_: object) -> None:
        pass

    with structlog.testing.capture_logs() as lines:
        for _ in range(100):
            await guard(scope, receive, send)
        await trio.sleep(EVERY)
        await guard(scope, receive, send)
    assert [line.get("more", 0) for line in lines] == [0, 99]
    assert all(len(line["path"]) <= 301 and len(line["problem"]) <= 301 for line in lines)
