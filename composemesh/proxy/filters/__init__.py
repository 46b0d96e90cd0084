"""What a rule does to a request besides sending it somewhere: one file an action, its pure part apart.

actions        a rule, compiled for the request path
faults         delays and aborts
cors           cross-origin requests
redirect       an answer that sends the caller elsewhere
direct         an answer of the mesh's own
rewrite        path and authority
changes        header operations; `operators` what Envoy's command operators in them stand for
mirror         copies that nobody waits for
timeout        time for the whole request

`header_filter` is no action of rules, but the built-in filter `headers`: see `chain/`.
"""
