"""What the codec costs: `PYTHONPATH=.:tests python -m wire.cost` prints microseconds a call, best of several runs."""

from __future__ import annotations

import timeit
from collections.abc import Callable

from composemesh.proxy.codec.body import ChunkedBody, LengthBody, encode_chunk
from composemesh.proxy.codec.h1 import HeadBuffer, encode_request, encode_response, parse_request, parse_response
from composemesh.proxy.detect import detect

REQUEST = (
    b"GET /productpage?u=normal HTTP/1.1\r\nHost: productpage:9080\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    b"Cookie: session=eyJ1c2VyIjoiamFzb24ifQ.Zz\r\nx-request-id: 0b6a1b5e-3f3a-4d0e-9c1c-0b3f8d5a2a11\r\n"
    b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nend-user: jason\r\n\r\n"
)
"""Ten fields: a browser's, and what a mesh adds."""
SMALL = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
"""What wrk sends."""
RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Fri, 20 Nov 2026 19:20:00 GMT\r\nConnection: keep-alive\r\n"
    b"Content-Type: application/json\r\nContent-Length: 295\r\nx-envoy-upstream-service-time: 4\r\n\r\n"
)
CHUNKED = b"127\r\n" + b"x" * 0x127 + b"\r\n0\r\n\r\n"


def calls() -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    request, response = parse_request(REQUEST), parse_response(RESPONSE, b"GET")
    return {
        "parse_request, 10 fields": lambda: parse_request(REQUEST),
        "parse_request, 1 field": lambda: parse_request(SMALL),
        "parse_response, 6 fields": lambda: parse_response(RESPONSE, b"GET"),
        "encode_request, 10 fields": lambda: encode_request(request.method, request.path, request.fields),
        "encode_response, 6 fields": lambda: encode_response(200, response.reason, response.fields),
        "HeadBuffer, two pieces": lambda: (held := HeadBuffer()).feed(REQUEST[:99]) or held.feed(REQUEST[99:]),
        "LengthBody, whole": lambda: LengthBody(295).feed(CHUNKED[5:300]),
        "ChunkedBody, whole": lambda: ChunkedBody().feed(CHUNKED),
        "encode_chunk": lambda: encode_chunk(CHUNKED[5:300]),
        "detect": lambda: detect(REQUEST),
    }


def microseconds(call: Callable[[], object], number: int = 5000, runs: int = 7) -> float:
    """The best average of several runs: what the code costs when nobody else uses the machine."""
    return min(timeit.repeat(call, number=number, repeat=runs)) / number * 1e6


if __name__ == "__main__":
    for name, call in calls().items():
        print(f"{name:28} {microseconds(call):6.2f} µs")
