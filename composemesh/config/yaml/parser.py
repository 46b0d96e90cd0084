"""Every document of a text, or the Problem that keeps it from being read: the steps one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from composemesh.config.yaml.document import Document, Parsed, Refused, mark_of
from composemesh.config.yaml.expand import expanded
from composemesh.config.yaml.nodes import MAX_NODES, Events
from composemesh.config.yaml.text import decoded, printable, repaired
from composemesh.model.problem import Problem, Severity, quotable

MAX_BYTES = 1 << 20
"""Compose files of hundreds of services are a tenth of this."""
MAX_REPAIRS = 32
"""Each reads the text again."""


def parse(text: str | bytes, file: str = "", max_bytes: int = MAX_BYTES) -> Parsed:
    """Read every document of a text. Never raises: what cannot be read is a Problem of severity error.

    A text may have `max_bytes` bytes, and a value for every ten of them; others are refused unread.
    """
    try:
        return Parsed(_read(printable(decoded(text, max_bytes)), max_bytes * MAX_NODES // MAX_BYTES))
    except Refused as refused:
        return Parsed(problems=(refused.problem(file),))
    except yaml.MarkedYAMLError as error:
        message = f"This is not YAML: {_sentence(error)}."
        return Parsed(
            problems=(Problem(Severity.ERROR, "invalid-yaml", message, "", file, *mark_of(error.problem_mark)),)
        )
    except yaml.YAMLError as error:
        message = f"This is not YAML: {getattr(error, 'reason', '') or 'it cannot be read'}."
        return Parsed(problems=(Problem(Severity.ERROR, "invalid-yaml", message, "", file),))


def _read(text: str, max_nodes: int) -> tuple[Document, ...]:
    for _ in range(MAX_REPAIRS):
        try:
            return tuple(_documents(text, max_nodes))
        except yaml.MarkedYAMLError as error:
            mended = repaired(text, error)
            if mended is None:
                raise
            text = mended
    return tuple(_documents(text, max_nodes))


def _documents(text: str, max_nodes: int) -> Iterator[Document]:
    # libyaml is ten times faster and gives the same marks; the tests compare the two.
    events = Events(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)), max_nodes)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            events.anchors.clear()
            yield expanded(events.node(next(events), 1))


def _sentence(error: yaml.MarkedYAMLError) -> str:
    return quotable(", ".join(part for part in (error.context, error.problem) if part), 200)
