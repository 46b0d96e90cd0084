"""What a message is made of: plain slotted classes, since one of each is made for every request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HTTP2: Final = 20
"""`version` of a head that came in HTTP/2; HTTP/1.0 is 10 and HTTP/1.1 is 11."""
CHUNKED: Final = -1
"""`body` of a message whose payload comes in chunks (RFC 9112, 7.1)."""
UNTIL_CLOSE: Final = -2
"""`body` of a response that ends with its connection (RFC 9112, 6.3, rule 8)."""
STREAMED: Final = -3
"""`body` of an HTTP/2 message that ends with its stream and did not say how long it is (RFC 9113, 8.1)."""

Fields = list[tuple[bytes, bytes]]
"""Field lines in the order received: name as received, value without the whitespace around it."""

NO_FIELDS: Final[Fields] = []
"""For whoever has none; never added to."""


class Malformed(Exception):
    """These bytes are not a message that we take. Answer with `status`, then close: the framing is lost."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        """400, 408, 411, 413, 414, 431, 501 or 505; from an upstream, each of them means a 502."""
        self.reason = reason
        """One phrase for the log, in our own words: never bytes of the peer's."""

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a peer may send before it is refused, in bytes unless said otherwise."""

    line: int = 8192
    """The request line, without its CRLF (414). RFC 9112, 3 recommends 8000 at least."""
    head: int = 61440
    """The whole head (431): as Envoy's default of 60 KiB."""
    fields: int = 100
    """Field lines in a head (431), as Envoy's default; and in a trailer section."""
    trailers: int = 8192
    """The trailer section after the last chunk."""
    extension: int = 4096
    """The extensions of one chunk."""
    extensions: int = 16384
    """The extensions of all chunks of one message."""
    body: int = 2**62
    """A Content-Length or the size of one chunk: what still fits a signed 64-bit sum of two."""


LIMITS: Final = Limits()


class RequestHead:
    """A request up to its empty line, understood and checked."""

    __slots__ = (
        "authority",
        "body",
        "expect_continue",
        "fields",
        "keep_alive",
        "method",
        "path",
        "target",
        "upgrade",
        "values",
        "version",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        version: int,
        fields: Fields,
        values: dict[bytes, bytes],
        authority: bytes,
        path: bytes,
        body: int,
        keep_alive: bool,
        expect_continue: bool,
        upgrade: bytes,
    ) -> None:
        self.method = method
        self.target = target
        """As received."""
        self.version = version
        """10 or 11."""
        self.fields = fields
        self.values = values
        """Lowercase name → value; the values of several lines of one name are joined with `, `."""
        self.authority = authority
        """Whom the request is for: the target's authority where it has one, else Host; empty only in HTTP/1.0."""
        self.path = path
        """Path and query, also of an absolute target; `*` as received; empty for CONNECT."""
        self.body = body
        """Bytes to come, or CHUNKED."""
        self.keep_alive = keep_alive
        """Whether the client can take another response on this connection."""
        self.expect_continue = expect_continue
        """Whether the client waits for a 100 before it sends the body."""
        self.upgrade = upgrade
        """The protocols asked for, lowercase; empty where the connection is to stay HTTP."""

    @property
    def is_connect(self) -> bool:
        return self.method == b"CONNECT"

    def __repr__(self) -> str:
        return f"<RequestHead {self.method!r} {self.authority!r} {self.path!r} body={self.body}>"


class ResponseHead:
    """A response up to its empty line, understood and checked."""

    __slots__ = ("body", "fields", "keep_alive", "reason", "status", "upgrade", "values", "version")

    def __init__(
        self,
        status: int,
        reason: bytes,
        version: int,
        fields: Fields,
        values: dict[bytes, bytes],
        body: int,
        keep_alive: bool,
        upgrade: bytes,
    ) -> None:
        self.status = status
        self.reason = reason
        self.version = version
        """10 or 11."""
        self.fields = fields
        self.values = values
        """Lowercase name → value; several are joined with `, ` (for Set-Cookie read `fields`)."""
        self.body = body
        """Bytes to come, CHUNKED or UNTIL_CLOSE; 0 where no body can be (HEAD, 1xx, 204, 304), whatever is said."""
        self.keep_alive = keep_alive
        """Whether the connection can carry another request once the body has ended."""
        self.upgrade = upgrade
        """Of a 101: the protocol the connection now speaks, lowercase. Compare it with what was asked."""

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status} body={self.body}>"
