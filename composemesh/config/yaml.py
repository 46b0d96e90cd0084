"""YAML as data: plain values, the place of every key and value, and no surprise for whoever reads hostile text.

Built on PyYAML's events and not on its constructors: depth and aliases are counted *before* anything is expanded, and
scalars mean what they mean to Compose (`on`, `22:22` and `2024-01-01` are text). Tags are ignored, so Compose's own
`!reset` and `!override` are no obstacle. Every mistake is a Problem with line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml.reader import Reader

from composemesh.model.problem import Problem, Severity

MAX_BYTES = 1 << 20
"""Compose files of hundreds of services are a tenth of this."""
MAX_DEPTH = 32
MAX_NODES = 100_000
"""Bounds the time that one document can take, well under a second."""
MAX_EXPANDED = 1_000
"""Nodes that aliases may add to those in the source: a "billion laughs" ends here."""

MAX_REPAIRS = 32
"""Each reads the text again."""

KeyPath = tuple[str | int, ...]
"""Mapping keys as the text that was written, list indices as numbers."""


class Mark(NamedTuple):
    """A place in a text; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document. Mapping keys are always text."""

    value: Any
    """dict, list, str, int, float, bool or None."""
    keys: Mapping[KeyPath, tuple[int, int]] = field(default_factory=dict)
    """Marks as plain tuples, here and in `values`: of tens of thousands, Python's collector looks at each Mark every
    time that it comes, and holds up all threads meanwhile; at tuples of numbers it looks once."""
    values: Mapping[KeyPath, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Mark | None:
        """Where the key stands (for a list's item, the item); None where the document has no such path."""
        found = self.keys.get(path) or self.values.get(path)
        return Mark(*found) if found is not None else None


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a text holds: its documents, or the Problems that kept them from being read (then there are none)."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()


def parse(text: str | bytes, file: str = "", max_bytes: int = MAX_BYTES) -> Parsed:
    """Read every document of a text. Never raises: what cannot be read is a Problem of severity error.

    A text may have `max_bytes` bytes, and a value for every ten of them; others are refused unread.
    """
    try:
        return Parsed(_read(_printable(_decode(text, max_bytes)), max_bytes * MAX_NODES // MAX_BYTES))
    except _Refused as refused:
        return Parsed(problems=(refused.problem(file),))
    except yaml.MarkedYAMLError as error:
        message = f"This is not YAML: {_sentence(error)}."
        return Parsed(
            problems=(Problem(Severity.ERROR, "invalid-yaml", message, "", file, *_mark(error.problem_mark)),)
        )
    except yaml.YAMLError as error:
        message = f"This is not YAML: {getattr(error, 'reason', '') or 'it cannot be read'}."
        return Parsed(problems=(Problem(Severity.ERROR, "invalid-yaml", message, "", file),))


def quotable(text: str, limit: int = 60) -> str:
    """Foreign text as a message may hold it: on one line, without control characters, bounded."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text[:limit])
    return f"{shown}…" if len(text) > limit else shown


class _Refused(Exception):
    """Leaves the reader at once; becomes the Problem."""

    def __init__(self, code: str, message: str, mark: Mark | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.mark, self.hint = code, message, mark or Mark(0, 0), hint

    def problem(self, file: str) -> Problem:
        return Problem(Severity.ERROR, self.code, self.message, self.hint, file, *self.mark)


def _decode(text: str | bytes, max_bytes: int) -> str:
    if len(text) > max_bytes:
        raise _Refused("too-large", f"The document is larger than {max_bytes >> 20} MiB.", hint="Split it.")
    if isinstance(text, bytes):
        try:
            return text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            raise _Refused("invalid-yaml", "This is not UTF-8 text.", Mark(line, 1), "Save it as UTF-8.") from None
    try:
        text.encode()  # a lone surrogate, which libyaml's binding would raise on
    except UnicodeEncodeError:
        raise _Refused("invalid-yaml", "This is not UTF-8 text.", hint="Save it as UTF-8.") from None
    return text.removeprefix("\ufeff")


def _printable(text: str) -> str:
    """The text, unless it has a character that YAML forbids: PyYAML says where in a buffer, not on which line."""
    found = Reader.NON_PRINTABLE.search(text)
    if found is None:
        return text
    line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
    message = f"This is not YAML: the character U+{ord(found[0]):04X} is not allowed."
    raise _Refused("invalid-yaml", message, Mark(line, column), "Write it as an escape in double quotes.")


def _sentence(error: yaml.MarkedYAMLError) -> str:
    return quotable(", ".join(part for part in (error.context, error.problem) if part), 200)


def _mark(mark: Any) -> Mark:
    """PyYAML's mark, or libyaml's, or none."""
    return Mark(mark.line + 1, mark.column + 1) if mark is not None else Mark(0, 0)


def _read(text: str, max_nodes: int) -> tuple[Document, ...]:
    for _ in range(MAX_REPAIRS):
        try:
            return tuple(_documents(text, max_nodes))
        except yaml.MarkedYAMLError as error:
            repaired = _quoted(text, error)
            if repaired is None:
                raise
            text = repaired
    return tuple(_documents(text, max_nodes))


def _quoted(text: str, error: yaml.MarkedYAMLError) -> str | None:
    """The text with a scalar in quotes that ends in a colon, as in `[fd00::]`: go-yaml reads it, libyaml does not."""
    if error.problem != "found unexpected ':'" or error.context_mark is None or error.problem_mark is None:
        return None
    lines = text.split("\n")
    mark = error.context_mark
    line = lines[mark.line]
    found = re.match(r"[^,\[\]{}'#]*", line[mark.column :])
    if mark.line != error.problem_mark.line or found is None or ": " in (scalar := found[0].rstrip()):
        return None
    lines[mark.line] = f"{line[: mark.column]}'{scalar}'{line[mark.column + len(scalar) :]}"
    return "\n".join(lines)


# === text → nodes: everything dangerous is counted here ===


@dataclass(eq=False, slots=True)
class _Node:
    """One node, shared by all its aliases. `size` and `depth` are those of the tree it would expand to."""

    mark: Mark
    value: Any
    """A scalar's value, a list of nodes, or a list of (key node, value node)."""
    text: str = ""
    """A scalar as written."""
    scalar: bool = False
    mapping: bool = False
    merge: bool = False
    """A plain `<<`."""
    size: int = 1
    depth: int = 1


def _documents(text: str, max_nodes: int) -> Iterator[Document]:
    # libyaml is ten times faster and gives the same marks; the tests compare the two.
    events = _Events(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), max_nodes)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            events.anchors.clear()
            yield _expand(events.node(next(events), 1))


class _Events:
    """A stream of events, and what must be remembered while it becomes nodes."""

    def __init__(self, events: Iterator[yaml.Event], max_nodes: int) -> None:
        self._events = events
        self._max_nodes = max_nodes
        self.anchors: dict[str, _Node] = {}
        self._nodes = 0
        self._expanded = 0

    def __iter__(self) -> _Events:
        return self

    def __next__(self) -> yaml.Event:
        return next(self._events)

    def node(self, event: Any, depth: int) -> _Node:
        mark = _mark(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, mark, depth)
        self._count(mark, depth)
        if isinstance(event, yaml.ScalarEvent):
            node = _scalar(event, mark)
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(mark, depth)
        else:
            node = self._sequence(mark, depth)
        if event.anchor is not None:
            # Only now that it is complete: a node that contains itself is an unknown alias.
            self.anchors[event.anchor] = node
        return node

    def _count(self, mark: Mark, depth: int) -> None:
        self._nodes += 1
        if self._nodes > self._max_nodes:
            raise _Refused("too-large", f"The document has more than {self._max_nodes} values.", mark, "Split it.")
        if depth > MAX_DEPTH:
            raise _Refused("too-deep", f"The document is nested deeper than {MAX_DEPTH} levels.", mark)

    def _alias(self, event: Any, mark: Mark, depth: int) -> _Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise _Refused("invalid-yaml", f"The alias *{quotable(event.anchor)} has no anchor before it.", mark)
        self._expanded += node.size
        if self._expanded > MAX_EXPANDED:
            raise _Refused("too-many-aliases", f"Aliases expand to more than {MAX_EXPANDED} values.", mark)
        self._count(mark, depth + node.depth - 1)
        return node

    def _sequence(self, mark: Mark, depth: int) -> _Node:
        node = _Node(mark, [])
        while not isinstance(event := next(self), yaml.SequenceEndEvent):
            self._adopt(node, item := self.node(event, depth + 1))
            node.value.append(item)
        return node

    def _mapping(self, mark: Mark, depth: int) -> _Node:
        node, seen = _Node(mark, [], mapping=True), set()
        while not isinstance(event := next(self), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            key_mark = _mark(event.start_mark)
            if not key.scalar:
                raise _Refused("wrong-type", "A key must be text.", key_mark)
            if key.text in seen:
                hint = "Keep one of the two."
                raise _Refused("duplicate-key", f"The key `{quotable(key.text)}` stands here twice.", key_mark, hint)
            seen.add(key.text)
            value = self.node(next(self), depth + 1)
            self._adopt(node, value)
            node.value.append((key_mark, key, value))
        return node

    @staticmethod
    def _adopt(parent: _Node, child: _Node) -> None:
        parent.size += child.size
        parent.depth = max(parent.depth, child.depth + 1)


def _scalar(event: yaml.ScalarEvent, mark: Mark) -> _Node:
    text: str = event.value
    plain = event.style in (None, "") and event.tag != "tag:yaml.org,2002:str"
    return _Node(mark, _resolve(text) if plain else text, text, scalar=True, merge=plain and text == "<<")


# === scalars, as Compose (go-yaml v3) reads them ===

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})")
_BASED = re.compile(r"0(?:x[0-9a-fA-F]{1,15}|o?[0-7]{1,20}|b[01]{1,60})")
_FLOAT = re.compile(r"[-+]?(?:[0-9]{1,20}\.[0-9]{0,20}|\.[0-9]{1,20}|[0-9]{1,20}(?=[eE]))(?:[eE][-+]?[0-9]{1,2})?")


def _resolve(text: str) -> Any:
    """What a plain scalar means. Numbers too long for 64 bits, dates and `.nan` stay text: data, not trouble."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0) if text[1] in "xob" else int(text, 8)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


# === nodes → values and marks ===


def _expand(root: _Node) -> Document:
    keys: dict[KeyPath, tuple[int, int]] = {}
    values: dict[KeyPath, tuple[int, int]] = {}

    def expand(node: _Node, path: KeyPath) -> Any:
        values[path] = (node.mark.line, node.mark.column)
        if node.mapping:
            result = {}
            for key_mark, key, value in _merged(node):
                inner = (*path, key.text)
                keys[inner] = (key_mark.line, key_mark.column)
                result[key.text] = expand(value, inner)
            return result
        if not node.scalar:
            return [expand(item, (*path, index)) for index, item in enumerate(node.value)]
        return node.value

    return Document(expand(root, ()), keys, values)


def _merged(node: _Node) -> list[tuple[Mark, _Node, _Node]]:
    """The pairs of a mapping with those that `<<` brings in; what the mapping says itself wins."""
    own = [pair for pair in node.value if not pair[1].merge]
    if len(own) == len(node.value):
        return own
    seen = {key.text for _, key, _ in own}
    for mark, key, value in node.value:
        if not key.merge:
            continue
        for source in [value] if value.mapping or value.scalar else value.value:
            if not source.mapping:
                raise _Refused("wrong-type", "`<<` merges mappings, and this is none.", mark)
            fresh = [pair for pair in _merged(source) if pair[1].text not in seen]
            seen.update(pair[1].text for pair in fresh)
            own += fresh
    return own
