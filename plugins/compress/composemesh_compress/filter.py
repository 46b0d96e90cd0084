"""The filter: decides by the answer's head, then compresses its body piece by piece.

An answer whose length was not known is somebody writing as he goes: each piece is flushed, so that its reader sees it
at once. One of known length is a file, and is compressed without regard for where its pieces end.
"""

from __future__ import annotations

from composemesh.plugin import Exchange
from composemesh_compress.coders import CODERS, LEVELS, Coder
from composemesh_compress.config import CompressConfig
from composemesh_compress.negotiate import IDENTITY, choose
from composemesh_compress.suits import long_enough, may_vary, transforms_are_forbidden

_VARY = "accept-encoding"


class Compress:
    """Compresses what is worth it, in what the caller takes."""

    Config = CompressConfig

    def __init__(self, config: CompressConfig) -> None:
        self._config = config
        self._types = frozenset(config.types)
        self._offered = config.offered
        self._levels = {coding: levels[config.level] for coding, levels in LEVELS.items()}

    def __repr__(self) -> str:
        return f"<Compress {', '.join(self._offered)} {self._config.level}>"

    def on_response(self, x: Exchange) -> None:
        coding = self._coding(x)
        if coding == IDENTITY:
            x.keep_body(self)
            return
        headers = x.response_headers
        x.state[self] = CODERS[coding](self._levels[coding]), "content-length" not in headers  # type: ignore[index]
        headers.set("content-encoding", coding)
        headers.remove("accept-ranges")  # of the answer as it was
        tag = headers.get("etag")
        if tag.startswith('"'):
            headers.set("etag", f"W/{tag}")  # the same to a reader, and not byte for byte (RFC 9110, 8.8.1)

    def on_response_body(self, x: Exchange, data: bytes) -> bytes:
        made: tuple[Coder, bool] = x.state[self]
        coder, flushed = made
        if not data:
            return coder.end()
        out = coder.piece(data)
        return out + coder.flush() if flushed else out

    def _coding(self, x: Exchange) -> str:
        """What the answer is to be sent in. Says so to caches, where another caller may get another."""
        headers = x.response_headers
        if x.method in ("HEAD", "CONNECT") or x.is_grpc or not may_vary(x.status, headers, self._types):
            return IDENTITY
        if not long_enough(headers, max(self._config.min_length, 1)):
            return IDENTITY
        named = [name.strip().lower() for name in headers.get("vary").split(",")]
        if _VARY not in named and "*" not in named:
            headers.add("vary", "Accept-Encoding")
        if transforms_are_forbidden(x.headers):
            return IDENTITY
        return choose(x.headers.get(_VARY), self._offered)
