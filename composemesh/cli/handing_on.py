"""Options that belong to Docker Compose: a command takes them, with help and completion, and hands them on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

UP_FLAGS = {
    "--always-recreate-deps": "Recreate dependent containers.",
    "--build": "Build images before starting.",
    "--force-recreate": "Recreate containers even if nothing changed.",
    "--no-build": "Do not build an image, even if it is missing.",
    "--no-deps": "Do not start linked services.",
    "--no-recreate": "Leave containers that exist as they are.",
    "--quiet-build": "Do not print the build's output.",
    "--quiet-pull": "Do not print progress while pulling.",
    "--remove-orphans": "Remove containers of services that the files no longer have.",
    "--renew-anon-volumes/-V": "Make anonymous volumes anew.",
    "--wait": "Wait until services run, or are healthy.",
    "--yes/-y": "Answer yes to every question.",
}
UP_VALUES = {
    "--pull": "Pull images first: always, missing or never.",
    "--scale": "How many instances of a service, e.g. `reviews=3`; may be repeated.",
    "--timeout/-t": "Seconds to give containers that are stopped.",
    "--wait-timeout": "Seconds to wait at most for `--wait`.",
}
DOWN_FLAGS = {
    "--remove-orphans": "Remove containers of services that the files no longer have.",
    "--volumes/-v": "Remove the volumes too.",
}
DOWN_VALUES = {
    "--rmi": "Remove images too: `local` or `all`.",
    "--timeout/-t": "Seconds to give containers that are stopped.",
}
_KEY = "composemesh.handed_on"


def hands_on(flags: dict[str, str], values: dict[str, str]) -> Callable[[F], F]:
    """Give a command these options of Compose's; it finds what was said with `handed_on()`."""

    def decorate(command: F) -> F:
        for names, text in reversed([*flags.items(), *values.items()]):
            how: dict[str, Any] = {"is_flag": True} if names in flags else {"multiple": True}
            command = click.option(
                *reversed(names.split("/")), help=f"Compose: {text}", expose_value=False, callback=_keep, **how
            )(command)
        return command

    return decorate


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    said: list[str] = context.meta.setdefault(_KEY, [])
    name = max(option.opts, key=len)
    if isinstance(value, tuple):
        said += [f"{name}={one}" for one in value]
    elif value:
        said.append(name)


def handed_on() -> Sequence[str]:
    """What the user said of Compose's own options, as Compose takes it."""
    return tuple(click.get_current_context().meta.get(_KEY, ()))
