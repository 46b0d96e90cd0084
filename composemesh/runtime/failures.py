"""What plugins do wrong, whatever their role: counted, told in the log now and then, and for a while a Problem.

Whoever runs what a plugin brought along counts here what comes of it: each filter, source and sink in its place, each
balancer, each kind of document. What is done instead is the caller's own affair.
"""

from __future__ import annotations

import os
import sysconfig
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

from composemesh.model.origin import NOWHERE, Origin
from composemesh.model.problem import Problem, Severity

log = structlog.get_logger()

LOG_EVERY = 10.0
"""Seconds between two lines in the log about one plugin in one place."""
RECENTLY = 60.0
"""Seconds for which a failure is a Problem."""


class Mistaken(Exception):
    """What a plugin has done, or left undone, that none may. The text says it to its author, as a clause: "it …"."""


class Failures:
    """How often one thing of a plugin's has failed, and why the last time."""

    __slots__ = ("_at", "_told", "_told_at", "last", "name", "number", "role")

    def __init__(self, role: str, name: str) -> None:
        self.role = role
        """`filter`, `source`, `sink`, `balancer` or `kind`."""
        self.name = name
        self.number = 0
        self.last = ""
        """The last failure in words; or why it can't be used at all."""
        self._at = self._told_at = float("-inf")
        self._told = 0

    def __repr__(self) -> str:
        return f"<Failures of {self}: {self.number}>"

    def __str__(self) -> str:
        return f"{self.role} {self.name}"

    @property
    def recent(self) -> bool:
        """Whether the last one is less than a minute ago."""
        return time.monotonic() - self._at < RECENTLY

    def count(self, problem: BaseException, origin: Origin = NOWHERE) -> None:
        """One more. `origin` is where the configuration asks for the plugin."""
        now = time.monotonic()
        self.number += 1
        self.last = said(problem)
        self._at = now
        if now - self._told_at >= LOG_EVERY:
            where = {} if origin is NOWHERE else {"at": str(origin)}
            times = self.number - self._told
            log.warning(f"{self.role} failed", **{self.role: self.name}, **where, problem=self.last, times=times)
            self._told, self._told_at = self.number, now

    def problem(self, then: str, where: str = "", origin: Origin = NOWHERE) -> Problem | None:
        """That it has failed within the last minute; None where it hasn't.

        `then` is what becomes of it: a clause. `where` is its place, where it may have several.
        """
        if not self.recent:
            return None
        times = "once" if self.number == 1 else f"{self.number} times"
        message = f"{self}{where and ' '}{where} failed {times}, and {then}; the last time: {self.last}."
        hint = f"Mend the plugin, or take the {self.role} out."
        code = f"{self.role}-failed"
        return Problem(Severity.WARNING, code, message, hint, origin.file, origin.line, resource=str(self))


class Figures(NamedTuple):
    """Of one name of the configuration, in all its places."""

    number: int
    last: str


def figures(found: Iterable[Failures]) -> dict[tuple[str, str], Figures]:
    """The sums by role and name."""
    sums: dict[tuple[str, str], Figures] = {}
    for each in found:
        number, last = sums.get((each.role, each.name), Figures(0, ""))
        sums[each.role, each.name] = Figures(number + each.number, each.last or last)
    return sums


def said(problem: BaseException) -> str:
    """An exception on one line, with the place in the plugin that it came by: the deepest that is neither ours nor
    Python's nor trio's. Where there is none, the deepest of all but its caller."""
    text = " ".join(str(problem).split())
    if isinstance(problem, Mistaken):
        return text[:300].rstrip(".")
    text = f"{type(problem).__name__}: {text}".removesuffix(": ")[:300]
    if isinstance(problem, SyntaxError):
        return text  # which names the place; the traceback has only who compiled it
    frames = [each for each in traceback.extract_tb(problem.__traceback__) if not each.filename.startswith("<")]
    found = [each for each in frames if not _is_below(each.filename)] or frames[1:]
    return f"{text} ({found[-1].filename}:{found[-1].lineno})" if found else text


def _is_below(file: str) -> bool:
    """Whether it is code that plugins stand on."""
    if "-packages" in file:  # of distributions, plugins among them; some of these folders are Python's own, too
        return any(name in file for name in _STOOD_ON)
    return file.startswith((_OURS, _PYTHON))


_OURS = str(Path(__file__).parents[1]) + os.sep
_PYTHON = sysconfig.get_path("stdlib") + os.sep
_STOOD_ON = tuple(f"-packages{os.sep}{name}{os.sep}" for name in ("composemesh", "trio"))
