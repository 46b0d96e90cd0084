"""Documents in, one immutable snapshot out; what is wrong with a document is data, not an exception.

Reading order: `yaml` text → values that know their line · `schema` what `x-mesh` may say, and what fields are made
of · `kinds` Istio's and Gateway API's kinds · `loaders` Compose file, labels and documents → what was said, and
where · `short` the short forms of `x-mesh` · `resources` documents → rules and policies · `analysis` what they say
together · `heard` whose settings count where several speak · `compile` all of it → Snapshot and Problems, pure and
total.

And while a mesh runs: `asking` Compose for the resolved project · `written` all that files say at one moment ·
`watch` when they have changed · `extended` documents that name plugins · `project_files` all four together ·
`spoken` what containers say · `applied` resources that came while it ran · `difference` what a change would change ·
`history` the last changes, to be taken back · `next_start` what has to wait · `moment` all that was said at one
moment, for a thread to compile · `trying` a change on such a moment · `publish` keeps the last good one of
everything, and publishes what differs.
"""
