"""What one client refused of one type of resource (NACK), set aside until its content is another. Pure.

A client refuses a push as a whole, with a text that names, mostly, what is wrong. What is named is set aside, and the
rest is pushed anew: one broken resource does not keep the others from coming. Sending the same again would be refused
again, for ever, and as fast as both sides can.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from composemesh.xds.resources.resource import Resource

MOST_ASIDE = 20_000
"""As many as the names that a client may subscribe."""
MOST_DEAD = 64


class Refusals:
    """Of one type, on one stream."""

    def __init__(self) -> None:
        self.words = ""
        """Why the client refused something that it has not got otherwise since; empty: it has all."""
        self.names: tuple[str, ...] = ()
        """Of what it refused."""
        self._aside: dict[tuple[str, str], str] = {}
        """Name and version of what was refused, the latest last → why. Kept also while there is no such resource: it
        may come back."""
        self._stubborn = False
        """Whether an answer was refused in which nothing was new."""
        self._dead: dict[str, None] = {}
        """Versions of pushes that were refused, the latest last."""

    def __repr__(self) -> str:
        return f"<Refusals {len(self._aside)} aside, {len(self._dead)} dead>"

    def has(self, resource: Resource) -> bool:
        """Whether this is set aside as it is."""
        return (resource.name, resource.version) in self._aside

    def killed(self, version: str) -> bool:
        """Whether a push of this version was refused: it would be again."""
        return version in self._dead

    def recall(self, found: Mapping[str, Resource]) -> None:
        """Which of what was refused is still what there is: what is another now gets its chance."""
        refused = {
            name: words
            for (name, version), words in self._aside.items()
            if name in found and found[name].version == version
        }
        self.names = tuple(refused)
        if not self._stubborn:
            self.words = next(reversed(refused.values()), "")

    def add(self, version: str, suspects: Mapping[str, str], words: str) -> None:
        """A push of this version was refused, in which the `suspects` were new: versions by name."""
        culprits = [name for name in suspects if _names(words, name)] or list(suspects)
        self.words = words or "It did not say why."
        self.names = tuple(culprits)
        self._stubborn = not culprits
        self._aside |= {(name, suspects[name]): self.words for name in culprits}
        while len(self._aside) > MOST_ASIDE:
            del self._aside[next(iter(self._aside))]
        self._dead[version] = None
        while len(self._dead) > MOST_DEAD:
            del self._dead[next(iter(self._dead))]

    def took(self) -> None:
        """The client took a push."""
        self._stubborn = False
        if not self.names:
            self.words = ""

    def keep(self, wanted: Collection[str]) -> None:
        """Forget what is not wanted any more."""
        if self._aside:
            self._aside = {key: words for key, words in self._aside.items() if key[0] in wanted}


def _names(words: str, name: str) -> bool:
    """Whether a text speaks of this name, and not of one that it is a part of."""
    return name in words and re.search(rf"(?<![\w.|-]){re.escape(name)}(?![\w|-])", words) is not None
