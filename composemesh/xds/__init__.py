"""The mesh told to others: Envoys and proxyless gRPC clients take the same snapshot that our own sidecars run on.

port        where it opens; what follows is loaded when the first client comes
server      connections: `http2` carries calls (`call`), `http1` requests of who polls; `budget`, `frames` limit
            calls; `attention` says whom to leave; `outlet` writes
streams     gRPC's methods, a stream each; `rest` the same for who polls
worlds      what each client is to have; `roster` who has what; `complaints` a few lines about the rest
session     what is said on one stream, in which order; `state` and `delta`, on `watch`, its part about one type;
            `refusals` what a client would not take of it
messages    `talk`, which is values, from bytes and to bytes; `grpc` frames them
resource_types  what they are called, and what their absence means
bootstrap   what an Envoy is started with; `export` prints it
resources   snapshot, workloads and node in, resources of every type out: pure
protos      Envoy's messages, built from descriptors that ship as data
"""
