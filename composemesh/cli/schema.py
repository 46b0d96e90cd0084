"""`composemesh schema`: the JSON Schema of `x-mesh`, with which editors complete and check it."""

from __future__ import annotations

import json

import click


@click.command()
def schema() -> None:
    """Print the JSON Schema of `x-mesh` in a Compose file."""
    from composemesh.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
