"""The plugins that a command reads documents with: installed ones; files are loaded as the documents name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composemesh.extensions import Extensions


async def plugins_here() -> Extensions:
    """Installed plugins, loaded; what is wrong with them is among their problems."""
    from composemesh.extensions import Extensions

    extensions = Extensions()
    await extensions.load_installed()
    return extensions
