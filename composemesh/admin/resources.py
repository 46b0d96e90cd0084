"""The resources of a running mesh: shown, changed as a whole or not at all, and tried without being changed."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from composemesh.admin.guard import refusal
from composemesh.admin.views import Json, problem
from composemesh.config.resources import Resource, ResourceKey, load_documents

if TYPE_CHECKING:
    from composemesh.config.difference import Change
    from composemesh.config.publish import Publisher
    from composemesh.model.problem import Problem

MOST_BYTES = 50 << 20
"""Of the body of one request."""


class TooLarge(Exception):
    """A body that nobody means seriously."""


class Resources:
    """The handlers."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def listed(self, request: Request) -> Response:
        """`GET /api/v1/resources?kind=&name=`"""
        kind, name = request.query_params.get("kind", ""), request.query_params.get("name", "")
        found = [
            self._shown(resource)
            for key, resource in self._publisher.resources.items()
            if kind in ("", key.kind) and name in ("", key.name)
        ]
        return JSONResponse({"resources": found})

    async def changed(self, request: Request) -> Response:
        """`POST /api/v1/resources`, with `files` (`name`, `text`), `delete` (`kind`, `name`) and `dry_run`."""
        try:
            asked = _read(json.loads(await _body(request)))
        except TooLarge:
            return refusal(413, f"More than {MOST_BYTES >> 20} MiB.", "Send the documents in several requests.")
        except (ValueError, TypeError, KeyError, AttributeError):
            return refusal(400, 'The body must be JSON: {"files": [{"name": …, "text": …}], "delete": […]}.')
        resources, problems = _load(asked["files"])
        keys: list[ResourceKey] = []
        for kind, name in asked["delete"]:
            named = [key for key in self._publisher.resources if (key.kind, key.name) == (kind, name)]
            if not named:
                return refusal(404, f"There is no {kind} {name}.", "`composemesh get` lists what there is.")
            for key in named:
                if not self._publisher.is_applied(key):
                    file = self._publisher.resources[key].origin.file
                    return refusal(409, f"{key} stands in {file}.", "Take it out of that file.")
            keys += named
        if any(one.severity == "error" for one in problems):
            return _rejected(problems)
        try:
            change = await self._publisher.change(resources, keys, carry_out=not asked["dry_run"])
        except OSError as error:
            return refusal(507, f"The resources can't be kept: {error.strerror}.", "Nothing has changed.")
        return _answer(change, problems)

    def _shown(self, resource: Resource) -> Json:
        return {
            "kind": resource.kind,
            "name": resource.name,
            "api_version": resource.api_version,
            "applied": self._publisher.is_applied(resource.key),
            "file": resource.origin.file,
            "line": resource.origin.line,
            "document": resource.document,
        }


def _read(said: Any) -> dict[str, Any]:
    files = [(str(file["name"]), str(file["text"])) for file in said.get("files", ())]
    delete = [(str(key["kind"]), str(key["name"])) for key in said.get("delete", ())]
    return {"files": files, "delete": delete, "dry_run": bool(said.get("dry_run", False))}


def _load(files: list[tuple[str, str]]) -> tuple[list[Resource], list[Problem]]:
    resources: list[Resource] = []
    problems: list[Problem] = []
    for name, text in files:
        found, wrong = load_documents(text, name)
        resources += found
        problems += wrong
    return resources, problems


async def _body(request: Request) -> bytes:
    """Raises TooLarge."""
    body = bytearray()
    async with aclosing(request.stream()) as pieces:
        async for piece in pieces:
            body += piece
            if len(body) > MOST_BYTES:
                raise TooLarge
    return bytes(body)


def _rejected(problems: list[Problem]) -> Response:
    return JSONResponse({"accepted": False, "problems": [problem(one) for one in problems]}, 422)


def _answer(change: Change, problems: list[Problem]) -> Response:
    told = {
        "accepted": change.accepted,
        "created": _keys(change.created),
        "configured": _keys(change.configured),
        "unchanged": _keys(change.unchanged),
        "deleted": _keys(change.deleted),
        "effects": list(change.effects),
        "problems": [problem(one) for one in (*problems, *change.problems)],
    }
    return JSONResponse(told, 200 if change.accepted else 422)


def _keys(keys: tuple[ResourceKey, ...]) -> list[Json]:
    return [{"kind": key.kind, "name": key.name} for key in keys]
