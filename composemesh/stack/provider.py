"""Compose's provider protocol: what `provider: {type: composemesh}` says to Docker Compose (2.36 and later).

One JSON object a line on standard output (Compose, docs/extension.md). Compose ends the whole `up` at the first
`error`, and prefixes what `setenv` names with the service's name for whoever depends on it.
"""

from __future__ import annotations

import json
from typing import Any, Literal, TextIO

Kind = Literal["info", "error", "setenv", "debug"]

OPTIONS = {
    "capture": ("How traffic reaches the mesh", "auto,netns,none"),
    "admin": ("Address of the admin API, e.g. 127.0.0.1:15000", ""),
}
"""What `provider.options` may say: Compose passes on what `metadata` names, as `--name=value`, and drops the rest."""


def say(kind: Kind, message: str, out: TextIO) -> None:
    """One line to Compose. It decodes a stream of JSON, so nothing else may ever be printed there."""
    print(json.dumps({"type": kind, "message": message}), file=out, flush=True)


def metadata() -> dict[str, Any]:
    """The answer to `composemesh compose metadata`."""
    up = [
        {"name": name, "description": text, "required": False, "type": "string"} | ({"enum": enum} if enum else {})
        for name, (text, enum) in OPTIONS.items()
    ]
    return {
        "description": "A service mesh for this project: one process, no sidecar containers",
        "up": {"parameters": up},
        "down": {"parameters": []},
        "stop": {"parameters": []},
    }
