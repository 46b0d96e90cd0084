"""The reference page has every command and every option, and no other."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from composemesh.cli.root import COMMANDS, root

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "cli.md"
SECTIONS = {
    part.partition("\n")[0]: part for part in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
}
VISIBLE = [name for name, (_, text) in COMMANDS.items() if text]


def options_of(command: click.Command) -> set[str]:
    return {name for option in command.params if isinstance(option, click.Option) for name in option.opts}


GENERIC = options_of(root) - {"--version", "-V"}


@pytest.mark.parametrize("name", VISIBLE)
def test_a_command_has_its_section_with_its_options(name: str) -> None:
    command = root.get_command(click.Context(root), name)
    assert command is not None
    written = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*|(?<![\w-])-[A-Z]\b", SECTIONS[name]))
    parts = list(command.commands.values()) if isinstance(command, click.Group) else []
    own = options_of(command).union(*map(options_of, parts)) - GENERIC
    assert own <= written
    allowed = own | GENERIC | {"--detach", "--keep-stack"}
    assert written <= allowed


def test_the_options_of_the_project_are_there() -> None:
    assert all(f"`{name}`" in SECTIONS["Options of the project"] for name in GENERIC)
