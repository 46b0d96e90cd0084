"""What `x-mesh: {filters: [{compress: …}]}` may say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from composemesh.plugin import Bytes, setting
from composemesh_compress.coders import PACKAGES, Coding, Level, is_installed

_TYPE = re.compile(r"[a-z0-9!#$&^_.+-]+/(\*|[a-z0-9!#$&^_.+-]+)")
TYPES = (
    *("text/html", "text/plain", "text/css", "text/csv", "text/xml", "text/javascript", "text/markdown"),
    *("application/json", "application/javascript", "application/xml", "application/xhtml+xml", "application/wasm"),
    *("application/problem+json", "application/ld+json", "application/manifest+json", "application/x-ndjson"),
    *("application/rss+xml", "application/atom+xml", "image/svg+xml", "font/ttf", "font/otf"),
)
"""What shrinks. Images, videos and archives are compressed already."""


@dataclass(frozen=True)
class CompressConfig:
    """The settings of the filter, with what it does where nothing is said."""

    codings: tuple[Coding, ...] = setting("Which there are, the best first; those installed if unsaid.", ())
    level: Level = setting("How much work it may be.", "balanced")
    min_length: Bytes = setting("Answers that are known to be shorter stay as they are.", 512)
    types: tuple[str, ...] = setting("Media types, `text/*` for all of one kind.", TYPES)

    def __post_init__(self) -> None:
        for coding in self.codings:
            if not is_installed(coding):
                raise ValueError(f"codings has {coding}, which needs the package {PACKAGES[coding]}: install it")
        for media_type in self.types:
            if not _TYPE.fullmatch(media_type):
                raise ValueError(f"{media_type!r:.80} is no media type in lowercase, like text/html or text/*")

    @property
    def offered(self) -> tuple[str, ...]:
        return self.codings or tuple(coding for coding in ("zstd", "br", "gzip") if is_installed(coding))
