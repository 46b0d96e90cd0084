"""One target of `wire.guided`, in a process that libFuzzer takes over: `python -m wire.guided_target NAME OPTION…`"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["composemesh.proxy.codec"]):
    from hpack import Decoder
    from hpack.exceptions import HPACKError

    from composemesh.proxy.codec import client_hello, grammar, proxy_protocol
    from composemesh.proxy.codec.grpc_web import Call
    from composemesh.proxy.codec.h2.hpack import LeanDecoder
    from composemesh.proxy.codec.parts import Malformed
    from wire import fuzz
    from wire.h2 import sanity

CHUNKED = {
    "request": b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "response": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
}
TABLE = 65536


def agree(kind: str, raw: bytes) -> None:
    trouble = fuzz.disagreement(kind, raw)
    assert trouble == "", trouble


def chunked(data: bytes) -> None:
    for kind, head in CHUNKED.items():
        agree(kind, head + data)


def frames(data: bytes) -> None:
    """The first byte says how large the pieces are in which the rest is heard again."""
    sanity.check_server(data[1:], 1 + data[0] if data else 1)
    sanity.check_client(data[1:])


def hpack(data: bytes) -> None:
    """Blocks for one table, the length of each in a byte before it: ours and hpack's own decoder find the same."""
    ours, theirs = LeanDecoder(TABLE), Decoder(TABLE)
    while data:
        size, data = data[0], data[1:]
        found, expected = (_decoded(decoder, data[:size]) for decoder in (ours, theirs))
        assert found == expected, f"{found} and not {expected}"
        if found is None:
            return
        data = data[size:]


def _decoded(decoder: Decoder, raw: bytes) -> list[tuple[bytes, bytes]] | None:
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(raw, raw=True)]
    except HPACKError:
        return None


def hello(data: bytes) -> None:
    """However a ClientHello is cut, it is understood, or refused, at one certain byte."""
    _settles(client_hello.parse, data)


def introduction(data: bytes) -> None:
    """The same of the PROXY protocol; and what is understood can be said again."""
    stated = _settles(proxy_protocol.parse, data)
    if isinstance(stated, proxy_protocol.Stated):
        assert 0 < stated.size <= len(data)
        if stated.source and stated.destination:
            for version in (1, 2):
                again = proxy_protocol.parse(proxy_protocol.encode(version, stated.source, stated.destination))
                assert again is not None
                assert (again.source, again.destination) == (stated.source, stated.destination)


def _settles(parse: Callable[[bytes], object], data: bytes) -> object:
    """What is made of the bytes, one after the other: once that is clear, no more of them change it."""
    outcomes = [_outcome(parse, data[:size]) for size in range(len(data) + 1)]
    clear = [repr(outcome) for outcome in outcomes if outcome is not None]
    assert len(set(clear)) <= 1, clear
    assert outcomes[len(outcomes) - len(clear) :].count(None) == 0
    return outcomes[-1]


def _outcome(parse: Callable[[bytes], object], data: bytes) -> object:
    try:
        return parse(data)
    except Malformed:
        return "refused"


def grpc_web(data: bytes) -> None:
    """The first byte says how large the pieces are. Base64 means the same, or nothing, however it is cut."""
    if not data:
        return
    text, size = data[1:], 1 + data[0] % 9
    assert _spoken([text]) == _spoken([text[at : at + size] for at in range(0, len(text), size)])


def _spoken(pieces: list[bytes]) -> bytes | None:
    call = Call({b"content-type": b"application/grpc-web-text"})
    try:
        said = b"".join(map(call.request, pieces))
        call.request_ended()
    except Malformed:
        return None
    return said


def careless() -> Callable[[bytes], None]:
    """`chunked`, were chunk sizes read as Python reads integers: to see that this is found."""
    lax = grammar.FIRST_CHUNK.pattern.replace(b"[0-9A-Fa-f]{1,16}", b"[0-9A-Fa-f_]{1,16}")
    grammar.FIRST_CHUNK = re.compile(lax)
    return chunked


TARGETS: dict[str, Callable[[bytes], None]] = {
    "request": lambda data: agree("request", data),
    "response": lambda data: agree("response", data),
    "chunked": chunked,
    "frames": frames,
    "hpack": hpack,
    "hello": hello,
    "introduction": introduction,
    "grpc-web": grpc_web,
}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS.get(sys.argv[1]) or careless())
    atheris.Fuzz()
