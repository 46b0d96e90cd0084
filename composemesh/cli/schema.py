"""`composemesh schema`: the JSON Schema of `x-mesh` and of each kind, with which editors complete and check them."""

from __future__ import annotations

import json

import click

from composemesh.stack.errors import CallError


@click.command()
@click.argument("kind", required=False)
def schema(kind: str | None) -> None:
    """Print the JSON Schema of `x-mesh` in a Compose file, or of a KIND of resource.

    composemesh schema VirtualService. Of two kinds of one name, networking.istio.io/Gateway says which.
    """
    from composemesh.config.kinds import KINDS
    from composemesh.config.schema import json_schema

    if kind is None:
        print(json.dumps(json_schema(), indent=2))
        return
    for one in KINDS:
        if kind.lower() in (one.name.lower(), f"{one.group}/{one.name}".lower()):
            print(json.dumps(one.schema(), indent=2))
            return
    raise CallError(f"No kind {kind!r}: use one of {', '.join(dict.fromkeys(one.name for one in KINDS))}.")
