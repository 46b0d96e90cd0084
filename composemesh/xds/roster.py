"""Who is connected, what each has, and what it refused: for `status`, and as Problems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Protocol

from composemesh.model.problem import Problem, Severity
from composemesh.xds.watch import Watch

MOST_WORDS = 300
"""Characters of a client's own words that are shown."""
MOST_ROWS = 1000
MOST_PROBLEMS = 20
MOST_NAMED = 3
"""Clients, or resources, in one Problem."""
_UNFIT = re.compile(
    r"[^\x20-\x7e\xa1-\xac\xae-\u1fff\u2010-\u2027\u2030-\u205e\u2070-\ud7ff\uf900-\ufdff\uff01-\ufffb]+"
)
"""What has no place in a line: control characters, and those that turn text around. Envoy's texts are in ASCII."""


class Member(Protocol):
    """A stream, or somebody who polls."""

    node: str
    """The client's id, as it says."""
    address: str

    @property
    def watches(self) -> Iterable[Watch]: ...


class Roster:
    """All clients at this moment."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}

    def __repr__(self) -> str:
        return f"<Roster {len(self._members)} members>"

    def add(self, member: Member) -> None:
        self._members[id(member)] = member

    def remove(self, member: Member) -> None:
        self._members.pop(id(member), None)

    def rows(self) -> list[dict[str, Any]]:
        """`status.xds`: a row for each client and type."""
        rows = (
            {
                "node": clean(member.node, 100),
                "address": member.address,
                "type": watch.type.word,
                "version": watch.version,
                "state": watch.state,
                "refused": [clean(name, 200) for name in watch.refused[:MOST_PROBLEMS]],
                "message": clean(watch.words),
            }
            for member in self._sorted()
            for watch in member.watches
        )
        return list(islice(rows, MOST_ROWS))

    def problems(self) -> list[Problem]:
        """A Problem for each resource that clients refused, whoever refused it."""
        refusals: dict[tuple[str, tuple[str, ...]], list[tuple[Member, str]]] = {}
        for member in self._sorted():
            for watch in member.watches:
                if watch.words:
                    key = (watch.type.word, watch.refused)
                    refusals.setdefault(key, []).append((member, watch.words))
        return [_problem(word, names, who) for (word, names), who in list(refusals.items())[:MOST_PROBLEMS]]

    def _sorted(self) -> Iterator[Member]:
        yield from sorted(self._members.values(), key=lambda member: (member.node, member.address))


def clean(text: str, most: int = MOST_WORDS) -> str:
    """What a client said, in one line of characters that can be shown."""
    line = " ".join(_UNFIT.sub(" ", text[: 4 * most]).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def _problem(word: str, names: tuple[str, ...], who: list[tuple[Member, str]]) -> Problem:
    shown = _listed([clean(name, 100) for name in names])
    clients = _listed([clean(member.node, 60) or member.address for member, _ in who])
    refuse = "refuses" if len(who) == 1 else "refuse"
    what = f"{word} {shown}" if names else f"its {word}s"
    return Problem(
        Severity.WARNING,
        "xds-refused",
        f"xDS client {clients} {refuse} {what}: {clean(who[0][1])}",
        "It goes on with what it had, and gets the rest. Change what makes this resource, or the client.",
        resource=f"{word} {shown}" if names else "",
    )


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
