"""A filter, and what it is given: an exchange with its header fields, and the rest of the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any, Protocol

from composemesh.model.peer import Peer


class Headers(Protocol):
    """The header fields of a request or of an answer, in order. Names are compared without case.

    Values are Latin-1, as they came. What frames or routes a message (`host`, `content-length`, `connection`,
    `transfer-encoding`, `upgrade`, …) can be read and not be changed: the mesh writes it.
    """

    def get(self, name: str, default: str = "") -> str:
        """The value; several lines of one name are joined with `, `, for which `set-cookie` must be read by `all`."""
        ...

    def all(self, name: str) -> list[str]:
        """The value of each line of that name."""
        ...

    def set(self, name: str, value: str) -> None:
        """One line of that name, in place of all there are. Raises ValueError for what can't be sent."""
        ...

    def add(self, name: str, value: str) -> None:
        """One more line. Raises ValueError for what can't be sent."""
        ...

    def remove(self, name: str) -> None:
        """No line of that name, whether or not there was one. Raises ValueError for what may not be changed."""
        ...

    def __contains__(self, name: object) -> bool: ...

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Names in lowercase, and values, line by line."""
        ...


class Exchange(Protocol):
    """One request and its answer, as filters see them."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str:
        """Path and query, as the caller wrote them; `*` and CONNECT's empty path as they are. Can be set."""
        ...

    @path.setter
    def path(self, path: str) -> None: ...

    @property
    def authority(self) -> str:
        """Whom the request is for: `:authority`, or `Host`."""
        ...

    @property
    def headers(self) -> Headers:
        """Of the request. Changes after `on_request`, or after `then()` was called, are of no effect."""
        ...

    @property
    def source(self) -> Peer:
        """Who calls."""
        ...

    @property
    def destination(self) -> Peer:
        """Who is called: before the answer the service, from then on the workload."""
        ...

    @property
    def client(self) -> str:
        """The address of the client that stands at the other end of the connection."""
        ...

    @property
    def http_version(self) -> int:
        """That the caller speaks: 10, 11 or 20."""
        ...

    @property
    def is_grpc(self) -> bool: ...

    @property
    def status(self) -> int:
        """Of the answer; 0 until there is one."""
        ...

    @property
    def response_headers(self) -> Headers:
        """Of the answer; empty until there is one. Changes after `on_response` are of no effect."""
        ...

    @property
    def state(self) -> MutableMapping[Any, Any]:
        """For the filter's own notes on this exchange. The instance is a good key: `x.state[self] = …`."""
        ...

    def keep_body(self, who: Filter) -> None:
        """In `on_request` or `on_response`: this body stays as it is, as far as the filter is concerned. Its hook for
        it is not called, and if nobody else's is, what is said of its length stays. Say `x.keep_body(self)`."""
        ...


Then = Callable[[], Awaitable[None]]
"""The rest of the way: returns when the answer has been sent whole. Called once, or not at all. What it raises is the
mesh's own; let it pass."""


class Filter(Protocol):
    """Looks at requests and answers, changes them, or answers itself. It has one duty: to be made of its settings.

    All that follows is optional; a class has the hooks that it needs, and what it has not costs nothing. One instance
    serves all exchanges of the place where `x-mesh` names it, until its settings change.

        def on_request(self, x: Exchange) -> None
            Before the request is routed (a mesh-wide filter), or sent to a service (a filter of that service). May
            change the path and the headers.

        def on_response(self, x: Exchange) -> None
            Before the answer's head goes to the client; also for answers of the mesh's own. May change its headers.

        def on_request_body(self, x: Exchange, data: bytes) -> bytes
        def on_response_body(self, x: Exchange, data: bytes) -> bytes
            For each piece of a body as it arrives, and at its end with `b""`. Returns what goes on in its place,
            which may be nothing, or more. A body whose length is then not known beforehand is sent without
            `content-length`. Not called where there is no body, and for what follows an upgrade. Of gRPC these are
            the framed bytes.

        async def around(self, x: Exchange, then: Then) -> None
            All of it: what comes before `await then()` holds the request back. Whoever returns without having called
            it must have raised Reply.

    The four plain functions must not wait. Each hook may raise Reply, to answer the request itself. Anything else
    that it raises is a failure: with `fail: closed`, which is the default, the request is refused with 500 and the
    flag FF; with `fail: open` it goes on as if the filter were not there. The time that `around` spends outside
    `then()` has a bound, `timeout` (10 s by default), which counts as a failure, too.

    Requests go through the filters in the order written, mesh-wide ones first; answers the other way round.
    """

    def __init__(self, config: Any) -> None:
        """`config`: an instance of the class's `Config`, if it has one, else None. May raise: a ValueError's text
        goes into a Problem."""
        ...
