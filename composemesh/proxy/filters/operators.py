"""What Envoy's command operators stand for, for one request."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from composemesh.routing.operators import Operator

if TYPE_CHECKING:
    from composemesh.proxy.codec.parts import RequestHead
    from composemesh.proxy.exchange import Downstream, Exchange

Meaning = Callable[["Exchange", "Downstream", "RequestHead", str], object]
"""Of the exchange as it is, its caller, the head as it came, and the operator's argument."""


def _header(head: RequestHead, names: str) -> str:
    for name in names.lower().split("?"):
        pseudo = {":authority": head.authority, ":method": head.method, ":path": head.path}
        value = pseudo.get(name) or head.values.get(name.encode())
        if value:
            return value.decode("latin-1")
    return ""


def _meanings() -> dict[str, Meaning]:
    # In a function, since mypyc may read the module before it knows what an Exchange has.
    return {
        "BYTES_RECEIVED": lambda x, down, head, _: x.record.bytes_received,
        "DOWNSTREAM_LOCAL_PORT": lambda x, down, head, _: down.port,
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": lambda x, down, head, _: down.peer_text,
        "HOSTNAME": lambda x, down, head, _: down.source.workload,
        "PROTOCOL": lambda x, down, head, _: {10: "HTTP/1.0", 11: "HTTP/1.1"}.get(head.version, "HTTP/2"),
        "REQ": lambda x, down, head, names: _header(head, names),
        "RESPONSE_CODE": lambda x, down, head, _: x.record.response_code,
        "RESPONSE_FLAGS": lambda x, down, head, _: x.record.flag.value,
        "ROUTE_NAME": lambda x, down, head, _: x.record.route,
        "START_TIME": lambda x, down, head, _: (
            datetime.fromtimestamp(x.record.start, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        ),
        "UPSTREAM_HOST": lambda x, down, head, _: x.record.upstream_address,
    }


MEANINGS = _meanings()


def fill(parts: tuple[str | Operator, ...], x: Exchange, down: Downstream, head: RequestHead) -> str:
    """A value, with its operators replaced."""
    said = []
    for part in parts:
        if isinstance(part, Operator):
            text = str(MEANINGS[part.name](x, down, head, part.argument))
            said.append(text[: part.longest] if part.longest else text)
        else:
            said.append(part)
    return "".join(said)
