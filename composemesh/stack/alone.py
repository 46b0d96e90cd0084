"""The configuration of a mesh without containers: Compose is not needed for it, and may not be installed."""

from __future__ import annotations

from collections.abc import Sequence

import trio
import yaml

from composemesh.config.loaders.resolved import Resolved
from composemesh.stack.compose import ComposeProject
from composemesh.stack.errors import UserError


async def resolve_alone(project: ComposeProject) -> Resolved:
    """What Compose makes of the files; without Compose, the first file as it is written. Raises Unresolved."""
    try:
        return await project.resolve()
    except UserError:
        text = await trio.Path(project.files[0]).read_text(encoding="utf-8")
        return Resolved(text, project.files)


def written_out(browse: Sequence[str], interfaces: Sequence[str], *, publish: bool) -> Resolved:
    """Options of the command line as the Compose file that says the same."""
    mdns = {"browse": list(browse), "interfaces": list(interfaces)}
    said = {"discovery": {"mdns": {word: value for word, value in mdns.items() if value}}}
    return Resolved(yaml.safe_dump({"x-mesh": {**said, **({"publish": "mdns"} if publish else {})}, "services": {}}))
