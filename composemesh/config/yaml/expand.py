"""Nodes → plain values and marks: aliases and `<<` are gone after this."""

from __future__ import annotations

from typing import Any

from composemesh.config.yaml.document import Document, KeyPath, Mark, Refused
from composemesh.config.yaml.nodes import Node


def expanded(root: Node) -> Document:
    """The document that a tree stands for."""
    keys: dict[KeyPath, tuple[int, int]] = {}
    values: dict[KeyPath, tuple[int, int]] = {}

    def expand(node: Node, path: KeyPath) -> Any:
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


def _merged(node: Node) -> list[tuple[Mark, Node, Node]]:
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
                raise Refused("wrong-type", "`<<` merges mappings, and this is none.", mark)
            fresh = [pair for pair in _merged(source) if pair[1].text not in seen]
            seen.update(pair[1].text for pair in fresh)
            own += fresh
    return own
