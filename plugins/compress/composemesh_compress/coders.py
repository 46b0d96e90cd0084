"""The libraries behind the codings: zlib of Python itself, Brotli and Zstandard where they are installed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import Literal, Protocol

Coding = Literal["zstd", "br", "gzip"]
Level = Literal["fast", "balanced", "best"]

PACKAGES: Mapping[str, str] = {"zstd": "zstandard", "br": "brotli"}
"""What a coding needs besides Python."""
LEVELS: Mapping[Coding, Mapping[Level, int]] = {
    "gzip": {"fast": 1, "balanced": 5, "best": 9},
    "br": {"fast": 1, "balanced": 4, "best": 9},
    "zstd": {"fast": 1, "balanced": 3, "best": 12},
}
"""The libraries' own. Brotli's 10 and 11 take seconds for a megabyte, which nobody has in the path of a request."""


class Coder(Protocol):
    """One answer's."""

    def piece(self, data: bytes) -> bytes:
        """What is ready of it; the rest is held back until more has come."""

    def flush(self) -> bytes:
        """All that was held back, so that what has come so far can be read."""

    def end(self) -> bytes:
        """The rest."""


def is_installed(coding: str) -> bool:
    return coding not in PACKAGES or find_spec(PACKAGES[coding]) is not None


class Gzip:
    def __init__(self, level: int) -> None:
        self._made = zlib.compressobj(level, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
        self.piece: Callable[[bytes], bytes] = self._made.compress
        self.flush: Callable[[], bytes] = partial(self._made.flush, zlib.Z_SYNC_FLUSH)
        self.end: Callable[[], bytes] = self._made.flush


class Brotli:
    def __init__(self, level: int) -> None:
        import brotli

        made = brotli.Compressor(quality=level)
        self.piece: Callable[[bytes], bytes] = made.process
        self.flush: Callable[[], bytes] = made.flush
        self.end: Callable[[], bytes] = made.finish


class Zstd:
    """Its levels here have windows of 4 MiB at most; browsers take 8 (RFC 9659)."""

    def __init__(self, level: int) -> None:
        import zstandard

        made = zstandard.ZstdCompressor(level=level).compressobj()
        self.piece: Callable[[bytes], bytes] = made.compress
        self.flush: Callable[[], bytes] = partial(made.flush, zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        self.end: Callable[[], bytes] = made.flush


CODERS: Mapping[str, Callable[[int], Coder]] = {"gzip": Gzip, "br": Brotli, "zstd": Zstd}
