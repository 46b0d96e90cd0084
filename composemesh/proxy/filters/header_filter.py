"""The filter `headers`: header operations for every request of a place, whatever rule it meets.

What a rule says of headers counts for its own requests; this counts for all of a service, or of the mesh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from composemesh.model.setting import setting
from composemesh.proxy.codec.given import given_name, given_value

if TYPE_CHECKING:
    from composemesh.proxy.chain.fields import FieldView
    from composemesh.proxy.chain.view import View


@dataclass(frozen=True)
class Operations:
    """What is done to the headers of one direction: remove, set, add, in this order, as Envoy has it."""

    set: Mapping[str, str] = setting("Overwrites.", make=dict)
    add: Mapping[str, str] = setting("Appends.", make=dict)
    remove: tuple[str, ...] = setting("Takes away.", ())

    def __post_init__(self) -> None:
        for name in (*self.set, *self.add, *self.remove):
            given_name(name)
        for value in (*self.set.values(), *self.add.values()):
            given_value(value)

    def __bool__(self) -> bool:
        return bool(self.set or self.add or self.remove)

    def apply(self, headers: FieldView) -> None:
        for name in self.remove:
            headers.remove(name)
        for name, value in self.set.items():
            headers.set(name, value)
        for name, value in self.add.items():
            headers.add(name, value)


NOTHING = Operations()


class HeaderFilter:
    """Has only the hooks that its settings ask for."""

    @dataclass(frozen=True)
    class Config:
        request: Operations = setting("Before the request goes on.", NOTHING)
        response: Operations = setting("Before the answer goes back.", NOTHING)

    def __init__(self, config: Config) -> None:
        if config.request:
            self.on_request = self._on_request
        if config.response:
            self.on_response = self._on_response
        self._config = config

    def __repr__(self) -> str:
        return f"<HeaderFilter {self._config}>"

    def _on_request(self, x: View) -> None:
        self._config.request.apply(x.headers)

    def _on_response(self, x: View) -> None:
        self._config.response.apply(x.response_headers)
