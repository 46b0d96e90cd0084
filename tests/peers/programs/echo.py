"""What gunicorn serves: each request comes back as one line of JSON, and stands in the log before it does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    if environ["REQUEST_METHOD"] == "CONNECT":  # an application that says 200 here promises a tunnel
        start_response("405 Method Not Allowed", [("Content-Length", "0")])
        return []
    body = environ["wsgi.input"].read()
    said = {"method": environ["REQUEST_METHOD"], "target": environ["RAW_URI"], "body": body.decode("latin-1")}
    line = json.dumps(said).encode() + b"\n"
    os.write(1, line)
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(line)))])
    return [line]
