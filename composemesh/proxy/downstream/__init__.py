"""Connections from callers, one file a protocol: each reads requests, and lends the spine its ears and its mouth."""
