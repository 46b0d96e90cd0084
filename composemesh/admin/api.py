"""Addresses and answers of the admin API, and who may ask: only what says it means this very server.

A page in the operator's browser can send requests to a loopback port, and by DNS rebinding it can even read the
answers, but then its own name stands in `Host`. So `Host` is compared with the few names we go by, no other origin
is ever allowed to read, and nothing here changes anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from composemesh.admin import views
from composemesh.telemetry import metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from composemesh.admin.mesh_view import MeshView

log = structlog.get_logger()

INDEX = """\
composemesh {version}, project {project}: {state}

/api/v1/status             the mesh, its services and workloads, its problems
/api/v1/services           the services alone
/api/v1/graph?window=60s   who calls whom; window is 1s to 1h, or all
/dotviz                    the same for Graphviz
/metrics                   for Prometheus, in Istio's names (also /stats/prometheus)
/healthz/live              200 while the process runs
/healthz/ready             200 once the mesh serves, 503 before
"""
_HINTS = {404: "GET / lists the addresses.", 405: "Only GET and HEAD are served here."}


def make_app(mesh: MeshView) -> ASGIApp:
    """The ASGI application."""

    async def index(request: Request) -> Response:
        return PlainTextResponse(INDEX.format_map(mesh.status()))

    async def status(request: Request) -> Response:
        return JSONResponse(mesh.status())

    async def services(request: Request) -> Response:
        return JSONResponse(mesh.services())

    async def graph(request: Request) -> Response:
        try:
            return JSONResponse(mesh.graph(_window(request)))
        except ValueError as problem:
            return refusal(400, str(problem), "Try /api/v1/graph?window=60s.")

    async def dotviz(request: Request) -> Response:
        try:
            shown = mesh.graph(_window(request))
        except ValueError as problem:
            return refusal(400, str(problem), "Try /dotviz?window=60s.")
        return Response(views.dotviz(shown), media_type="text/vnd.graphviz")

    async def prometheus(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(headers={"content-type": metrics.CONTENT_TYPE})
        return Metrics(mesh)

    async def live(request: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(request: Request) -> Response:
        if not mesh.ready:
            return refusal(503, "The mesh is still starting.", "GET /api/v1/status says what it waits for.")
        return JSONResponse({"status": "ready"})

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/api/v1/status", status),
            Route("/api/v1/services", services),
            Route("/api/v1/graph", graph),
            Route("/dotviz", dotviz),
            Route("/metrics", prometheus),
            Route("/stats/prometheus", prometheus),
            Route("/healthz/live", live),
            Route("/healthz/ready", ready),
        ],
        exception_handlers={HTTPException: _http_problem, Exception: _mistake},
    )
    return Guard(app)


def refusal(status: int, error: str, hint: str = "") -> Response:
    """An error as every client of this API sees it: one line of JSON."""
    return JSONResponse({"error": error, "hint": hint}, status)


class Guard:
    """Stands before the application: only our own names, only GET and HEAD, and no exception gets past it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_HEADERS]
            await send(message)

        app = self._refuse(scope) or self._app
        try:
            await app(scope, receive, send_marked)
        except Exception as problem:  # answered already, with `_mistake`
            log.error("admin request failed", path=scope["path"], problem=repr(problem))

    def _refuse(self, scope: Scope) -> Response | None:
        if not self._means_us(scope):
            return refusal(421, "This server does not go by that name.", "Use the address that status names.")
        if scope["method"] not in ("GET", "HEAD"):
            answer = refusal(405, "Method not allowed.", _HINTS[405])
            answer.headers["allow"] = "GET, HEAD"
            return answer
        return None

    def _means_us(self, scope: Scope) -> bool:
        server = scope.get("server")
        if server is None:
            return True  # the Unix socket: no browser reaches it, and its mode says who does
        hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1:
            return False
        port = f":{server[1]}"
        host = hosts[0]
        return host.removesuffix(port) in _NAMES and (host.endswith(port) or port == ":80")


_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"server", b"composemesh"),
]


def _window(request: Request) -> int | None:
    return views.window_seconds(request.query_params.get("window", "60s"))


class Metrics(Response):
    """The Prometheus text, page by page, so that traffic passes between two pages and no more than one is in memory.

    Not Starlette's streaming: that watches for the client's leaving, takes hypercorn's end of the exchange for it,
    and cancels hypercorn half-way through, which leaves the connection open and dead.
    """

    def __init__(self, mesh: MeshView) -> None:
        super().__init__(headers={"content-type": metrics.CONTENT_TYPE})
        del self.headers["content-length"]
        self._mesh = mesh

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        for page in metrics.pages(self._mesh.hub, self._mesh.project):
            await send({"type": "http.response.body", "body": page, "more_body": True})
            await trio.lowlevel.checkpoint()
        await send({"type": "http.response.body", "body": b""})


async def _http_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)
    return refusal(problem.status_code, f"{problem.detail}.", _HINTS.get(problem.status_code, ""))


async def _mistake(request: Request, problem: Exception) -> Response:
    return refusal(500, "The mesh made a mistake.", "Its log has the details.")
