"""The text of one document out of a file of several, its comments included: what an editor shows. Pure.

`---` at the start of a line ends a document wherever it stands, even in a block scalar (YAML 1.2, 9.1.2), so that
no parser is needed to find the borders.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property


class Texts:
    """The documents of one text, by the lines that they stand on."""

    def __init__(self, text: str | bytes) -> None:
        self._text = text

    def around(self, line: int) -> tuple[str, int]:
        """The document that `line` (from 1) belongs to, as it is written, and the line on which it begins.

        Empty where it would not say the same by itself (it has directives), or is JSON, which nobody edits.
        """
        firsts, texts = self._parts
        part = bisect_right(firsts, line) - 1
        text = texts[part]
        sound = not text.startswith("{") and not any(each.startswith(("%", "...")) for each in text.splitlines())
        return (f"{text}\n" if sound and text else ""), firsts[part]

    @cached_property
    def _parts(self) -> tuple[list[int], list[str]]:
        """The first lines of the documents, and their texts."""
        parts = list(_parts(self._text.decode("utf-8-sig") if isinstance(self._text, bytes) else self._text))
        return [first for first, _ in parts], [text for _, text in parts]


def _parts(text: str) -> Iterator[tuple[int, str]]:
    first, kept = 1, list[str]()
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if line.startswith("---") and (len(line) == 3 or line[3].isspace()):
            yield first, "\n".join(kept).rstrip("\n")
            first, kept = number, []
            line = line[3:].lstrip()
        if kept or line.strip():
            kept.append(line.rstrip())
        else:
            first = number + 1  # blank lines before a document are not its own
    yield first, "\n".join(kept).rstrip("\n")
