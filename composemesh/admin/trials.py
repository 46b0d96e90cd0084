"""Documents tried on the running mesh without any change: what is wrong with them, and what applying them would do.

Nobody needs the token for it, as for reading. So the bodies are small here, and larger ones are for `composemesh
validate`, which works without a mesh.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from composemesh.admin import resource_views, resources
from composemesh.admin.apart import apart
from composemesh.admin.bodies import Asked, asked_change

if TYPE_CHECKING:
    from starlette.requests import Request

    from composemesh.config.difference import Change
    from composemesh.config.publish import Publisher

MOST_BYTES = 1 << 20
"""Of a body without the token. Over the Unix socket it may be as large as that of a change."""


class Trials:
    """The handlers."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def validate(self, request: Request) -> Response:
        """`POST /api/v1/validate`, with `files`: everything wrong with them, here and now."""
        asked, change = await self._try(request)
        told = resource_views.change(change, asked.problems)
        found = [{"kind": one.kind, "name": one.name, "line": one.origin.line} for one in asked.resources]
        return JSONResponse({word: told[word] for word in ("accepted", "problems", "effects")} | {"resources": found})

    async def diff(self, request: Request) -> Response:
        """`POST /api/v1/diff`, with a body as for a change: the answer of the change, and the texts side by side."""
        asked, change = await self._try(request)
        after = {one.key: one for one in asked.resources}
        before = self._publisher.resources

        def told() -> Response:
            texts = resource_views.differences(change, before, after)
            return JSONResponse(resource_views.change(change, asked.problems) | {"resources": texts})

        return await apart(told)

    async def _try(self, request: Request) -> tuple[Asked, Change]:
        """Those documents that can be read are tried, whatever the others are: an editor shows all at once."""
        most = MOST_BYTES if request.scope.get("server") is not None else resources.MOST_BYTES
        asked = await asked_change(request, most, self._publisher.kinds)
        present = self._publisher.resources
        applied = await apart(lambda: [key for named in asked.delete for key in named.among(present)])
        return asked, await self._publisher.change(asked.resources, applied, carry_out=False)
