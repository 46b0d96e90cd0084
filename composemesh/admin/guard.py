"""Who may ask the admin API, and who may change something by it.

A page in the operator's browser can send requests to a loopback port, and by DNS rebinding it can even read the
answers, but then its own name stands in `Host`. So `Host` is compared with the few names we go by, no other origin
is ever allowed to read, and a change needs the token, which stands in a file that only the mesh's owner can read.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

import structlog
import trio
from starlette.responses import JSONResponse, Response

from composemesh.model.problem import quotable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger()

MOST_UNREAD = 64 << 20
"""Bytes of a refused body that are read and thrown away, so that its sender gets to see the answer."""
UNREAD_PATIENCE = 5.0
"""Seconds that this may take."""
MOST_SAID = 300
"""Characters in the log of an address, and of what went wrong."""
EVERY = 1.0
"""Seconds between two lines in the log on requests that failed."""
_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_READING = ("GET", "HEAD")
_CHANGING = ("POST", "DELETE")
TRIALS = frozenset({"/api/v1/validate", "/api/v1/diff"})
"""Addresses whose POST changes nothing: they have a body, that is all."""
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"server", b"composemesh"),
]
"""On every answer that does not say otherwise itself, as the page does of its policy and its caches."""


def refusal(status: int, error: str, hint: str = "") -> Response:
    """An error as every client of this API sees it: one line of JSON."""
    return JSONResponse({"error": error, "hint": hint}, status)


class Guard:
    """Stands before the application: only our own names, changes only with the token, and no exception gets past."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        """`token` is what a change over TCP must show; empty: nobody changes anything over TCP."""
        self._app = app
        self._token = token.encode()
        self._quiet_until = 0.0
        self._unsaid = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return
        read = scope["method"] in _READING

        async def receive_noted() -> Message:
            nonlocal read
            message = await receive()
            read = not message.get("more_body", False)
            return message

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in _HEADERS if each[0] not in said)]
                if not read:
                    await _drain(receive)
            await send(message)

        app = self._refuse(scope) or self._app
        try:
            await app(scope, receive_noted, send_marked)
        except Exception as problem:  # answered already, with a 500
            self._complain(scope["path"], problem)

    def _complain(self, path: str, problem: Exception) -> None:
        """One line at most in EVERY seconds, with how many were left out before it: a client fills no disk."""
        now = trio.current_time()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        self._quiet_until = now + EVERY
        more = {"more": self._unsaid} if self._unsaid else {}
        self._unsaid = 0
        log.error(
            "admin request failed", path=quotable(path, MOST_SAID), problem=quotable(repr(problem), MOST_SAID), **more
        )

    def _refuse(self, scope: Scope) -> Response | None:
        if not _means_us(scope):
            return refusal(421, "This server does not go by that name.", "Use the address that status names.")
        if scope["method"] in _READING:
            return None
        if scope["method"] not in _CHANGING:
            answer = refusal(405, "Method not allowed.", "GET / lists the addresses.")
            answer.headers["allow"] = "GET, HEAD"
            return answer
        if scope.get("server") is None:
            return None  # the Unix socket: its mode says who may
        fields = [(name, value) for name, value in scope["headers"] if name in (b"origin", b"authorization")]
        origins = [value.decode("latin-1").lower() for name, value in fields if name == b"origin"]
        if any(origin not in _origins(scope) for origin in origins):
            return refusal(403, "A page of another origin may change nothing here.")
        if scope["path"] in TRIALS:
            return None
        shown = [value.removeprefix(b"Bearer ") for name, value in fields if name == b"authorization"]
        if not self._token or len(shown) != 1 or not hmac.compare_digest(shown[0], self._token):
            hint = "Send `Authorization: Bearer` and what the file `token` of the mesh's state folder says."
            return refusal(401, "A change needs the mesh's token.", hint)
        return None


def _means_us(scope: Scope) -> bool:
    server = scope.get("server")
    if server is None:
        return True  # the Unix socket: no browser reaches it, and its mode says who does
    hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    port = f":{server[1]}"
    host = hosts[0]
    return host.removesuffix(port) in _NAMES and (host.endswith(port) or port == ":80")


def _origins(scope: Scope) -> set[str]:
    return {f"http://{name}:{scope['server'][1]}" for name in _NAMES}


async def _drain(receive: Receive) -> None:
    """Throw a body away, within bounds, before it is answered: bytes left unread turn the close into a reset, and
    hypercorn stops reading the whole connection while they lie there."""
    left = MOST_UNREAD
    with trio.move_on_after(UNREAD_PATIENCE):
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body", False):
                return
