"""The mesh told to others: Envoys and proxyless gRPC clients take the same snapshot that our own sidecars run on.

    protos      Envoy's messages, built from descriptors that ship as data
    resources   snapshot, workloads and node in, resources of every type out: pure

Nothing here is imported, and no protobuf loaded, before the first client comes.
"""
