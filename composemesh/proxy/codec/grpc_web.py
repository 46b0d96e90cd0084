"""gRPC-Web, as browsers speak it: gRPC whose trailers are the last frame of the body, and which may be base64.

Browsers can neither read trailers nor send HTTP/2 as they like, so a proxy stands in front of the server (the gRPC
project's "gRPC over HTTP/2 and the web", PROTOCOL-WEB). `Call` is what it makes of one call; bytes in, bytes out.
"""

from __future__ import annotations

import binascii
import re

from composemesh.proxy.codec.parts import HTTP2, STREAMED, Fields, Malformed, RequestHead, ResponseHead

TRAILERS = 0x80
"""The flag of a frame that holds trailers, where a message's has 0, or 1 if it is compressed."""
_KIND = re.compile(rb"application/grpc-web(-text)?+(\+[a-z0-9.\-]++)?+(?:[ \t]*+;.*+)?+", re.IGNORECASE)
_NOT_ON = frozenset({b"content-length", b"content-type", b"accept", b"te", b"transfer-encoding", b"x-grpc-web"})
"""What is said of the request as it came."""
_BASE64 = re.compile(
    rb"(?:[A-Za-z0-9+/]{4})++(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?+|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}="
)
"""One padded piece, of which a client may send several one after the other."""


def asks_in_grpc_web(values: dict[bytes, bytes]) -> bool:
    """Whether a request with these fields is one of gRPC-Web."""
    return _KIND.fullmatch(values.get(b"content-type", b"")) is not None


class Call:
    """One call on its way through. The request's bytes go through `request`, the response's through `response`."""

    __slots__ = ("_answers_in_text", "_asks_in_text", "_held", "_message")

    def __init__(self, values: dict[bytes, bytes]) -> None:
        """`values`: of a request that `asks_in_grpc_web`."""
        asked = _KIND.fullmatch(values[b"content-type"])
        accepted = _KIND.fullmatch(values.get(b"accept", b""))
        assert asked is not None, "asks_in_grpc_web said so"
        self._asks_in_text = asked[1] is not None
        self._answers_in_text = (accepted or asked)[1] is not None
        self._message = (asked[2] or b"").lower()
        """What messages are made of, e.g. `+proto`."""
        self._held = b""
        """Up to three characters of base64 whose fourth has not come."""

    def __repr__(self) -> str:
        return f"<Call text={self._asks_in_text}/{self._answers_in_text} {self._message!r}>"

    def request_head(self, head: RequestHead, *, empty: bool) -> RequestHead:
        """The same call in gRPC, which is HTTP/2. `empty`: whether nothing of a body will follow."""
        fields = [field for field in head.fields if field[0].lower() not in _NOT_ON]
        values = {name: value for name, value in head.values.items() if name not in _NOT_ON}
        for name, value in ((b"content-type", b"application/grpc" + self._message), (b"te", b"trailers")):
            fields.append((name, value))
            values[name] = value
        body = 0 if empty else STREAMED
        return RequestHead(
            head.method,
            head.path,
            HTTP2,
            fields,
            values,
            head.authority,
            head.path,
            body,
            True,
            head.expect_continue,
            b"",
        )

    def request(self, payload: bytes) -> bytes:
        """A piece of the request's body. Raises Malformed for what is no base64."""
        if not self._asks_in_text:
            return payload
        text = self._held + payload
        whole = len(text) & ~3
        self._held = text[whole:]
        pieces = _BASE64.findall(text, 0, whole)
        if sum(map(len, pieces)) != whole:
            raise Malformed(400, "invalid base64")
        return b"".join(map(binascii.a2b_base64, pieces))

    def request_ended(self) -> None:
        """The request's body has ended. Raises Malformed where it should not have."""
        if self._held:
            raise Malformed(400, "invalid base64")

    def response_head(self, head: ResponseHead, fields: Fields) -> tuple[ResponseHead, Fields]:
        """The response's head, and the fields to send of it; only where `answers_in_grpc` says so."""
        kind = b"application/grpc-web" + (b"-text" if self._answers_in_text else b"") + self._message
        fields = [
            field for field in fields if field[0].lower() not in (b"content-type", b"content-length", b"trailer")
        ]
        fields.append((b"content-type", kind))
        values = {name: value for name, value in head.values.items() if name != b"content-length"}
        return ResponseHead(head.status, head.reason, HTTP2, fields, values, STREAMED, True, b""), fields

    def response(self, payload: bytes) -> bytes:
        """A piece of the response's body. In text each is padded by itself, so that none waits for the next."""
        return binascii.b2a_base64(payload, newline=False) if self._answers_in_text else payload

    def trailers(self, fields: Fields) -> bytes:
        """The frame that ends the response."""
        lines = b"".join(b"%b:%b\r\n" % (name.lower(), value) for name, value in fields)
        return self.response(bytes([TRAILERS]) + len(lines).to_bytes(4) + lines)


def answers_in_grpc(fields: Fields) -> bool:
    """Whether a response is gRPC's; what isn't (a proxy's page of error) is passed on as it is."""
    return any(name.lower() == b"content-type" and value.startswith(b"application/grpc") for name, value in fields)
