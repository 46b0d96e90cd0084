"""One target of `wire.guided`, in a process that libFuzzer takes over: `python -m wire.guided_target NAME OPTION…`"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["composemesh.proxy.codec"]):
    from hpack import Decoder
    from hpack.exceptions import HPACKError

    from composemesh.proxy.codec import grammar
    from composemesh.proxy.codec.h2.hpack import LeanDecoder
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
}

if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS.get(sys.argv[1]) or careless())
    atheris.Fuzz()
