"""YAML as data: plain values, the place of every key and value, and no surprise for whoever reads hostile text.

Built on PyYAML's events and not on its constructors: depth and aliases are counted *before* anything is expanded, and
scalars mean what they mean to Compose (`on`, `22:22` and `2024-01-01` are text). Tags are ignored, so Compose's own
`!reset` and `!override` are no obstacle. Every mistake is a Problem with line and column.

Reading order: `document` what comes of it · `text` what PyYAML can be given · `scalars` what plain ones mean ·
`nodes` events counted and made a tree · `expand` the tree made values and marks · `parser` all of it.
"""

from __future__ import annotations

from composemesh.config.yaml.document import Document, KeyPath, Mark, Parsed
from composemesh.config.yaml.parser import MAX_BYTES, parse

__all__ = ["MAX_BYTES", "Document", "KeyPath", "Mark", "Parsed", "parse"]
