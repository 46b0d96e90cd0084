"""What clients send: JSON, read within bounds. Whatever else arrives is answered in one line, and nothing is changed.

A body without a content type is taken for JSON. One with another type is refused: those are the bodies that a page of
another origin can send without asking first (Fetch standard, CORS-safelisted request-header).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from composemesh.admin.apart import apart
from composemesh.admin.guard import refusal
from composemesh.config.kinds import Kinds
from composemesh.config.resources import Resource, ResourceKey, load_documents
from composemesh.model.problem import Problem, Severity

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")

SHAPE = 'The body must be JSON: {"files": [{"name": …, "text": …}], "delete": [{"kind": …, "name": …}]}.'
NO_TEXT = "A string of the body is no text: it has half of a surrogate pair, which UTF-8 does not have."


class BadBody(Exception):
    """A body that is not taken; knows its answer."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.answer = partial(refusal, status, error, hint)


class TooLong(ValueError):
    """A body has more bytes than it may have; the message says so, as a clause."""


@dataclass(frozen=True, slots=True)
class Named:
    """A resource as a client names it."""

    kind: str
    name: str
    group: str = ""
    """Only where two kinds share a name; empty: any."""
    version: str = ""
    """The one that the client has read; empty: it was not there."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def among(self, keys: Iterable[ResourceKey]) -> list[ResourceKey]:
        """The keys that are meant. A kind may be written in any case; one that is written just so goes first."""
        found = [
            key
            for key in keys
            if (key.kind.lower(), key.name) == (self.kind.lower(), self.name) and self.group in ("", key.group)
        ]
        return [key for key in found if key.kind == self.kind] or found


@dataclass(frozen=True, slots=True)
class Asked:
    """A change that a client asks for, its documents read as far as they can be."""

    resources: Sequence[Resource]
    problems: Sequence[Problem]
    delete: Sequence[Named]
    expect: Sequence[Named]
    """What must be so for the change to be carried out."""
    dry_run: bool

    @property
    def sound(self) -> bool:
        """Whether every document could be read."""
        return all(problem.severity is not Severity.ERROR for problem in self.problems)


async def whole(request: Request, most: int) -> bytes:
    """A body of at most `most` bytes. Raises TooLong."""
    body = bytearray()
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > most:
                raise TooLong(f"the body has more than {most} bytes")
    return bytes(body)


async def asked_change(request: Request, most: int, kinds: Kinds) -> Asked:
    """What a body of at most `most` bytes asks for, in documents of these kinds. Raises BadBody.

    Read in another thread: traffic goes on meanwhile. Cancelled, that thread ends its reading for nobody.
    """
    return await _read(request, most, partial(_change, kinds=kinds))


async def asked_step(request: Request, most: int) -> str:
    """The `id` of a step, or nothing where the body is empty. Raises BadBody."""
    return await _read(request, most, lambda said: _text(said.get("id", "")), b"{}")


async def _read(request: Request, most: int, understand: Callable[[Any], T], otherwise: bytes = b"") -> T:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/json"):
        raise BadBody(415, "The body must be JSON.", "Send `Content-Type: application/json`.")
    try:
        body = await whole(request, most) or otherwise
    except TooLong:
        raise BadBody(413, f"More than {most >> 20} MiB.", "Send the documents in several requests.") from None

    def read() -> T:
        return understand(json.loads(body))

    try:
        return await apart(read)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadBody(400, SHAPE) from None


def _change(said: Any, kinds: Kinds) -> Asked:
    """Raises what a JSON of another shape leads to: ValueError, TypeError, KeyError, AttributeError."""
    resources: list[Resource] = []
    problems: list[Problem] = []
    for file in said.get("files", ()):
        found, wrong = load_documents(_text(file["text"]), _text(file["name"]), kinds=kinds)
        resources += found
        problems += wrong
    delete, expect = ([_named(one) for one in said.get(word, ())] for word in ("delete", "expect"))
    for file in said.get("delete_files", ()):
        found, wrong = load_documents(_text(file["text"]), _text(file["name"]), kinds=kinds)
        delete += [Named(one.kind, one.name, one.group) for one in found]
        problems += wrong
    return Asked(resources, problems, delete, expect, bool(said.get("dry_run", False)))


def _named(said: Any) -> Named:
    return Named(
        *(_text(said[word]) for word in ("kind", "name")), *(_text(said.get(w, "")) for w in ("group", "version"))
    )


def _text(said: Any) -> str:
    """As text that every answer can name. Raises BadBody where JSON's escapes made something else of it."""
    text = str(said)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadBody(400, NO_TEXT) from None
    return text
