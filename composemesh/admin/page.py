"""The page at `/`: one document, and files whose names change with their content.

Everything it needs comes from here. Its Content-Security-Policy holds it to that: no script, style, font, picture or
connection of anybody else's, nothing inline, and no text that becomes markup (Trusted Types without a policy).
"""

from __future__ import annotations

import gzip
import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

import trio
from starlette.responses import Response
from starlette.routing import Route

from composemesh import ui
from composemesh.admin.guard import refusal

if TYPE_CHECKING:
    from starlette.requests import Request

POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
NOT_BUILT = """\

There is no page here: this copy of composemesh was installed without one. `make setup` builds it, with Node 20.19
or later.
"""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_FOR_EVER = "public, max-age=31536000, immutable"
"""For files whose name says what is in them."""
_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}
"""What browsers insist on. Not `mimetypes`, which says what the machine's /etc/mime.types says."""
_SMALL = 1024
"""Bytes that are not worth compressing."""


class Asset(NamedTuple):
    content: bytes
    compressed: bytes
    """By gzip; empty where that is not worth it."""
    media_type: str
    etag: str


class Page:
    """The handlers. Files are read when they are first asked for, and then kept: a third of a megabyte in all."""

    def __init__(self) -> None:
        self._kept: dict[str, Asset] = {}

    def routes(self) -> list[Route]:
        return [Route("/assets/{name}", self.asset, methods=["GET"])]

    async def document(self, request: Request) -> Response | None:
        """The page itself, where it is a page that is asked for and the build made one."""
        if "text/html" not in request.headers.get("accept", ""):
            return None
        asset = await self._asset("index.html")
        if asset is None:
            return None
        headers = {"content-security-policy": POLICY, "cache-control": "no-cache", "vary": "accept, accept-encoding"}
        return _answer(request, asset, headers)

    async def asset(self, request: Request) -> Response:
        """`GET /assets/NAME`: a script, a style, a picture."""
        name = request.path_params["name"]
        asset = await self._asset(f"assets/{name}") if _NAME.fullmatch(name) else None
        if asset is None:
            return refusal(404, "Not Found.", "The page is another by now: load it again.")
        return _answer(request, asset, {"cache-control": _FOR_EVER, "vary": "accept-encoding"})

    async def _asset(self, name: str) -> Asset | None:
        kept = self._kept.get(name)
        if kept is None:
            kept = await trio.to_thread.run_sync(_load, name)
            if kept is not None:
                self._kept[name] = kept
        return kept


def _load(name: str) -> Asset | None:
    content = ui.read(name)
    if content is None:
        return None
    compressed = gzip.compress(content, mtime=0) if len(content) > _SMALL else b""
    media_type = _TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return Asset(content, compressed, media_type, hashlib.sha256(content).hexdigest()[:20])


def _answer(request: Request, asset: Asset, headers: dict[str, str]) -> Response:
    packed = bool(asset.compressed) and "gzip" in request.headers.get("accept-encoding", "")
    headers["etag"] = f'"{asset.etag}{"-gzip" if packed else ""}"'
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if packed:
        headers["content-encoding"] = "gzip"
    return Response(asset.compressed if packed else asset.content, headers=headers, media_type=asset.media_type)
