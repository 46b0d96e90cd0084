"""What uvicorn and hypercorn serve: each request comes back as one line of JSON."""

from __future__ import annotations

import json
from typing import Any


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            word = (await receive())["type"]
            await send({"type": f"{word}.complete"})
            if word == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    target = scope["raw_path"].decode()
    said = {"method": scope["method"], "target": target, "body": body.decode("latin-1")}
    line = json.dumps(said).encode() + b"\n"
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(line))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": line})
