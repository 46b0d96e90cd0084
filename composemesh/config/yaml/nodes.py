"""A text's events → nodes. Everything dangerous is counted here, before anything is expanded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from composemesh.config.yaml.document import Mark, Refused, mark_of
from composemesh.config.yaml.scalars import meaning
from composemesh.model.problem import quotable

MAX_DEPTH = 32
MAX_NODES = 100_000
"""Bounds the time that one document can take, well under a second."""
MAX_EXPANDED = 1_000
"""Nodes that aliases may add to those in the source: a "billion laughs" ends here."""


@dataclass(eq=False, slots=True)
class Node:
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


class Events:
    """A stream of events, and what must be remembered while it becomes nodes."""

    def __init__(self, events: Iterator[yaml.Event], max_nodes: int) -> None:
        self._events = events
        self._max_nodes = max_nodes
        self.anchors: dict[str, Node] = {}
        self._nodes = 0
        self._expanded = 0

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> yaml.Event:
        return next(self._events)

    def node(self, event: Any, depth: int) -> Node:
        """The tree that begins with this event. Raises Refused."""
        mark = mark_of(event.start_mark)
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
            raise Refused("too-large", f"The document has more than {self._max_nodes} values.", mark, "Split it.")
        if depth > MAX_DEPTH:
            raise Refused("too-deep", f"The document is nested deeper than {MAX_DEPTH} levels.", mark)

    def _alias(self, event: Any, mark: Mark, depth: int) -> Node:
        node = self.anchors.get(event.anchor)
        if node is None:
            raise Refused("invalid-yaml", f"The alias *{quotable(event.anchor)} has no anchor before it.", mark)
        self._expanded += node.size
        if self._expanded > MAX_EXPANDED:
            raise Refused("too-many-aliases", f"Aliases expand to more than {MAX_EXPANDED} values.", mark)
        self._count(mark, depth + node.depth - 1)
        return node

    def _sequence(self, mark: Mark, depth: int) -> Node:
        node = Node(mark, [])
        while not isinstance(event := next(self), yaml.SequenceEndEvent):
            self._adopt(node, item := self.node(event, depth + 1))
            node.value.append(item)
        return node

    def _mapping(self, mark: Mark, depth: int) -> Node:
        node, seen = Node(mark, [], mapping=True), set()
        while not isinstance(event := next(self), yaml.MappingEndEvent):
            key = self.node(event, depth + 1)
            key_mark = mark_of(event.start_mark)
            if not key.scalar:
                raise Refused("wrong-type", "A key must be text.", key_mark)
            if key.text in seen:
                hint = "Keep one of the two."
                raise Refused("duplicate-key", f"The key `{quotable(key.text)}` stands here twice.", key_mark, hint)
            seen.add(key.text)
            value = self.node(next(self), depth + 1)
            self._adopt(node, value)
            node.value.append((key_mark, key, value))
        return node

    @staticmethod
    def _adopt(parent: Node, child: Node) -> None:
        parent.size += child.size
        parent.depth = max(parent.depth, child.depth + 1)


def _scalar(event: yaml.ScalarEvent, mark: Mark) -> Node:
    text: str = event.value
    plain = event.style in (None, "") and event.tag != "tag:yaml.org,2002:str"
    return Node(mark, meaning(text) if plain else text, text, scalar=True, merge=plain and text == "<<")
