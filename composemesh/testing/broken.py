"""What a conformance suite says when something does not keep its contract: what was seen, and what to do instead."""

from __future__ import annotations


class Broken(AssertionError):
    """A contract is not kept. The message says what happened, what the mesh relies on, and what to write instead."""

    def __init__(self, subject: object, seen: str, instead: str) -> None:
        super().__init__(f"{subject!r:.200} {seen}\n{instead}")


def same_object(made: object, again: object, maker: str) -> None:
    """A maker must make: two calls that give one object would have the suite test leftovers. Raises Broken."""
    if made is again:
        raise Broken(made, f"was given twice by {maker}.", f"Give a maker that makes a new one: {maker}(lambda: …).")
