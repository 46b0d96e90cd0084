"""One request and its answer in memory, as filters see them: `composemesh.plugin.Exchange` without a mesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from composemesh.model.peer import Peer
from composemesh.proxy.chain.fields import FieldView
from composemesh.proxy.chain.view import new_target
from composemesh.proxy.codec.parts import Fields
from composemesh.testing.values import CALLEE, CALLER

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


class MemoryExchange:
    """An exchange to hand to a filter's hooks. `answered` is what makes an answer of it."""

    def __init__(
        self,
        path: str = "/",
        headers: Pairs = (),
        *,
        method: str = "GET",
        authority: str = "reviews:9080",
        source: Peer = CALLER,
        destination: Peer = CALLEE,
        client: str = "10.0.0.2",
        http_version: int = 11,
        is_grpc: bool = False,
    ) -> None:
        self.method = method
        self._path = path
        self.authority = authority
        self.source = source
        self.destination = destination
        self.client = client
        self.http_version = http_version
        self.is_grpc = is_grpc
        self.status = 0
        self.state: dict[Any, Any] = {}
        self.body_is_kept = False
        """Whether a filter wants this body to stay as it is."""
        self._request = _fields(headers)
        self._response: Fields = []

    def __repr__(self) -> str:
        return f"<MemoryExchange {self.method} {self.path} {self.status or 'unanswered'}>"

    @property
    def path(self) -> str:
        return self._path

    @path.setter
    def path(self, path: str) -> None:
        """Raises ValueError for what can't be asked for."""
        self._path = new_target(path, self._path).decode("latin-1")

    @property
    def headers(self) -> FieldView:
        return FieldView(self._request, self._change_request)

    @property
    def response_headers(self) -> FieldView:
        return FieldView(self._response, self._change_response)

    def keep_body(self, who: object = None) -> None:
        """Note that a filter leaves the body of this message alone."""
        self.body_is_kept = True

    def answered(self, status: int = 200, headers: Pairs = ()) -> None:
        """From here on there is an answer: what follows is `on_response`, and the answer's body."""
        self.status = status
        self.body_is_kept = False
        self._response = _fields(headers)

    def _change_request(self, fields: Fields) -> None:
        self._request = fields

    def _change_response(self, fields: Fields) -> None:
        self._response = fields


def _fields(headers: Pairs) -> Fields:
    pairs = cast("Mapping[str, str]", headers).items() if isinstance(headers, Mapping) else headers
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
