"""The mesh told to others: Envoys and proxyless gRPC clients take the same snapshot that our own sidecars run on.

    session     what is said on one stream, in which order; `watch` is its part about one type
    messages    `talk`, which is values, from bytes and to bytes; `grpc` frames them
    kinds       the types of resources
    protos      Envoy's messages, built from descriptors that ship as data
    resources   snapshot, workloads and node in, resources of every type out: pure

Nothing here is imported, and no protobuf loaded, before the first client comes.
"""
