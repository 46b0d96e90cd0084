"""HTTP without a socket: bytes in, heads and payload out. Strict, because a lenient parser is a way in.

`parts` what a message is made of · `grammar` the bytes that may stand where · `h1` heads: parse, encode (`collect`
gathers their bytes) · `why` one was refused · `body` payloads: by length, in chunks, until the end · `h2/` the same
for HTTP/2 · `given` fields of programs, checked as strictly · `grpc_web` gRPC as browsers speak it · `client_hello`
what TLS says in clear · `proxy_protocol` who a connection is from.

Two parsers that read one message differently are how requests are smuggled (RFC 9112, 11.2). So nothing here
guesses: what the grammar does not allow is refused with `Malformed`, the connection ends, and whatever is sent on
was written anew from what was understood.
"""
