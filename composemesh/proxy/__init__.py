"""The request path. Read it from the top; a file imports only what stands below it.

    fleet        captures come and go → sidecars start and stop; the one writer of the plan
    listener     accept, overload back-off, drain
    connection   one accepted socket: whose is it, what does it speak → serve, or relay
    serve        THE SPINE, page 1: route → shape → forward → record
    forward      THE SPINE, page 2: pick → checkout → send → retry → answer
    plan         snapshot, workloads and captures → live clusters and endpoints, bound once
    balance/ retry pool readiness    which · again? · reuse · may it be sent anything yet
    upstream     dial from where the callee stands
    headers refuse    what a sidecar adds and takes away · the one table flag → status and text
    exchange     what one request carries
    codec/ detect relay wire         bytes: sans-I/O HTTP/1.1, first bytes, pumping, non-blocking sockets

One hop does the work of Istio's two sidecars: the caller's socket is accepted inside the caller's namespace, and
the callee is dialled inside its own, so a request between two workloads of one host never crosses a wire.
"""
