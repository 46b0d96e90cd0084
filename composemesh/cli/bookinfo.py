"""What the demo knows of Bookinfo: its processes, somebody who reads the page, and who has to have a part in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from composemesh.stack.processes import Process

Json = Mapping[str, Any]

PORT = 9080
PAGE = "/productpage"
PATIENCE = 15.0
"""Seconds to wait for the page: a little longer than reviews and productpage can take, timeouts and all."""

CALLS = (("productpage", "details"), ("productpage", "reviews"), ("reviews", "ratings"))
SERVICES = ("productpage", "details", "reviews v1", "reviews v2", "reviews v3", "ratings")


def bookinfo(folder: Path) -> tuple[Process, ...]:
    """Bookinfo's six processes, as its compose.yaml has six containers."""
    source = folder / "src"

    def reviews(version: str, **environment: str) -> Process:
        return Process(
            f"reviews-{version}",
            source / "reviews.py",
            PORT,
            aliases=("reviews",),
            calls=("ratings",),
            environment={"SERVICE_VERSION": version, **environment},
        )

    return (
        Process(
            "productpage",
            source / "productpage.py",
            PORT,
            calls=("details", "reviews", "ratings"),
            published=PORT,
        ),
        Process("details", source / "details.py", PORT),
        reviews("v1"),
        reviews("v2", ENABLE_RATINGS="true", STAR_COLOR="black"),
        reviews("v3", ENABLE_RATINGS="true", STAR_COLOR="red"),
        Process("ratings", source / "ratings.py", PORT),
    )


@dataclass(slots=True)
class Reader:
    """Asks for the page again and again, never faster than a patient person with ten tabs open."""

    host: str
    port: int
    per_second: float = 10.0
    answered: int = 0
    failed: int = 0

    @property
    def asked(self) -> int:
        return self.answered + self.failed

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}{PAGE}"

    async def read(self, most: int | None = None) -> None:
        """Ask one at a time until `most` requests have been made, or for ever."""
        while most is None or self.asked < most:
            began = trio.current_time()
            if await self.ask() == 200:
                self.answered += 1
            else:
                self.failed += 1
            await trio.sleep_until(began + 1 / self.per_second)

    async def ask(self) -> int:
        """The status of the page; 0 where no whole answer came."""
        request = f"GET {PAGE} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nConnection: close\r\n\r\n"
        answer = b""
        with trio.move_on_after(PATIENCE):
            try:
                async with await trio.open_tcp_stream(self.host, self.port) as stream:
                    await stream.send_all(request.encode())
                    async for data in stream:
                        answer += data
            except (OSError, trio.BrokenResourceError):
                return 0
        words = answer.split(maxsplit=2)
        return int(words[1]) if len(words) > 1 and answer.rstrip().endswith(b"</html>") else 0


def missing(graph: Json) -> list[str]:
    """Who did not answer, and which call was not made, as the mesh itself saw it: empty where all is well."""
    answered, calls = set(), set()
    for source, destination in _good(graph):
        answered |= {destination["service"], f"{destination['service']} {destination['version']}"}
        calls.add((source["service"], destination["service"]))
    silent = [service for service in SERVICES if service not in answered]
    return silent or [f"the call {source} → {callee}" for source, callee in CALLS if (source, callee) not in calls]


def _good(graph: Json) -> Iterator[tuple[Json, Json]]:
    """Both ends of every HTTP edge that saw at least one good answer."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    for edge in graph["edges"]:
        if edge["protocol"] == "http" and edge["requests"] > edge["errors"]:
            yield nodes[edge["source"]], nodes[edge["destination"]]
