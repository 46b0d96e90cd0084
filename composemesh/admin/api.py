"""Addresses and answers of the admin API. Who may ask is decided before: see `guard`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from composemesh.admin import graph_views, views
from composemesh.admin.bodies import BadBody
from composemesh.admin.exports import Exports
from composemesh.admin.guard import Guard, refusal
from composemesh.admin.joining import joining
from composemesh.admin.page import NOT_BUILT, Page
from composemesh.admin.resources import Resources
from composemesh.admin.streams import Streams
from composemesh.admin.trials import Trials
from composemesh.admin.turns import Pieces, in_turns
from composemesh.routing.explain import Question
from composemesh.telemetry import metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from composemesh.admin.mesh_view import MeshView
    from composemesh.config.publish import Publisher

INDEX = """\
composemesh {version}, project {project}: {state}

/api/v1/status             the mesh, its services and workloads, its problems
/api/v1/services           the services alone
/api/v1/graph?window=60s   who calls whom; window is 1s to 1h, or all
/api/v1/series             one edge or node over time: source, destination, window
/api/v1/problems           what is wrong with the configuration
/api/v1/plugins            filters, sources, sinks, balancers and kinds, and who brought them along
/api/v1/resources          the Istio documents in force; POST changes them
/api/v1/resources/KIND/NAME  one of them, with its text
/api/v1/validate           POST: what is wrong with documents
/api/v1/diff               POST: what applying them would change
/api/v1/history            the last changes; POST /api/v1/undo takes the newest back
/api/v1/schema/KIND        the JSON Schema of a kind's documents
/api/v1/explain            what would become of a request: caller, url, method, header (repeated), gateway
/api/v1/export/envoy       a bootstrap for an Envoy: caller, server, transport, listen, admin, static
/api/v1/tap?service=a      every exchange as it ends, as server-sent events; also source, status (503 or 5xx)
/api/v1/events             status and graph when they change, as server-sent events
/dotviz                    the same for Graphviz
/metrics                   for Prometheus, in Istio's names (also /stats/prometheus)
/healthz/live              200 while the process runs
/healthz/ready             200 once the mesh serves, 503 before
"""
_HINTS = {404: "GET / lists the addresses.", 405: "GET / lists the addresses."}


def make_app(mesh: MeshView, token: str = "") -> ASGIApp:
    """The ASGI application. `token` is what a change over TCP must show; without one there are none."""

    page = Page()

    async def index(request: Request) -> Response:
        if (document := await page.document(request)) is not None:
            return document
        wanted = "text/html" in request.headers.get("accept", "")
        text = INDEX.format_map(await in_turns(mesh.status_in_pieces())) + (NOT_BUILT if wanted else "")
        return PlainTextResponse(text, headers={"vary": "accept"})

    async def status(request: Request) -> Response:
        return JSONResponse(await in_turns(mesh.status_in_pieces()))

    async def services(request: Request) -> Response:
        return JSONResponse(await in_turns(mesh.services_in_pieces()))

    async def graph(request: Request) -> Response:
        try:
            return JSONResponse(await in_turns(mesh.graph_in_pieces(_window(request))))
        except ValueError as problem:
            return refusal(400, str(problem), "Try /api/v1/graph?window=60s.")

    async def series(request: Request) -> Response:
        try:
            return JSONResponse(await in_turns(_series(request, mesh)))
        except ValueError as problem:
            return refusal(400, str(problem), "Try /api/v1/series?destination=reviews/v1&window=5m.")

    async def explain(request: Request) -> Response:
        try:
            return JSONResponse(mesh.explain(_question(request)))
        except ValueError as problem:
            hint = "Try /api/v1/explain?caller=productpage&url=http://reviews:9080/reviews/0."
            return refusal(400, f"{problem}.", hint)

    async def dotviz(request: Request) -> Response:
        try:
            shown = await in_turns(mesh.graph_in_pieces(_window(request)))
        except ValueError as problem:
            return refusal(400, str(problem), "Try /dotviz?window=60s.")
        return Response(graph_views.dotviz(shown), media_type="text/vnd.graphviz")

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

    async def problems(request: Request) -> Response:
        return JSONResponse({"problems": (await in_turns(mesh.status_in_pieces()))["problems"]})

    async def join(request: Request) -> Response:
        return await joining(request, mesh)

    async def plugins(request: Request) -> Response:
        return JSONResponse({"plugins": mesh.plugins()})

    streams = Streams(mesh)
    app = Starlette(
        routes=[
            Route("/", index),
            *page.routes(),
            Route("/api/v1/status", status),
            Route("/api/v1/services", services),
            Route("/api/v1/graph", graph),
            Route("/api/v1/series", series),
            Route("/api/v1/problems", problems),
            Route("/api/v1/plugins", plugins),
            Route("/api/v1/explain", explain),
            Route("/api/v1/export/envoy", Exports(mesh).envoy, methods=["GET"]),
            *(_resource_routes(mesh.publisher) if mesh.publisher is not None else ()),
            Route("/api/v1/tap", streams.tap, methods=["GET"]),
            Route("/api/v1/events", streams.events, methods=["GET"]),
            Route("/api/v1/processes", join, methods=["POST"]),
            Route("/dotviz", dotviz),
            Route("/metrics", prometheus),
            Route("/stats/prometheus", prometheus),
            Route("/healthz/live", live),
            Route("/healthz/ready", ready),
        ],
        exception_handlers={HTTPException: _http_problem, BadBody: _bad_body, Exception: _mistake},
    )
    return Guard(app, token)


def _resource_routes(publisher: Publisher) -> list[Route]:
    resources, trials = Resources(publisher), Trials(publisher)
    return [
        Route("/api/v1/resources", resources.listed, methods=["GET"]),
        Route("/api/v1/resources", resources.changed, methods=["POST"]),
        Route("/api/v1/resources/{kind}/{name}", resources.one, methods=["GET"]),
        Route("/api/v1/validate", trials.validate, methods=["POST"]),
        Route("/api/v1/diff", trials.diff, methods=["POST"]),
        Route("/api/v1/history", resources.history, methods=["GET"]),
        Route("/api/v1/undo", resources.undone, methods=["POST"]),
        Route("/api/v1/schema", resources.kinds, methods=["GET"]),
        Route("/api/v1/schema/{kind}", resources.schema, methods=["GET"]),
    ]


def _question(request: Request) -> Question:
    """Raises ValueError where caller or URL are missing, or a header has no name."""
    asked = request.query_params
    if not asked.get("caller") or not asked.get("url"):
        raise ValueError("caller and url are missing")
    headers = {}
    for header in asked.getlist("header"):
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"header {header[:60]!r} is not NAME: VALUE")
        headers[name.strip()] = value.strip()
    return Question(
        asked["caller"], asked["url"], asked.get("method", "GET"), headers, asked.get("gateway") == "true"
    )


def _window(request: Request) -> int | None:
    return graph_views.window_seconds(request.query_params.get("window", "60s"))


def _series(request: Request, mesh: MeshView) -> Pieces[views.Json]:
    seconds = _window(request)
    if seconds is None:
        raise ValueError("window is 1s to 1h here: what is older has no steps.")
    asked = request.query_params
    return graph_views.series(mesh.hub, seconds, asked.get("source", ""), asked.get("destination", ""))


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


async def _bad_body(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, BadBody)
    return problem.answer()


async def _mistake(request: Request, problem: Exception) -> Response:
    return refusal(500, "The mesh made a mistake.", "Its log has the details.")
