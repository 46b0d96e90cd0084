"""Loading one plugin: other people's code, so it may go wrong in any way. In a thread, with a deadline.

What comes of it is written down here, and taken over by the room's own thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from composemesh import __version__
from composemesh.plugin import API
from composemesh.runtime.failures import said

PATIENCE = 5.0
"""Seconds that a plugin has to be imported and to register. Then its thread is left behind: Python can't stop one."""
OURS = f"composemesh {__version__}"

Registration = tuple[str, str, Any]
"""Catalog, name, and what the name stands for."""


class Unloadable(Exception):
    """Why a plugin can't be loaded, and what to do about it."""

    def __init__(self, code: str, why: str, hint: str) -> None:
        super().__init__(why)
        self.code = code
        self.why = why
        self.hint = hint


@dataclass(slots=True)
class Recorder:
    """The Registrar that plugins see: only writes down, since it is called in another thread."""

    said: list[Registration] = field(default_factory=list)

    def filter(self, name: str, what: type | str) -> None:
        self.said.append(("filters", name, what))

    def source(self, name: str, what: type | str) -> None:
        self.said.append(("sources", name, what))

    def sink(self, name: str, what: type | str) -> None:
        self.said.append(("sinks", name, what))

    def balancer(self, name: str, what: type | str) -> None:
        self.said.append(("balancers", name, what))

    def kind(self, group: str, name: str, what: Any) -> None:
        self.said.append(("kinds", f"{group}/{name}", what))


async def within_patience(find: Callable[[], Any]) -> Unloadable | tuple[int, list[Registration]]:
    with trio.move_on_after(PATIENCE):
        return await trio.to_thread.run_sync(_loaded, find, abandon_on_cancel=True)
    hint = "Let it import and register at once, and leave work to what it registers; then restart the mesh."
    return Unloadable("plugin-hangs", f"was not loaded within {PATIENCE:g} s, and is left out", hint)


def _loaded(find: Callable[[], Any]) -> Unloadable | tuple[int, list[Registration]]:
    """Import a plugin and have it register. In a thread; never raises, not even for `sys.exit()`."""
    try:
        module = find()
        api = getattr(module, "API", None)
        if not isinstance(api, int) or isinstance(api, bool):
            hint = f"Write `API = {API}` into it, beside `register`."
            return Unloadable("plugin-api", "does not say which API it was written for", hint)
        if api != API:
            newer, older = "a newer version of it", "a newer composemesh, or an older version of it"
            why = f"was written for API {api} of plugins, and {OURS} has API {API}"
            return Unloadable("plugin-api", why, f"Install {newer if api < API else older}.")
        register = getattr(module, "register", None)
        if not callable(register):
            hint = "Write `def register(mesh): …` into it."
            return Unloadable("plugin-not-loaded", "has no function `register`", hint)
        recorder = Recorder()
        register(recorder)
    except Unloadable as problem:
        return problem
    except BaseException as problem:
        return Unloadable(
            "plugin-not-loaded",
            f"can't be loaded: {said(problem)}",
            "Mend it, or take it out of the configuration.",
        )
    return api, recorder.said
