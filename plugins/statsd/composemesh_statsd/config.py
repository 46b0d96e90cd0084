"""What `x-mesh: {sinks: {statsd: …}}` may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from composemesh.plugin import Seconds, matching, setting
from composemesh_statsd.outlet import outlet

SHORTEST, LONGEST = 0.1, 3600.0
"""Seconds between two reports."""
MOST_TAGS = 16

Label = Literal[
    "source",
    "destination",
    "version",
    "workload",
    "protocol",
    "code",
    "flag",
    "grpc_status",
    "method",
    "authority",
    "path",
    "route",
]


@dataclass(frozen=True)
class StatsDConfig:
    """The settings of the sink, with what it does where nothing is said."""

    address: str = setting("Who gets the reports: HOST:PORT, or unix:///PATH.", "127.0.0.1:8125")
    dialect: Literal["statsd", "dogstatsd"] = setting("Whether labels are parts of the name, or tags.", "statsd")
    prefix: Annotated[
        str, matching(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,3}", "words with dots between")
    ] = setting("What every name begins with.", "composemesh")
    interval: Seconds = setting("How often a report is sent.", 10.0)
    by: tuple[Label, ...] = setting("What the metrics are split by.", ("source", "destination", "version", "code"))
    tags: Mapping[str, str] = setting("Tags of every metric; dogstatsd only.", make=dict)

    def __post_init__(self) -> None:
        try:
            outlet(self.address)
        except ValueError as problem:
            raise ValueError(f"address {self.address!r:.80} {problem}") from None
        if not SHORTEST <= self.interval <= LONGEST:
            raise ValueError(f"interval must be from {SHORTEST:g}s to {LONGEST:g}s")
        if self.tags and self.dialect != "dogstatsd":
            raise ValueError("tags need dialect: dogstatsd, plain StatsD has none")
        if len(self.tags) > MOST_TAGS:
            raise ValueError(f"at most {MOST_TAGS} tags are possible")
        for name in self.tags:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,63}", name):
                raise ValueError(f"tag {name!r:.80} must begin with a letter and be made of letters, digits, _ and -")
