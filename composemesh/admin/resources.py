"""The resources of a running mesh: shown, changed as a whole or not at all, and changes taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

from composemesh.admin import resource_views
from composemesh.admin.apart import apart
from composemesh.admin.bodies import Asked, Named, asked_change, asked_step
from composemesh.admin.guard import refusal
from composemesh.admin.views import Json, problem
from composemesh.config.history import CannotUndo
from composemesh.config.resources import ResourceKey
from composemesh.config.trying import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from composemesh.config.kinds import Kinds
    from composemesh.config.publish import Publisher
    from composemesh.config.resources import Resource

MOST_BYTES = 50 << 20
"""Of the body of one request with the token."""
NOT_KEPT = "The resources can't be kept: {}."


class Resources:
    """The handlers."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def listed(self, request: Request) -> Response:
        """`GET /api/v1/resources?kind=&name=`, the kind in any case; `brief=true` leaves the documents out."""
        kind, name = request.query_params.get("kind", ""), request.query_params.get("name", "")
        brief = request.query_params.get("brief") == "true"
        resources, written = self._publisher.resources, self._publisher.written

        def told() -> Response:
            behind = {one.key: one for one in written.resources}
            found = [
                self._shown(one, behind.get(key))
                for key, one in resources.items()
                if kind.lower() in ("", key.kind.lower()) and name in ("", key.name)
            ]
            if brief:
                found = [{word: value for word, value in one.items() if word != "document"} for one in found]
            blocks = [resource_views.block(one) for one in written.document.written]
            return JSONResponse({"resources": found, "compose": blocks})

        return await apart(told)

    async def one(self, request: Request) -> Response:
        """`GET /api/v1/resources/KIND/NAME?group=`: with its text, and its version as ETag."""
        named = Named(request.path_params["kind"], request.path_params["name"], request.query_params.get("group", ""))
        resources = self._publisher.resources
        keys = named.among(resources)
        if not keys:
            return _absent(named)
        found = resources[keys[0]]
        behind = {one.key: one for one in self._publisher.written.resources}

        def told() -> Response:
            shown = self._shown(found, behind.get(keys[0])) | resource_views.text_of(found)
            return JSONResponse(shown, headers={"etag": f'"{found.version}"'})

        return await apart(told)

    async def changed(self, request: Request) -> Response:
        """`POST /api/v1/resources`, with `files`, `delete_files`, `delete`, `expect`, `dry_run` (`bodies`)."""
        asked = await asked_change(request, MOST_BYTES, self._publisher.kinds)
        resources = self._publisher.resources
        keys, expected = await apart(lambda: (self._deleted(asked, resources), _expected(asked, resources)))
        if isinstance(keys, Response):
            return keys
        if not asked.sound:
            told = {"accepted": False, "problems": [problem(one) for one in asked.problems]}
            return JSONResponse(told, 422)
        try:
            change = await self._publisher.change(asked.resources, keys, expect=expected, carry_out=not asked.dry_run)
        except Conflict as conflict:
            return refusal(412, str(conflict), "Read the resource again, and make your change to what it is now.")
        except OSError as error:
            return refusal(507, NOT_KEPT.format(error.strerror), "Nothing has changed.")
        return JSONResponse(resource_views.change(change, asked.problems), 200 if change.accepted else 422)

    async def history(self, request: Request) -> Response:
        """`GET /api/v1/history`: the changes that can be taken back, the newest first."""
        return JSONResponse({"steps": [resource_views.step(one) for one in reversed(self._publisher.steps)]})

    async def undone(self, request: Request) -> Response:
        """`POST /api/v1/undo`: the newest change taken back; with an `id`, only if it is that one."""
        wanted = await asked_step(request, 1 << 10)
        try:
            change = await self._publisher.undo(wanted)
        except CannotUndo as problem:
            return refusal(409, str(problem), "GET /api/v1/history lists what can be taken back.")
        except OSError as error:
            return refusal(507, NOT_KEPT.format(error.strerror), "Nothing has changed.")
        return JSONResponse(resource_views.change(change), 200 if change.accepted else 422)

    async def kinds(self, request: Request) -> Response:
        """`GET /api/v1/schema`: the kinds that documents may be of."""
        return JSONResponse({"kinds": [{"kind": one.name, "api_version": one.api_version} for one in self._kinds]})

    async def schema(self, request: Request) -> Response:
        """`GET /api/v1/schema/KIND?group=`: the JSON Schema of its documents."""
        kind, group = request.path_params["kind"], request.query_params.get("group", "")
        found = [one for one in self._kinds.called(kind) if group in ("", one.group)]
        if not found:
            return refusal(404, "There is no such kind.", f"The kinds are {', '.join(sorted(self._kinds.names))}.")
        return JSONResponse(found[0].schema())

    @property
    def _kinds(self) -> Kinds:
        return self._publisher.kinds

    def _shown(self, one: Resource, behind: Resource | None) -> Json:
        return resource_views.resource(one, applied=self._publisher.is_applied(one.key), behind=behind)

    def _deleted(self, asked: Asked, resources: Mapping[ResourceKey, Resource]) -> list[ResourceKey] | Response:
        """The keys that are to go, or why they can't."""
        keys: list[ResourceKey] = []
        for named in asked.delete:
            found = named.among(resources)
            if not found:
                return _absent(named)
            for key in found:
                if not self._publisher.is_applied(key):
                    file = resources[key].origin.file
                    return refusal(409, f"{key} stands in {file}.", "Take it out of that file.")
            keys += found
        return keys


def _expected(asked: Asked, resources: Mapping[ResourceKey, Resource]) -> dict[ResourceKey, str]:
    known = {*resources, *(one.key for one in asked.resources)}
    return {
        key: named.version
        for named in asked.expect
        for key in named.among(known) or [ResourceKey(named.group, named.kind, named.name)]
    }


def _absent(named: Named) -> Response:
    return refusal(404, f"There is no {named}.", "`composemesh get` lists what there is.")
