"""Documents → settings that know where they were `said`: `compose` (from what Compose `resolved`, and `sources`, the
raw files), `labels`, `documents` (and `texts`, one of them as it was written)."""
