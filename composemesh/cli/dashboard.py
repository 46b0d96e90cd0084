"""`composemesh dashboard`: the page of the admin port, opened with the token that lets it change things."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from composemesh.cli.context import about_project, serving
from composemesh.stack.errors import UserError

if TYPE_CHECKING:
    from composemesh.stack.compose import ComposeProject


@click.command()
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@about_project
def dashboard(project: ComposeProject, only_print: bool) -> None:
    """Open the dashboard in a browser: the graph, services, requests and the configuration, live.

    The address holds the mesh's token: whoever has it may change the mesh.
    """
    import webbrowser

    from composemesh import ui
    from composemesh.admin.token import token_in

    folder, entry = serving(project)
    if ui.read("index.html") is None:
        raise UserError("This copy of composemesh was installed without its page: `make setup` builds it, with npm.")
    # In the fragment, which browsers keep to themselves: it reaches no server and no log.
    address = f"{entry.admin_url}/#token={token_in(folder.path)}"
    click.echo(address)
    if not only_print and not webbrowser.open(address):
        raise UserError("No browser could be opened here: open the address above, or say --print.")
