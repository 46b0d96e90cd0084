"""The forms that reading commands print in: a table for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

F = TypeVar("F", bound=Callable[..., Any])
PIPE_WIDTH = 200
"""Columns where no terminal says how wide it is: a table that wraps is no use to `grep`."""


def format_option(command: F) -> F:
    """Add `--format`."""
    forms = click.Choice(["table", "json", "yaml"])
    return click.option("--format", "form", type=forms, default="table", show_default=True, help="How to print.")(
        command
    )


def printable(text: str) -> str:
    """Foreign text for a terminal, which must not be told what to do."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def emit(form: str, value: Any, table: Callable[[], RenderableType], *, lines: bool = False) -> None:
    """Print `value` as JSON or YAML, or what `table` makes of it. `lines` are never broken nor cut."""
    if form == "json":
        print(json.dumps(value, indent=2, ensure_ascii=False))
    elif form == "yaml":
        import yaml

        print(yaml.safe_dump(value, sort_keys=False, allow_unicode=True), end="")
    else:
        from rich.console import Console

        console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH)
        console.print(table(), soft_wrap=lines)
