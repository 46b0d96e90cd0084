"""`composemesh schema`: the JSON Schema of `x-mesh` and of each kind, with which editors complete and check them."""

from __future__ import annotations

import json

import click

from composemesh.cli.documents import kind_of
from composemesh.stack.errors import CallError


@click.command()
@click.argument("kind", required=False)
def schema(kind: str | None) -> None:
    """Print the JSON Schema of `x-mesh` in a Compose file, or of a KIND of resource.

    composemesh schema VirtualService. Of two kinds of one name, networking.istio.io/Gateway says which.
    """
    from composemesh.cli.logs import run
    from composemesh.cli.plugins_here import plugins_here
    from composemesh.config.kinds import Kinds
    from composemesh.config.schema import json_schema

    catalogs = run(plugins_here).catalogs
    if kind is None:
        print(json.dumps(json_schema(catalogs), indent=2))
        return
    group, _, word = kind.rpartition("/")
    kinds = Kinds(catalogs.kinds)
    name = kind_of(word, lambda: kinds.names)
    called = kinds.called(name)
    found = [one for one in called if group.lower() in ("", one.group.lower())]
    if not found:
        groups = " or ".join(f"{one.group}/{name}" for one in called)
        raise CallError(
            f"No kind {kind!r}: say {groups}."
            if groups
            else f"No kind {kind!r} comes with composemesh or an installed plugin."
        )
    print(json.dumps(found[0].schema(), indent=2))
