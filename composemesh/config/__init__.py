"""Documents in, one immutable snapshot out; what is wrong with a document is data, not an exception.

Reading order: `yaml` text → values that know their line · `schema` what `x-mesh` may say, and what fields are
made of · `kinds` Istio's and Gateway API's kinds · `loaders` Compose file, labels and documents → what was said, and
where · `resources` documents → rules and policies · `analysis` what they say together · `compile` all of it →
Snapshot and Problems, pure and total · `publish` watches the documents, keeps the last good one, and publishes what
differs.
"""
