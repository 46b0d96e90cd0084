"""Bytes → a text that PyYAML can be given: what it would choke on is refused here, with the line, or mended."""

from __future__ import annotations

import re

import yaml
from yaml.reader import Reader

from composemesh.config.yaml.document import Mark, Refused


def decoded(text: str | bytes, max_bytes: int) -> str:
    """UTF-8 as text, without a byte order mark."""
    if len(text) > max_bytes:
        raise Refused("too-large", f"The document is larger than {max_bytes >> 20} MiB.", hint="Split it.")
    if isinstance(text, bytes):
        try:
            return text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = text.count(b"\n", 0, error.start) + 1
            raise Refused("invalid-yaml", "This is not UTF-8 text.", Mark(line, 1), "Save it as UTF-8.") from None
    try:
        text.encode()  # a lone surrogate, which libyaml's binding would raise on
    except UnicodeEncodeError:
        raise Refused("invalid-yaml", "This is not UTF-8 text.", hint="Save it as UTF-8.") from None
    return text.removeprefix("\ufeff")


def printable(text: str) -> str:
    """The text, unless it has a character that YAML forbids: PyYAML says where in a buffer, not on which line."""
    found = Reader.NON_PRINTABLE.search(text)
    if found is None:
        return text
    line, column = text.count("\n", 0, found.start()) + 1, found.start() - text.rfind("\n", 0, found.start())
    message = f"This is not YAML: the character U+{ord(found[0]):04X} is not allowed."
    raise Refused("invalid-yaml", message, Mark(line, column), "Write it as an escape in double quotes.")


def repaired(text: str, error: yaml.MarkedYAMLError) -> str | None:
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
