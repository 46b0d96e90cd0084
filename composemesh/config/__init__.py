"""Documents in, one immutable snapshot out; what is wrong with a document is data, not an exception.

Reading order: `yaml` text → values that know their line · `schema` what `x-mesh` may say · `loaders` Compose file and
labels → settings that know where they were said · `compile` settings → Snapshot and Problems, pure and total ·
`publish` watches the documents, keeps the last good one, and publishes what differs.
"""
