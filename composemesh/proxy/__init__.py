"""The request path. Read it from the top; a file imports only what stands below it.

    fleet          captures come and go → sidecars start and stop; the one writer of the plan
    gateway        gateways come and go → ports of the host are opened and closed
    entrance       one such port, and a connection there: certificate, host → serve, or pass on
    listener       accept, overload back-off, drain
    connection     one accepted socket: where was it going, what does it speak → serve, or pass on
    introduction   who the client is, where a proxy in front of us says it
    first_words    who speaks first, and what that means
    downstream/    callers: h1 · h2, and a stream of it · opaque
    lane           the fast lane: a plain exchange in two calls of the reactor, by the spine's own decisions
    serve          THE SPINE, page 1: filter → route → forward → record
    route          what rules make of a request: resolve, then every action in its order
    filters/       the actions of rules: faults · cors · redirect · rewrite · changes · mirror · timeout …
    forward        THE SPINE, page 2: pick → checkout → send → retry
    answer         the way back: head, body, trailers
    checkout       which connection, and in which protocol
    grpc_web       callers in gRPC-Web, seen as callers in gRPC
    offers         servers of gateways on one port, and which of them a name means
    planner        what outlives plans, and makes them
    plan           snapshot, workloads and captures → live clusters, bound once; `standing` knows how endpoints stand
    outside        what is no service of the project: hosts of entries, bare addresses, and the wall
    entries        ServiceEntries, bound: whom a host or an address means, and where; `resolutions` looks names up
    egress         what callers may reach outside, and who was refused what
    rules          the rules that one caller may meet on its way to one place, and where they lead
    tries          whom to ask, how long, and again, where a rule or a policy has a say
    cluster        endpoints, and the targets that one caller can reach
    chain/         filters of plugins: hooks, in order, and bodies that go through them
    policies       what a DestinationRule says of calls, bound to what is live
    readiness      may it be sent anything yet
    balance/ retry pool      which · again? · reuse
    limits outlier           how much at a time · who is left out
    upstream/      endpoints: dial from where the callee stands · h1 · h2
    edge           what a gateway makes of strangers
    between        what stands between a caller and the spine: bodies through filters, gRPC-Web
    headers refuse load      what a sidecar adds and takes away · flag → status and text · how much is too much
    exchange       what one request carries, and what the spine asks of both ends
    multiplex detect relay   HTTP/2 on a wire, `stream` by stream · first bytes · pumping
    codec/ tls wire          sans-I/O HTTP/1.1 and HTTP/2 · encrypted · non-blocking sockets
    reactor        an epoll of our own, and who waits for what
    alarm woken    deadlines by the thousand · what a woken task is told

One hop does the work of Istio's two sidecars: the caller's socket is accepted inside the caller's namespace, and
the callee is dialled inside its own, so a request between two workloads of one host never crosses a wire.
"""
