"""The plugins that a command reads documents with: installed ones; files are loaded as the documents name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from composemesh.plugins import Plugins


async def plugins_here() -> Plugins:
    """Installed plugins, loaded; what is wrong with them is among their problems."""
    from composemesh.plugins import Plugins

    plugins = Plugins()
    await plugins.load_installed()
    return plugins
