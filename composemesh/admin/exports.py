"""`/api/v1/export/envoy`: what an Envoy is started with that stands before a workload of the project.

Protobuf and Envoy's messages are imported with the first question, for few meshes are asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from starlette.responses import JSONResponse, Response

from composemesh.admin.guard import refusal

if TYPE_CHECKING:
    from starlette.requests import Request

    from composemesh.admin.mesh_view import MeshView


class Exports:
    """The mesh in the words of others."""

    def __init__(self, mesh: MeshView) -> None:
        self._mesh = mesh

    async def envoy(self, request: Request) -> Response:
        """`{bootstrap, addresses: [{host, port, address}], problems: [...]}` for a `caller`."""
        asked = request.query_params
        try:
            return JSONResponse(await trio.to_thread.run_sync(self._envoy, asked))
        except LookupError as problem:
            return refusal(404, f"No workload {problem.args[0]!r} runs.", "GET /api/v1/services lists them.")
        except ValueError as problem:
            return refusal(400, f"{problem}.", "Try /api/v1/export/envoy?caller=productpage&server=127.0.0.1:15010.")

    def _envoy(self, asked: Any) -> dict[str, Any]:
        from composemesh.xds.export import Wanted, export

        return export(self._mesh.snapshot.value, self._mesh.discovered.value, Wanted.read(asked))
